"""Hosts of others are reached in every way that people's machines need; what is secret shows nowhere."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import labs
import pytest

NET = "10.1.91"
NODES = {"docker1": 1, "docker2": 2, "gate1": 3, "gate2": 4}
PASSWORD, PASSPHRASE, OTHER = "pw-9f3aXlog/in", "pp-71c0 phrase", "pw-2d44Xsudo"
SECRETS = {"SA_PASSWORD": PASSWORD, "SA_PASSPHRASE": PASSPHRASE, "SA_SUDO": OTHER}

_PREPARE = r"""
u() { useradd -m -s /bin/bash "$1"; printf '%s:%s\n' "$1" "$2" | chpasswd; mkdir -m 700 /home/$1/.ssh
  printf '%s\n' "$3" > /home/$1/.ssh/authorized_keys; chown -R "$1:" /home/$1/.ssh; }
u admin "$1" "$2"; u ops "$3" "$4"
echo 'admin ALL=(ALL) ALL' > /etc/sudoers.d/admin; echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops
printf 'Port 22\nPort 2022\nMatch User admin\n PasswordAuthentication yes\n' > /etc/ssh/sshd_config.d/10-test.conf
systemctl restart ssh
# A Docker that has run once leaves its bridge and rules, also when it is stopped: that is how it was before.
systemctl start docker; systemctl stop docker docker.socket
"""


class Nodes(labs.Lab):
    """Four hosts, two of them in front of the others."""

    def __init__(self, folder):
        hosts = "".join(f"  {name}: {NET}.{number}\n" for name, number in NODES.items())
        text = f"name: sa\nprovider: local\nhosts:\n{hosts}local: {{subnet: {NET}.0/24}}\n"
        super().__init__(folder, "sa", NET, text)
        self.hosts = {name: f"{NET}.{number}" for name, number in NODES.items()}
        self.locked, self.plain = self.folder / "locked", self.folder / "plain"

    def prepare(self):
        self.make_hosts()
        for path, phrase in ((self.locked, PASSPHRASE), (self.plain, "")):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", str(path)], check=True, timeout=20)
        for host in self.hosts:
            words = [
                OTHER,
                self.locked.with_suffix(".pub").read_text(),
                PASSWORD,
                self.plain.with_suffix(".pub").read_text(),
            ]
            quoted = " ".join(f"'{word.strip()}'" for word in words)
            self.ssh(host, f"sh -s -- {quoted} <<'EOS'\n{_PREPARE}\nEOS\n")

    def close_door(self, host, but):
        """Let only `but` reach the host's SSH; from here it is as good as gone."""
        rule = f"-p tcp -m multiport --dports 22,2022 ! -s {self.hosts[but]} -j REJECT"
        self.run_in(host, f"iptables -I INPUT {rule}")

    def open_doors(self):
        for host in self.hosts:
            self.run_in(host, "iptables -F INPUT")

    def run_in(self, host, line):
        """Run a line inside a host without SSH."""
        leader = self.machine_facts().nodes[host].nspawn
        child = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()[0]
        subprocess.run(["nsenter", "-t", child, "-m", "-u", "-i", "-n", "-p", "sh", "-c", line], check=True, timeout=20)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    made = Nodes(tmp_path_factory.mktemp("sa"))
    made.cli("down", "--yes", check=None)
    try:
        made.prepare()
        yield made
    finally:
        made.cli("down", "--yes")
        assert made.gone()


class Theirs(labs.Lab):
    """A lab on nodes that are there, with an inventory of the test's own and a home folder."""

    def __init__(self, nodes, folder, text, trusts=True):
        super().__init__(folder, "sal", NET, f"name: sal\nprovider: ssh\n{text}")
        self.home = Path(folder) / "home"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        if trusts:
            lines = (nodes.state / "known_hosts").read_text().splitlines()
            more = [re.sub(r"^(\S+?),(\S+)", r"[\1]:2022", line) for line in lines]
            (self.home / ".ssh/known_hosts").write_text("\n".join([*lines, *more]) + "\n")
        self.said = ""

    def cli(self, *args, env=(), **kwargs):
        clean = {"SSH_AUTH_SOCK": ""}
        done = super().cli(*args, env={"HOME": str(self.home), **clean, **dict(env)}, **kwargs)
        self.said += done.stdout + done.stderr
        return done

    def exec(self, *args, **kwargs):
        """Run `id -un` on the hosts; returns what each printed, by host."""
        done = self.cli("exec", "-o", "json", *args, "--", "id", "-un", **kwargs)
        return (
            {h: r["stdout"].strip() for h, r in json.loads(done.stdout)["hosts"].items()}
            if not done.returncode
            else done
        )

    def hosts_up(self):
        """Write the ssh_config, which is all that making hosts means where they are there."""
        env = {**labs.environment(self.base), "HOME": str(self.home), "SSH_AUTH_SOCK": ""}
        argv = [str(labs.PROGRAM), "hosts", "up", "-i", str(self.inventory)]
        subprocess.run(argv, env=env, check=True, timeout=60, capture_output=True)

    def nothing_secret(self):
        """Whether no secret is in what was printed or kept."""
        kept = [p.read_text(errors="replace") for p in self.base.rglob("*") if p.is_file()]
        return not any(s in text for s in SECRETS.values() for text in (self.said, *kept))


@pytest.fixture
def theirs(nodes, tmp_path):
    def make(text, **kwargs):
        return Theirs(nodes, tmp_path, text, **kwargs)

    yield make
    nodes.open_doors()


@contextlib.contextmanager
def watched(*secrets):
    """Look at every command line on this machine, the hosts' among them, all the while."""
    found, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            for process in (p for p in Path("/proc").iterdir() if p.name.isdigit()):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    text = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.update(s for s in secrets if s in text)
            stop.wait(0.01)  # what is watched needs the processor too

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def typed(lab, answers, *args, env=(), within=60):
    """Run the program on a terminal; `answers`: what to wait for, and what to type then. Returns code and screen."""
    pid, tty = pty.fork()
    if not pid:
        os.chdir(labs.ROOT)
        own = {**labs.environment(lab.base), "HOME": str(lab.home), "SSH_AUTH_SOCK": "", "TERM": "dumb", **dict(env)}
        argv = lab.argv(*args)
        os.execve(argv[0], argv, own)
    screen, todo, at, end = "", list(answers), 0, time.monotonic() + within
    try:
        while time.monotonic() < end:
            if tty in select.select([tty], [], [], 0.1)[0]:
                try:
                    more = os.read(tty, 65536)
                except OSError:
                    break
                if not more:
                    break
                screen += more.decode(errors="replace")
            if todo and todo[0][0] in screen[at:]:
                at = len(screen)
                os.write(tty, f"{todo.pop(0)[1]}\n".encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            if time.monotonic() >= end:
                os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(tty)
    assert not todo, f"it never said {todo[0][0]!r}\n{screen}"
    assert "Traceback" not in screen, screen
    lab.said += screen
    return code, screen


def both(**settings):
    """Return hosts docker1 and docker2, with the same settings."""
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in settings.items())
    return f"defaults:\n{lines or '  {}'}hosts:\n  docker1: {NET}.1\n  docker2: {NET}.2\n"


# ── Logging in ────────────────────────────────────────────────────────────────────────────────────────


def test_a_password_for_ssh_and_one_for_sudo_build_prove_and_clear_a_cluster(nodes, theirs):
    before = {host: nodes.snapshot(host) for host in ("docker1", "docker2")}
    lab = theirs(both(user="admin", password_env="SA_SUDO", sudo_password_env="SA_SUDO"))
    with watched(OTHER) as shown:
        done = lab.cli("up", "playbooks/overlay.yml", "-v", env=SECRETS)
        assert "all hold" in done.stdout
        assert json.loads(lab.cli("up", "-o", "json", env=SECRETS).stdout)["actions"] == 0
        lab.cli("verify", env=SECRETS)
        lab.cli("status", env=SECRETS)
        lab.cli("up", "--dry-run", env=SECRETS)
        assert lab.nothing_secret()
        lab.cli("down", "--yes", env=SECRETS)
    assert not shown
    after = {host: nodes.snapshot(host) for host in before}
    # sudo itself notes whom it has lectured, and who has used it.
    assert "\n".join(d for d in labs.differences(before, after) if "sudo" not in d) == ""
    assert not lab.state.exists()


def test_a_key_with_a_passphrase_from_the_environment(nodes, theirs):
    lab = theirs(both(user="admin", key=str(nodes.locked), passphrase_env="SA_PASSPHRASE"))
    assert lab.exec(env=SECRETS) == {"docker1": "admin", "docker2": "admin"}
    assert (
        "the passphrase in $SA_PASSPHRASE does not open the key"
        in lab.exec(env={"SA_PASSPHRASE": "wrong"}, check=None).stderr
    )
    done = lab.exec(check=2)
    assert "docker1, docker2: the environment variable SA_PASSPHRASE is not set (passphrase_env)" in done.stderr
    assert lab.nothing_secret()


def test_a_key_with_a_passphrase_and_nobody_to_ask(nodes, theirs):
    done = theirs(both(user="admin", key=str(nodes.locked))).cli("up", check=3)
    assert f"docker1: the key {nodes.locked} has a passphrase" in done.stderr
    assert "ssh-add" in done.stderr


def test_a_passphrase_is_asked_for_once(nodes, theirs):
    lab = theirs(both(user="admin", key=str(nodes.locked)))
    code, screen = typed(lab, [(f"passphrase of {nodes.locked}: ", PASSPHRASE)], "exec", "--", "id", "-un")
    assert code == 0, screen
    assert screen.count("passphrase of") == 1
    assert lab.nothing_secret()


def test_passwords_are_asked_for_once_for_all_hosts(nodes, theirs):
    lab = theirs(both(user="admin"))
    words = ("exec", "--ask-password", "--ask-sudo-password", "--root", "--", "id", "-un")
    code, screen = typed(lab, [("SSH password: ", OTHER), ("sudo password: ", OTHER)], *words)
    assert code == 0, screen
    assert screen.count("root") == 2
    assert lab.nothing_secret()
    done = lab.cli(*words, check=2)
    assert "there is no terminal to ask on" in done.stderr


def test_the_agent_lets_in(nodes, theirs, tmp_path):
    lab = theirs(both(user="admin", key=str(nodes.locked)))
    sock = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    try:
        ask = tmp_path / "ask"
        ask.write_text(f"#!/bin/sh\necho '{PASSPHRASE}'\n")
        ask.chmod(0o700)
        env = {**os.environ, "SSH_AUTH_SOCK": str(sock), "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        deadline = time.monotonic() + 5
        while not sock.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        subprocess.run(["ssh-add", "-q", str(nodes.locked)], env=env, check=True, timeout=10, stdin=subprocess.DEVNULL)
        assert lab.exec(env={"SSH_AUTH_SOCK": str(sock)}) == {"docker1": "admin", "docker2": "admin"}
    finally:
        agent.terminate()
        agent.wait(10)


def test_a_wrong_password_is_tried_once_and_said(theirs):
    lab = theirs(both(user="admin", password_env="SA_PASSWORD"))
    done = lab.cli("up", check=3, env=SECRETS)
    assert f"docker1: {NET}.1:22 refuses user 'admin'; tried the password" in done.stderr
    assert "is the password right ($SA_PASSWORD)?" in done.stderr
    assert "docker2: " in done.stderr
    assert lab.nothing_secret()


def test_a_wrong_sudo_password_is_tried_once_and_said(nodes, theirs):
    lab = theirs(
        both(user="admin", key=str(nodes.locked), passphrase_env="SA_PASSPHRASE", sudo_password_env="SA_PASSWORD")
    )
    since = nodes.ssh("docker1", "date '+%Y-%m-%d %H:%M:%S'").strip()
    done = lab.cli("up", check=3, env=SECRETS)
    for host in ("docker1", "docker2"):
        assert f"{host}: sudo refuses the password of 'admin' ($SA_PASSWORD); it was tried once" in done.stderr
    failures = nodes.ssh("docker1", f"journalctl -q --since '{since}' -t sudo | grep -c 'authentication failure' ; :")
    assert int(failures) == 1
    assert lab.nothing_secret()


def test_sudo_that_wants_a_password_says_what_to_do(nodes, theirs):
    lab = theirs(both(user="admin", key=str(nodes.locked), passphrase_env="SA_PASSPHRASE"))
    done = lab.cli("up", check=3, env=SECRETS)
    assert "docker1: sudo refused 'admin': it wants a password" in done.stderr
    assert "--ask-sudo-password" in done.stderr


@pytest.mark.long
def test_a_password_is_no_input_where_sudo_wants_none(nodes, theirs):
    lab = theirs(both(user="ops", key=str(nodes.plain), sudo_password_env="SA_SUDO"))
    done = lab.cli("exec", "--root", "--", "cat", env=SECRETS)
    assert done.stdout == ""


# ── On the way ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
def test_two_hops_another_port_and_an_alias_build_prove_and_clear_a_cluster(nodes, theirs):
    before = {host: nodes.snapshot(host) for host in ("docker1", "docker2")}
    lab = theirs(
        f"""\
defaults: {{user: ops, key: {nodes.plain}, port: 2022}}
jump_hosts:
  inner: {{address: {NET}.4, port: 22, user: admin, key: {nodes.locked}, passphrase_env: SA_PASSPHRASE}}
groups:
  all-of-them: {{hosts: [docker1, docker2], jump: [outer, inner]}}
hosts:
  docker1: {{address: one, cluster_address: {NET}.1}}
  docker2: {NET}.2
"""
    )
    more = f"Host outer\n  HostName {NET}.3\n  User ops\n  Port 2022\nHost one\n  HostName {NET}.1\n"
    (lab.home / ".ssh/more").write_text(more)
    (lab.home / ".ssh/config").write_text(f"Include {lab.home}/.ssh/more\n")
    nodes.close_door("gate2", "gate1")
    for host in ("docker1", "docker2"):
        nodes.close_door(host, "gate2")
    done = lab.cli("up", "playbooks/overlay.yml", env=SECRETS)
    assert "all hold" in done.stdout
    lab.cli("status", env=SECRETS)
    config = (lab.state / "ssh_config").read_text()
    assert config.count("\nHost ") + config.startswith("Host ") == 4, config
    lab.cli("down", "--yes", env=SECRETS)
    nodes.open_doors()
    assert labs.differences(before, {host: nodes.snapshot(host) for host in before}) == []


def test_a_host_of_the_inventory_is_a_jump_host(nodes, theirs):
    lab = theirs(
        f"defaults: {{user: ops, key: {nodes.plain}}}\nhosts:\n  gate1: {NET}.3\n"
        f"  docker1: {{address: {NET}.1, jump: gate1}}\n"
    )
    nodes.close_door("docker1", "gate1")
    assert lab.exec() == {"gate1": "ops", "docker1": "ops"}
    lab.hosts_up()
    done = subprocess.run(
        ["ssh", "-F", str(lab.state / "ssh_config"), "-o", "BatchMode=yes", "docker1", "id -un"],
        check=False,
        timeout=20,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "ops\n", done.stderr


def test_a_jump_host_that_lets_nobody_through_and_one_that_is_gone(nodes, theirs):
    lab = theirs(
        f"defaults: {{user: ops, key: {nodes.plain}}}\nhosts:\n"
        f"  docker1: {{address: {NET}.1, jump: ops@{NET}.3}}\n  docker2: {{address: {NET}.2, jump: ops@{NET}.77}}\n"
    )
    nodes.ssh("gate1", "echo 'AllowTcpForwarding no' > /etc/ssh/sshd_config.d/05-no.conf; systemctl restart ssh")
    try:
        done = lab.cli("up", check=3)
    finally:
        nodes.ssh("gate1", "rm /etc/ssh/sshd_config.d/05-no.conf; systemctl restart ssh")
    assert f"docker1: jump1.{NET}.3 does not let anybody through to {NET}.1:22" in done.stderr
    assert f"jump1.{NET}.77: no SSH connection to {NET}.77:22: " in done.stderr


def test_a_command_takes_the_place_of_a_connection(nodes, theirs):
    lab = theirs(f"defaults: {{user: ops, key: {nodes.plain}}}\nhosts:\n  docker1: {NET}.1\n")
    proxy = f"ssh -F {nodes.state}/ssh_config -W %h:%p gate1"
    (lab.home / ".ssh/config").write_text(f"Host {NET}.1\n  ProxyCommand {proxy}\n")
    nodes.close_door("docker1", "gate1")
    assert lab.exec() == {"docker1": "ops"}


def test_ssh_comes_in_by_one_address_and_the_cluster_uses_another(nodes, theirs):
    for number in (1, 2):
        nodes.ssh(f"docker{number}", f"ip addr add 10.1.92.{number}/24 dev eth0")
    hosts = "".join(f"  docker{n}: {{address: {NET}.{n}, cluster_address: 10.1.92.{n}}}\n" for n in (1, 2))
    lab = theirs(f"defaults: {{user: root, key: {nodes.state}/id_ed25519}}\nhosts:\n{hosts}")
    try:
        done = lab.cli("up", "playbooks/overlay.yml")
        assert "10.1.92.1 → 10.1.92.2" in done.stdout
        lab.cli("down", "--yes")
    finally:
        for number in (1, 2):
            nodes.ssh(f"docker{number}", f"ip addr del 10.1.92.{number}/24 dev eth0")


# ── Host keys ─────────────────────────────────────────────────────────────────────────────────────────


def test_new_host_keys_are_refused_where_nobody_looks(nodes, theirs):
    lab = theirs(both(user="ops", key=str(nodes.plain), jump=f"{NET}.3"), trusts=False)
    done = lab.cli("up", check=3)
    assert f"the host key of {NET}.3:22 is not known: ED25519 SHA256:" in done.stderr
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in done.stderr
    assert "--accept-host-keys" in done.stderr
    assert not (lab.state / "known_hosts").exists()


def test_new_host_keys_are_accepted_by_a_flag_and_stay_when_the_lab_goes(nodes, theirs):
    lab = theirs(both(user="ops", key=str(nodes.plain), jump=f"{NET}.3"), trusts=False)
    done = lab.cli("exec", "--accept-host-keys", "--", "true")
    assert done.stderr.count("accepted the new host key of ") == 3
    assert lab.exec() == {"docker1": "ops", "docker2": "ops"}
    lab.cli("down", "--yes")
    assert [p.name for p in lab.state.iterdir()] == ["known_hosts"]
    assert oct((lab.state / "known_hosts").stat().st_mode)[-3:] == "600"


def test_new_host_keys_are_shown_and_asked_about_one_after_the_other(nodes, theirs):
    lab = theirs(both(user="ops", key=str(nodes.plain)), trusts=False)
    line = nodes.ssh("docker1", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    code, screen = typed(lab, [("[y/N] ", "y"), ("[y/N] ", "n")], "exec", "--", "id", "-un")
    assert code == 3, screen
    assert f"{NET}.1:22  ED25519 {line}" in screen
    code, screen = typed(lab, [("[y/N] ", "yes")], "exec", "--", "id", "-un")
    assert code == 0, screen
    assert f"{NET}.1:22 has" not in screen
    assert lab.exec() == {"docker1": "ops", "docker2": "ops"}


@pytest.mark.parametrize("changed", [1, 3])
def test_a_changed_host_key_stops_everything_whatever_the_flags_say(nodes, theirs, changed):
    lab = theirs(both(user="ops", key=str(nodes.plain), jump=f"{NET}.3"))
    known = lab.home / ".ssh/known_hosts"
    lines = known.read_text().splitlines()
    other = next(line.split()[2] for line in lines if line.startswith(f"{NET}.4,"))
    swapped = [f"{line.rpartition(' ')[0]} {other}" if line.startswith(f"{NET}.{changed},") else line for line in lines]
    known.write_text("\n".join(swapped) + "\n")
    for words in (("up",), ("status",), ("down", "--yes")):
        done = lab.cli(*words, "--accept-host-keys", check=3)
        assert f"THE HOST KEY OF {NET}.{changed}:22" in done.stderr
        assert f"ssh-keygen -R {NET}.{changed} -f {known}" in done.stderr


# ── What goes wrong ───────────────────────────────────────────────────────────────────────────────────


def babble(server):
    """Answer whoever comes with lines that no SSH server would send."""
    with contextlib.suppress(OSError):
        while True:
            caller = server.accept()[0]
            with caller, contextlib.suppress(OSError):
                caller.sendall(b"220 hello\r\n" * 200)


def test_every_host_says_what_is_wrong_with_it(nodes, theirs):
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=babble, args=(server,), daemon=True).start()
    lab = theirs(
        f"""\
defaults: {{user: ops, key: {nodes.plain}}}
hosts:
  refuses: {{address: {NET}.1, port: 4444}}
  strange: {{address: 127.0.0.1, port: {server.getsockname()[1]}, cluster_address: {NET}.6}}
  nowhere: {{address: {NET}.77}}
  nameless: {{address: no-such-name.invalid, cluster_address: {NET}.5}}
  keyless: {{address: {NET}.2, key: {nodes.folder}/none}}
  good: {{address: {NET}.4}}
"""
    )
    lab.playbook = lab.folder / "p.yml"
    lab.playbook.write_text("name: p\n")
    done = lab.cli("up", str(lab.playbook), check=3)
    assert f"refuses: no SSH connection to {NET}.1:4444: connection refused" in done.stderr
    assert f"nowhere: no SSH connection to {NET}.77:22: " in done.stderr
    assert "nameless: no SSH connection to no-such-name.invalid:22: its name cannot be resolved" in done.stderr
    assert f"keyless: the key {nodes.folder}/none: no such file or directory" in done.stderr
    assert f"strange: what answers at 127.0.0.1:{server.getsockname()[1]} is no SSH server" in done.stderr
    assert "good: " not in done.stderr
    server.close()

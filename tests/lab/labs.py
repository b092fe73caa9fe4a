"""Labs for the tests: made, asked and taken away as a user does it, through the command line."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import machine_state
import testinfra

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("clusterctl")

LEFT = "lt"
"""Labs of the tests have names that begin so; what an interrupted run left is found by it."""

ALL_HOLD = "14 checks, all hold"
"""What verifying playbooks/overlay.yml ends with."""

UP_HOLDS = "11 checks, all hold"
"""What building it ends with: without the checks that make something for a moment."""

# What of a host must be as it was: every name outside of Docker's and systemd's own data, every file under
# /etc with its checksum, links, rules, units, users, and what Docker has where it runs.
_SNAPSHOT = r"""
export LC_ALL=C
find /etc /root /home /opt /srv /usr/local /var -xdev \( -path /var/lib/docker -o -path /var/lib/containerd \
  -o -path /var/lib/systemd -o -path /var/log -o -path /var/tmp -o -path /var/cache/ldconfig \) \
  -prune -o -printf '%y %m %u:%g %p %l\n'
find /etc -xdev -type f -exec sha256sum {} +
for l in /sys/class/net/*; do echo "link ${l##*/}"; done | sed 's/ veth.*/ veth of a container/'
iptables-save | sed 's/ [[][0-9]*:[0-9]*]//' | grep -e ^-A -e '^:.* [^A]'
systemctl list-unit-files --no-legend --plain
systemctl list-units --no-legend --plain --state=failed
systemctl show -p Id,ActiveState docker.service docker.socket etcd.service
getent passwd; getent group; uname -n; hostnamectl --static
if systemctl -q is-active docker; then
  docker ps -a --format 'container {{.ID}} {{.Names}}'; docker images -a --format 'image {{.ID}} {{.Repository}}'
  docker network ls --format 'network {{.Name}} {{.Driver}} {{.Scope}}'; docker volume ls --format 'volume {{.Name}}'
  docker info --format 'store {{.ClusterStore}}'
fi
"""


def environment(state):
    """Return the environment for the program: of the user's, only what is not about clusterctl."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("CLUSTERCTL_")}
    return {**own, "CLUSTERCTL_STATE": str(state)}


def seen(done):
    """Return what a command printed, for the message of an assertion."""
    return f"exit {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


class Lab:
    """A lab of two hosts by its name, its network and a folder for its files."""

    def __init__(self, folder, name, net, text=""):
        self.name, self.net, self.folder = name, net, Path(folder)
        self.base = self.folder / "state"
        self.state = self.base / name
        self.inventory = self.folder / f"{name}.yml"
        self.hosts = {f"docker{i}": f"{net}.{i}" for i in (1, 2)}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(text or self.text())

    def text(self, **local):
        """Return an inventory of hosts on this machine."""
        settings = "".join(f", {k}: {v}" for k, v in local.items())
        hosts = "".join(f"  {name}: {address}\n" for name, address in self.hosts.items())
        return f"name: {self.name}\nprovider: local\nhosts:\n{hosts}local: {{subnet: {self.net}.0/24{settings}}}\n"

    def over_ssh(self, name, user="root", key=None, **addresses):
        """Return a lab on this lab's running hosts, as hosts that somebody else made."""
        hosts = "".join(f"  {h}: {addresses.get(h, a)}\n" for h, a in self.hosts.items())
        key = key or self.state / "id_ed25519"
        text = f"name: {name}\nprovider: ssh\ndefaults: {{user: {user}, key: {key}}}\nhosts:\n{hosts}"
        other = Lab(self.folder / name, name, self.net, text)
        other.state.mkdir(parents=True)
        (other.state / "known_hosts").write_bytes((self.state / "known_hosts").read_bytes())
        (other.state / "id_ed25519").write_bytes(Path(key).read_bytes())
        (other.state / "id_ed25519").chmod(0o600)
        return other

    def argv(self, *args):
        """Return the command line, the inventory in it."""
        return [str(PROGRAM), args[0], "-i", str(self.inventory), *args[1:]]

    def cli(self, *args, check=0, input="", prefix=(), env=(), within=180):
        """Run the program; `check` is the exit code that it must end with, None for any."""
        done = subprocess.run(
            [*prefix, *self.argv(*args)],
            input=input,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            cwd=ROOT,
            env={**environment(self.base), **dict(env)},
        )
        assert check is None or done.returncode == check, seen(done)
        assert "Traceback" not in done.stderr, seen(done)
        return done

    def start(self, *args):
        """Start the program in the background, in a process group of its own."""
        return subprocess.Popen(
            self.argv(*args),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment(self.base),
            start_new_session=True,
        )

    def signalled(self, after, numbers, *args, within=90):
        """Run the program and send it signals once a line of its progress contains `after`.

        Returns what it ended with; a run that ends without that line is an error.
        """
        process = self.start(*args)
        lines, sent = [], False
        try:
            for line in process.stderr:
                lines.append(line)
                if after in line and not sent:
                    sent = True
                    for number in numbers:
                        process.send_signal(number)
                        time.sleep(0.05)
            out = process.stdout.read()
            process.wait(within)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(10)
        done = subprocess.CompletedProcess(process.args, process.returncode, out, "".join(lines))
        process.stdout.close()
        process.stderr.close()
        assert sent, f"it never said {after!r}\n{seen(done)}"
        assert "Traceback" not in done.stderr, seen(done)
        return done

    @contextlib.contextmanager
    def session(self, *, changes=False):
        """Open the lab inside this process, for its doors and its reader."""
        from clusterctl.cli import wiring

        before, own = dict(os.environ), environment(self.base)
        os.environ.clear()
        os.environ.update(own)
        try:
            wanted = wiring.load(self.inventory, ROOT / "playbooks/overlay.yml")
            with wiring.session(wanted, "test", changes=changes) as session:
                yield session
        finally:
            os.environ.clear()
            os.environ.update(before)

    def make_hosts(self):
        """Make the hosts and leave them as they are: nothing of a cluster on them."""
        from clusterctl.cli.progress import Quiet

        with self.session(changes=True) as session:
            session.runner(Quiet()).run(session.provider.up)

    def facts(self):
        """Return the facts of every host, Docker's among them."""
        from clusterctl.model.facts import Facts
        from clusterctl.plan.phase import Section

        with self.session() as session:
            return session.reader().read(frozenset({Section.HOST, Section.DOCKER}), Facts())

    def machine_facts(self):
        """Return what the provider finds of the lab on this machine."""
        with self.session() as session:
            return session.provider.facts(session.lab)

    def host(self, name):
        """Return a host for testinfra, reached by the ssh_config that the lab wrote."""
        return testinfra.get_host(f"ssh://{name}", ssh_config=str(self.state / "ssh_config"), controlpersist=0)

    def ssh(self, host, command, check=0):
        """Run a shell script on a host and return what it printed; `check` as for `cli`."""
        config = str(self.state / "ssh_config")
        done = subprocess.run(
            ["ssh", "-F", config, "-o", "BatchMode=yes", host, command],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert check is None or done.returncode == check, f"{host}: {command}\n{seen(done)}"
        return done.stdout

    def snapshot(self, host):
        """Return a host's state as lines, to compare it before and after."""
        return frozenset(self.ssh(host, _SNAPSHOT, check=None).splitlines())

    def snapshots(self):
        """Return the state of all hosts."""
        return {host: self.snapshot(host) for host in self.hosts}

    def transcript(self):
        """Return the text of the last run's transcript."""
        return max((self.state / "transcripts").iterdir(), key=lambda p: p.stat().st_mtime_ns).read_text()

    def kill(self, host):
        """End a host as a power cut would."""
        os.kill(self.machine_facts().nodes[host].nspawn, signal.SIGKILL)
        self.wait_for_the_end_of(host)

    def wait_for_the_end_of(self, host):
        """Wait until nothing of a host runs: in a namespace a reboot is an end as well."""
        deadline = time.monotonic() + 30
        while self.machine_facts().nodes[host].runs and time.monotonic() < deadline:
            time.sleep(0.05)

    def gone(self):
        """Whether nothing of the lab is on this machine."""
        found = machine_state.snapshot(machine_state.others_than(self.name))
        mine = re.compile(rf"(clusterctl-|cc-|local/){re.escape(self.name)}\b")
        return not any(mine.search(line) for lines in found.values() for line in lines) and not self.state.exists()


@contextlib.contextmanager
def pinging(lab):
    """Ping from container to container, both ways, five times a second; nothing may be lost meanwhile."""
    for host, own, peer in (("docker1", "qyt1", "qyt2"), ("docker2", "qyt2", "qyt1")):
        lab.ssh(host, f"docker exec -d {own} sh -c 'ping -i 0.2 {peer} > /tmp/ping 2>&1'")
    yield
    for host, own in (("docker1", "qyt1"), ("docker2", "qyt2")):
        said = lab.ssh(host, f"docker exec {own} sh -c 'killall -INT ping; sleep 0.3; tail -n 3 /tmp/ping'")
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) packets received", said).groups())
        print(f"{own}: {sent} sent, {sent - received} lost")
        assert sent > 20
        assert sent - received <= 1, said


def differences(before, after):
    """Return what is only after ("+") or only before ("-") on each host; empty when nothing changed."""
    return [
        f"{host}: {sign} {line}"
        for host in before
        for sign, only in (("+", after[host] - before[host]), ("-", before[host] - after[host]))
        for line in sorted(only)
    ]


def remove_leftovers(folder):
    """Take away the labs that an interrupted run of the tests has left."""
    places = [*Path("/var/lib/clusterctl/local").glob(f"{LEFT}*"), *Path("/run/netns").glob(f"clusterctl-{LEFT}*")]
    names = {p.name.removeprefix("clusterctl-").split("-", maxsplit=1)[0] for p in places}
    for name in names:
        Lab(folder / name, name, "10.1.120").cli("down", "--yes", check=None)

"""Trouble: the exit code, a message with host, cause and the next thing to type; a refusal changes nothing."""

import json
import os
import signal
import subprocess
from pathlib import Path

import labs
import machine_state
import pytest

pytestmark = pytest.mark.lab

# What listens under a unit of its own, and ends with it.
_LISTEN = (
    "systemd-run -q --unit=theirs --collect -p RuntimeDirectory=sshd -p RuntimeDirectoryPreserve=yes "
    "/usr/sbin/sshd -D -o Port={port} -o ListenAddress={address} -o PidFile=none; "
    "for i in 1 2 3 4 5 6 7 8 9; do ss -Hlnt | grep -q ':{port} ' && break; sleep 0.1; done"
)
_FAKE = (
    'mkdir -p /usr/local/sbin; printf \'#!/bin/sh\\n[ "$1" = --version ] && echo "{says}"\\n\' '
    "> /usr/local/sbin/{name}; chmod +x /usr/local/sbin/{name}"
)
_IMAGE = (
    "systemctl start docker; tar -C /bin -c busybox | "
    'docker import -c \'CMD ["/busybox", "sleep", "9999"]\' - theirs >/dev/null; '
)
# systemd counts the starts, and a host here sees more of them in a minute than it allows.
_NO_DOCKER = "systemctl stop docker.socket docker; systemctl reset-failed docker || :"

# What is wrong with a host: how it comes about, how it goes, and what has to be said about it.
REFUSED = {
    "etcd's port is in use": (
        _LISTEN.format(address="0.0.0.0", port=2379),
        "systemctl stop theirs",
        ("port 2379 is in use by sshd", "ss -lntp 'sport = :2379'"),
    ),
    "etcd's peer port is in use": (
        _LISTEN.format(address="10.1.121.1", port=2380),
        "systemctl stop theirs",
        ("port 2380 is in use by sshd", "ss -lntp 'sport = :2380'"),
    ),
    "Debian's own etcd runs": (
        "systemctl start etcd",
        "systemctl stop etcd; rm -rf /var/lib/etcd/default",
        ("port 2379 is in use by etcd", "systemctl stop etcd"),
    ),
    "Docker is too new": (
        _FAKE.format(name="dockerd", says="Docker version 26.1.5, build x"),
        "rm /usr/local/sbin/dockerd",
        ("Docker 26.1.5 has no cluster store (it was removed after 20.10)", "install Docker 20.10"),
    ),
    "etcd is too new": (
        _FAKE.format(name="etcd", says="etcd Version: 3.6.1"),
        "rm /usr/local/sbin/etcd",
        ("etcd 3.6.1 has no v2 API", "install etcd 3.5 or older"),
    ),
    "the disk is full": (
        "mount -t tmpfs -o size=20m small /var/lib",
        "umount /var/lib",
        ("MB free under /var/lib, 300 MB are needed", "docker system prune"),
    ),
    "daemon.json is not JSON": (
        "mkdir -p /etc/docker; echo '{\"debug\": true,}' > /etc/docker/daemon.json",
        "rm /etc/docker/daemon.json",
        ("/etc/docker/daemon.json is not JSON: ", "mend or remove the file"),
    ),
    "daemon.json is a list": (
        "mkdir -p /etc/docker; echo '[]' > /etc/docker/daemon.json",
        "rm /etc/docker/daemon.json",
        ("/etc/docker/daemon.json is not a JSON object", "mend or remove the file"),
    ),
    "Docker is on another store": (
        'mkdir -p /etc/docker; echo \'{"cluster-store": "etcd://192.0.2.1:2379"}\' > /etc/docker/daemon.json',
        "rm /etc/docker/daemon.json",
        ("already names the cluster store etcd://192.0.2.1:2379", "take it out there first"),
    ),
    "Docker is in swarm mode": (
        "systemctl start docker; docker swarm init --advertise-addr 10.1.121.1 >/dev/null; sleep 2",
        "docker swarm leave --force >/dev/null; docker network rm docker_gwbridge >/dev/null; " + _NO_DOCKER,
        ("Docker is in swarm mode (active)", "docker swarm leave --force"),
    ),
    "a container of that name is somebody else's": (
        _IMAGE + "docker run -d --name qyt1 theirs >/dev/null",
        "docker rm -f qyt1 >/dev/null; docker image rm theirs >/dev/null; " + _NO_DOCKER,
        ("a container named qyt1 exists there, not made by clusterctl", "docker rename qyt1 NEW"),
    ),
    "a network of that name is somebody else's": (
        "systemctl start docker; docker network create --subnet 10.99.0.0/24 qyt_overlay >/dev/null",
        "docker network rm qyt_overlay >/dev/null; " + _NO_DOCKER,
        ("a network named qyt_overlay exists there, not made by this lab", "docker network rm qyt_overlay"),
    ),
    "the overlay's subnet is routed elsewhere": (
        "ip route add 10.10.10.128/25 via 10.1.121.254",
        "ip route del 10.10.10.128/25",
        ("subnet 10.10.10.0/24 of network qyt_overlay overlaps its route 10.10.10.128/25", "choose another subnet"),
    ),
}


@pytest.fixture(scope="module")
def hosts(bare):
    """Hosts on which Docker has run before, so that its own traces are no difference."""
    for host in bare.hosts:
        bare.ssh(host, f"systemctl start docker; {_NO_DOCKER}")
    return bare


@pytest.mark.parametrize("what", REFUSED)
def test_a_host_is_refused_when(what, hosts):
    breaks, mends, said = REFUSED[what]
    hosts.ssh("docker1", breaks)
    try:
        before = hosts.snapshots()
        done = hosts.cli("up", "playbooks/overlay.yml", check=None)
        after = hosts.snapshots()
        if done.returncode == 0:
            hosts.cli("down", "--keep-hosts", "--yes")
    finally:
        hosts.ssh("docker1", mends)
    assert done.returncode == 3, labs.seen(done)
    about = [line for line in done.stderr.splitlines() if line.startswith("docker1: ")]
    assert about, labs.seen(done)
    for words in said:
        assert words in "\n".join(about), labs.seen(done)
    assert "docker2: " not in done.stderr
    assert labs.differences(before, after) == [], "nothing was changed"


def test_every_reason_of_every_host_is_said_at_once(hosts):
    for host in hosts.hosts:
        hosts.ssh(host, "mkdir -p /etc/docker; echo nonsense > /etc/docker/daemon.json")
    hosts.ssh("docker2", _FAKE.format(name="etcd", says="etcd Version: 3.6.1"))
    try:
        done = hosts.cli("up", "playbooks/overlay.yml", "-o", "json", check=3)
    finally:
        for host in hosts.hosts:
            hosts.ssh(host, "rm -f /etc/docker/daemon.json /usr/local/sbin/etcd")
    assert len([line for line in done.stderr.splitlines() if line.startswith("docker")]) == 3
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 3
    assert "docker2: etcd 3.6.1" in error["message"]


# ── Reaching hosts ────────────────────────────────────────────────────────────────────────────────────


def test_another_ssh_key_is_refused(hosts, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    done = hosts.over_ssh("ltk", key=tmp_path / "other").cli("up", check=3)
    for host, address in hosts.hosts.items():
        assert f"{host}: {address}:22 refuses user 'root'; tried the key {tmp_path}/other" in done.stderr
    assert "hint: ssh-copy-id" in done.stderr


def test_a_changed_host_key_is_refused(hosts):
    other = hosts.over_ssh("ltc")
    known = other.state / "known_hosts"
    first, second = known.read_text().splitlines()
    known.write_text(f"{first.rpartition(' ')[0]} {second.rpartition(' ')[2]}\n{second}\n")
    done = other.cli("up", check=3)
    assert "docker1: THE HOST KEY OF 10.1.121.1:22 HAS CHANGED" in done.stderr
    assert "ssh-keygen -R 10.1.121.1" in done.stderr
    assert "docker2: " not in done.stderr


def test_an_unknown_host_key_is_refused(hosts):
    other = hosts.over_ssh("ltu")
    (other.state / "known_hosts").write_text("")
    done = other.cli("up", check=3)
    assert "docker1: the host key of 10.1.121.1:22 is not known" in done.stderr
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in done.stderr


def test_a_host_that_is_not_there_is_said_to_be_unreachable(hosts):
    done = hosts.over_ssh("lta", docker2="10.1.121.77").cli("up", check=3)
    assert "docker2: no SSH connection to 10.1.121.77:22: " in done.stderr
    assert "hint: ssh -p 22 root@10.1.121.77 true" in done.stderr
    assert "docker1: " not in done.stderr


def add_user(hosts, name, rules=""):
    for host in hosts.hosts:
        hosts.ssh(
            host,
            f"useradd -m {name}; mkdir -m 700 /home/{name}/.ssh; "
            f"cp /root/.ssh/authorized_keys /home/{name}/.ssh/; chown -R {name}:{name} /home/{name}/.ssh; {rules}",
        )


def remove_user(hosts, name):
    for host in hosts.hosts:
        hosts.ssh(host, f"userdel -r {name} 2>/dev/null; rm -f /etc/sudoers.d/{name}; :")


def test_a_user_without_sudo_is_refused(hosts):
    add_user(hosts, "nobody1")
    try:
        done = hosts.over_ssh("ltn", user="nobody1").cli("up", check=3)
    finally:
        remove_user(hosts, "nobody1")
    assert "docker1: sudo refused 'nobody1': " in done.stderr
    assert "or allow it without one: " in done.stderr


@pytest.mark.long
def test_a_user_with_sudo_builds_proves_and_takes_away_a_cluster_on_hosts_that_exist(hosts):
    add_user(hosts, "admin1", "echo 'admin1 ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin1")
    try:
        before = hosts.snapshots()
        other = hosts.over_ssh("lto", user="admin1")
        done = other.cli("up", "playbooks/overlay.yml")
        assert labs.UP_HOLDS in done.stdout
        assert json.loads(other.cli("up", "-o", "json").stdout)["actions"] == 0
        other.cli("verify")
        other.cli("status")
        other.cli("down", "--yes")
        assert [p.name for p in other.state.rglob("*")] == ["known_hosts"], "the hosts stay, and so does our trust"
        assert labs.differences(before, hosts.snapshots()) == [], "the hosts are there still, and as they were"
    finally:
        remove_user(hosts, "admin1")


# ── This machine ──────────────────────────────────────────────────────────────────────────────────────


def test_who_is_not_root_is_told_so(fresh):
    before = machine_state.snapshot(machine_state.others_than(fresh.name))
    fresh.folder.chmod(0o777)
    runs_here = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", str(labs.PROGRAM), "--version"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    if runs_here.returncode:
        pytest.skip("another user cannot start the program from where it is installed")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", str(labs.PROGRAM), "up", "-i", "-"],
        input=fresh.text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=labs.ROOT,
        env={**labs.environment("/tmp/ltf-nobody"), "HOME": "/"},
    )
    subprocess.run(["rm", "-rf", "/tmp/ltf-nobody"], check=True)
    assert done.returncode == 3, labs.seen(done)
    assert "this machine: local hosts need root; type the same command after: sudo" in done.stderr
    after = machine_state.snapshot(machine_state.others_than(fresh.name))
    assert machine_state.differences(before, after) == []


def test_a_subnet_in_use_is_refused(fresh, machine):
    subprocess.run(["ip", "link", "add", "ltdummy", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", "10.1.122.129/26", "dev", "ltdummy"], check=True)
        subprocess.run(["ip", "link", "set", "ltdummy", "up"], check=True)
        done = fresh.cli("up", check=3)
    finally:
        subprocess.run(["ip", "link", "del", "ltdummy"], check=True)
    assert "this machine: the subnet 10.1.122.0/24 is in use: 10.1.122." in done.stderr
    assert "on ltdummy; set local.subnet" in done.stderr
    assert machine.changes(fresh) == []


def test_the_subnet_of_another_lab_is_refused(lab, fresh):
    fresh.inventory.write_text(fresh.inventory.read_text().replace("10.1.122.", "10.1.120."))
    done = fresh.cli("up", check=3)
    assert f"on the lab '{lab.name}'" in done.stderr


def test_a_missing_tool_is_named_with_its_package(fresh, tmp_path, machine):
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if tool.name not in {"systemd-nspawn", "mmdebstrap"} and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    done = fresh.cli("up", check=3, env={"PATH": str(tools)})
    assert "this machine: not installed: " in done.stderr
    assert "systemd-nspawn" in done.stderr
    assert "; apt-get install " in done.stderr
    assert "systemd-container" in done.stderr
    assert machine.changes(fresh) == []


def test_a_lab_of_that_name_from_another_inventory_is_refused(lab, tmp_path):
    other = labs.Lab(tmp_path, lab.name, "10.1.123")
    other.base = lab.base
    done = other.cli("up", check=3)
    assert f"this machine: a lab '{lab.name}' is here already, made from another inventory" in done.stderr
    assert "subnet 10.1.120.0/24" in done.stderr
    assert "clusterctl down" in done.stderr
    assert json.loads(lab.cli("up", "-o", "json").stdout)["actions"] == 0


def test_two_runs_exclude_each_other(lab):
    first = lab.start("up")
    try:
        lock = lab.base / f"{lab.name}.lock"
        while first.poll() is None and not (lock.exists() and lock.read_text()):
            pass
        first.send_signal(signal.SIGSTOP)
        for command in (("up",), ("down", "--yes")):
            done = lab.cli(*command, check=5)
            assert f"lab {lab.name}: another run works on it: clusterctl up overlay (process {first.pid}), since" in (
                done.stderr
            )
            assert "hint: wait for it to end, then run this again" in done.stderr
        assert json.loads(lab.cli("up", "-o", "json", check=5).stdout)["error"]["exit_code"] == 5
        lab.cli("verify")
    finally:
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate(timeout=60)
    assert first.returncode == 0, out + err
    assert not lock.exists()


# ── Input ─────────────────────────────────────────────────────────────────────────────────────────────


def test_wrong_input_names_file_line_and_key_and_touches_nothing(fresh, machine):
    fresh.inventory.write_text("name: ltf\nprovider: local\nhosts:\n  docker1: 10.1.122.999\n  $(reboot): 10.1.122.2\n")
    done = fresh.cli("up", check=2)
    assert f"{fresh.inventory}:4: hosts.docker1" in done.stderr
    assert f"{fresh.inventory}:5: " in done.stderr
    document = json.loads(fresh.cli("up", "-o", "json", check=2).stdout)
    assert document["schema_version"] == 1
    assert len(document["error"]["problems"]) >= 2
    assert machine.changes(fresh) == []
    assert not fresh.base.exists()


def test_wrong_usage_is_exit_2(lab):
    for args in (("up", "--nonsense"), ("nonsense",), ("up", "no-such-playbook.yml")):
        done = lab.cli(*args, check=2)
        assert done.stdout == "", "an error is no result"
        assert done.stderr


def test_a_step_that_fails_is_exit_4_and_the_same_command_goes_on(lab):
    lab.ssh("docker1", "docker rm -f qyt1; mv /usr/bin/containerd-shim-runc-v2 /usr/bin/away")
    try:
        done = lab.cli("up", check=4)
    finally:
        lab.ssh("docker1", "mv /usr/bin/away /usr/bin/containerd-shim-runc-v2")
    assert "docker1: run container qyt1: FAILED after " in done.stderr
    assert "docker1: run container qyt1: " in done.stderr
    assert f"transcript: {lab.state}" in done.stderr
    assert "FAILED after" in lab.transcript()
    lab.cli("up")
    lab.cli("verify")

"""Down gives everything back: each host what it was, this machine what it was."""

import json
import shutil

import labs
import pytest

pytestmark = pytest.mark.lab

# A user's settings, in a format of their own: no newline at the end, odd spaces, a key order that is not ours.
DAEMON_JSON = '{ "log-opts":   {"max-size":"10m"},\n\t"debug": true,"log-driver": "json-file" }'
HOSTS = "127.0.0.1 localhost\n192.0.2.7   old.example  # kept"


def settle(lab, host, script):
    """Change a host as its user would, before clusterctl comes."""
    lab.ssh(host, f"set -eu\n{script}")


@pytest.fixture(scope="module")
def used(bare):
    """Hosts that were used before: one with Docker running and settings of its own, one with Docker off."""
    # Docker's own traces of a first start are not clusterctl's: the bridge, its rules, its key.
    for host in bare.hosts:
        settle(bare, host, "systemctl start docker; systemctl stop docker.socket docker")
    settle(
        bare,
        "docker1",
        f"printf '%s' '{DAEMON_JSON}' > /etc/docker/daemon.json; chmod 640 /etc/docker/daemon.json\n"
        f"printf '%s' '{HOSTS}' > /etc/hosts\n"
        "systemctl enable -q docker; systemctl start docker\n"
        "tar -C /bin -c busybox | "
        'docker import -c \'CMD ["/busybox", "sleep", "9999"]\' - theirs >/dev/null\n'
        "docker network create theirs-net >/dev/null\n"
        "docker run -d --restart always --name theirs-run --network theirs-net theirs >/dev/null\n"
        "hostnamectl set-hostname before-1",
    )
    settle(bare, "docker2", "rm /etc/hostname")
    yield bare
    settle(bare, "docker2", "hostnamectl set-hostname debian")
    settle(
        bare,
        "docker1",
        "docker rm -f theirs-run; docker network rm theirs-net; docker image rm theirs; systemctl stop docker\n"
        "systemctl disable -q docker; rm /etc/docker/daemon.json; echo '127.0.0.1 localhost' > /etc/hosts\n"
        "hostnamectl set-hostname debian",
    )


@pytest.mark.long
def test_hosts_are_given_back_as_they_were(used):
    before = used.snapshots()
    assert any("theirs-run" in line for line in before["docker1"])

    used.cli("up", "playbooks/overlay.yml")
    settings = json.loads(used.ssh("docker1", "cat /etc/docker/daemon.json"))
    assert {k: v for k, v in settings.items() if not k.startswith("cluster-")} == json.loads(DAEMON_JSON)
    assert settings["cluster-store"].startswith("etcd://")
    assert used.ssh("docker1", "docker inspect -f '{{.State.Running}}' theirs-run") == "true\n"
    changed = labs.differences(before, used.snapshots())
    for trace in (
        "/etc/clusterctl",
        "clusterctl-etcd",
        "qyt1",
        "qyt_overlay",
        "docker_gwbridge",
        "BEGIN",
        "store etcd",
    ):
        assert trace == "BEGIN" or any(trace in line for line in changed), f"{trace} would have been noticed"

    done = used.cli("down", "--keep-hosts", "--yes")
    assert labs.differences(before, used.snapshots()) == [], labs.seen(done)
    assert used.ssh("docker1", "cat /etc/docker/daemon.json") == DAEMON_JSON
    assert used.ssh("docker1", "cat /etc/hosts") == HOSTS
    assert used.ssh("docker1", "systemctl is-active docker; docker inspect -f '{{.State.Running}}' theirs-run") == (
        "active\ntrue\n"
    )
    assert used.ssh("docker2", "systemctl is-active docker", check=3) == "inactive\n"
    assert used.ssh("docker2", "cat /etc/hostname 2>/dev/null; uname -n", check=0) == "debian\n"
    assert used.ssh("docker2", "ls -d /etc/clusterctl /var/lib/clusterctl* 2>/dev/null", check=2) == ""

    quiet = used.cli("down", "--keep-hosts", "--yes")
    assert quiet.stderr == "", "a second time there is nothing to do"
    assert "nothing to do" in quiet.stdout

    used.cli("up", "playbooks/overlay.yml", "-q")
    settle(used, "docker1", 'sed -i \'s/"debug": true/"debug": false/\' /etc/docker/daemon.json')
    settle(used, "docker2", "sed -i '1i 192.0.2.9 added.example' /etc/hosts")
    used.cli("down", "--keep-hosts", "--yes", "-q")
    changed = json.loads(used.ssh("docker1", "cat /etc/docker/daemon.json"))
    assert changed == {**json.loads(DAEMON_JSON), "debug": False}, "what the user changed meanwhile stays"
    assert used.ssh("docker2", "cat /etc/hosts") == "192.0.2.9 added.example\n127.0.0.1 localhost\n"
    settle(used, "docker1", f"printf '%s' '{DAEMON_JSON}' > /etc/docker/daemon.json")
    settle(used, "docker2", "echo '127.0.0.1 localhost' > /etc/hosts")


def test_up_and_down_leave_this_machine_as_it_was(fresh, machine):
    fresh.cli("up", "-q")
    assert machine.changes(fresh), "a lab is something on this machine"
    done = fresh.cli("down", "--yes")
    assert f"{fresh.name}: gone, " in done.stdout
    assert machine.changes(fresh) == []
    assert not fresh.base.exists(), "nor is anything left on the controller"

    again = fresh.cli("down", "--yes")
    assert again.stderr == ""
    assert "nothing to do" in again.stdout
    assert not fresh.base.exists()
    assert machine.changes(fresh) == []


def test_nothing_is_destroyed_without_consent(lab):
    before = lab.ssh("docker1", "docker ps -q --no-trunc")
    for extra in ((), ("--keep-hosts",)):
        done = lab.cli("down", *extra, check=2)
        assert lab.name in done.stderr
        assert "docker1, docker2" in done.stderr
        assert ("DESTROY" in done.stderr) == (not extra)
        assert "hint: add --yes" in done.stderr
    assert lab.ssh("docker1", "docker ps -q --no-trunc") == before


def test_a_way_down_can_be_shown_first(lab):
    before = lab.ssh("docker1", "docker ps -q --no-trunc")
    done = lab.cli("down", "--dry-run")
    assert "docker rm --force --volumes qyt1" in done.stdout
    assert "nothing was changed" in done.stdout.splitlines()[-1]
    assert lab.ssh("docker1", "docker ps -q --no-trunc") == before


def test_down_finds_everything_when_the_controllers_folder_is_lost(fresh, machine):
    fresh.cli("up", "-q")
    shutil.rmtree(fresh.base)
    fresh.cli("down", "--yes")
    assert machine.changes(fresh) == []


def test_down_takes_away_a_lab_whose_host_has_died(fresh, machine):
    fresh.cli("up", "-q")
    fresh.kill("docker1")
    fresh.cli("down", "--yes")
    assert machine.changes(fresh) == []


def test_down_keeps_the_hosts_and_says_which_one_could_not_be_cleared(fresh):
    fresh.cli("up", "-q")
    fresh.kill("docker2")
    done = fresh.cli("down", "--keep-hosts", "--yes", check=4)
    assert "docker2: not cleared: the host is not there" in done.stderr
    assert fresh.ssh("docker1", "ls -d /etc/clusterctl 2>/dev/null", check=2) == ""

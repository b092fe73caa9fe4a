"""The local provider with real hosts: up, mended, down, and nothing left behind."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import machine_state
import pytest
from clusterctl.commands import facts as facts_of_a_host
from clusterctl.model.errors import Refused
from clusterctl.model.facts import Facts
from clusterctl.model.inventory import Host, Inventory, Local
from clusterctl.model.lab import Lab
from clusterctl.model.playbook import Playbook
from clusterctl.plan.action import MACHINE
from clusterctl.plan.phase import Noop
from clusterctl.providers.local import LocalProvider
from clusterctl.providers.local.names import Names

pytestmark = pytest.mark.lab

NAME, NET = "prov", "10.1.77"
NAMES = Names(NAME)
PROVIDER = LocalProvider()

OTHERS = machine_state.others_than(NAME)


def lab(state, hosts=2, **local):
    found = {
        f"docker{i}": Host(name=f"docker{i}", address=f"{NET}.{i}", cluster_address=f"{NET}.{i}")
        for i in range(1, hosts + 1)
    }
    settings = Local(subnet=f"{NET}.0/24", gateway=f"{NET}.254", **local)
    inventory = Inventory(name=NAME, provider="local", hosts=found, local=settings)
    return Lab(inventory, Playbook(name="none"), playbook_text="", state=state)


def carry_out(phases, wanted):
    """Decide and do, phase by phase: the machine's actions first, then the hosts' side by side."""
    door, done = PROVIDER.door(), []
    for phase in phases:
        steps = list(phase.plan(wanted, Facts(machine=PROVIDER.facts(wanted))))
        planned = [s for s in steps if not isinstance(s, Noop)]
        done += [a.title for a in planned]
        for action in (a for a in planned if a.host == MACHINE):
            action.perform(door)

        def one(host, planned=planned):
            for action in (a for a in planned if a.host == host):
                action.perform(door)

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, dict.fromkeys(a.host for a in planned if a.host != MACHINE)))
    return done


def ssh(wanted, host, command):
    config = wanted.state / "ssh_config"
    argv = ["ssh", "-F", str(config), "-o", "BatchMode=yes", host, command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def wanted(tmp_path):
    found = lab(tmp_path / "a state's folder")
    carry_out(PROVIDER.down, found)
    yield found
    carry_out(PROVIDER.down, found)


def test_from_nothing_to_hosts_and_back_without_a_trace(wanted, capsys):
    before = machine_state.snapshot(OTHERS)

    carry_out(PROVIDER.up[:2], wanted)  # the root is built at most once; it is not what is measured
    start = time.monotonic()
    carry_out(PROVIDER.up, wanted)
    took = time.monotonic() - start
    for host in wanted.inventory.hosts:
        answer = ssh(wanted, host, "hostname; systemctl is-system-running --wait; systemctl is-active docker")
        assert answer.stdout.split() == ["debian", "running", "inactive"], answer.stderr
    ping = ssh(wanted, "docker1", f"ping -c1 -W2 {NET}.2")
    assert ping.returncode == 0, ping.stdout

    start = time.monotonic()
    assert carry_out(PROVIDER.up, wanted) == [], "a running lab plans nothing"
    again = time.monotonic() - start

    facts = PROVIDER.facts(wanted)
    os.kill(facts.nodes["docker1"].nspawn, signal.SIGKILL)
    assert carry_out(PROVIDER.up, wanted)
    assert ssh(wanted, "docker1", "true").returncode == 0
    assert PROVIDER.facts(wanted).nodes["docker2"].leader == facts.nodes["docker2"].leader

    start = time.monotonic()
    carry_out(PROVIDER.down, wanted)
    down = time.monotonic() - start
    assert carry_out(PROVIDER.down, wanted) == []
    assert not wanted.state.exists()
    assert machine_state.differences(before, machine_state.snapshot(OTHERS)) == []
    with capsys.disabled():
        print(f"\n  up {took:.2f} s, up again {again:.2f} s, down {down:.2f} s")


def test_a_changed_host_key_is_not_trusted(wanted):
    carry_out(PROVIDER.up, wanted)
    known = wanted.state / "known_hosts"
    first, second = known.read_text().splitlines()
    known.write_text(f"{first.rpartition(' ')[0]} {second.rpartition(' ')[2]}\n")
    refused = ssh(wanted, "docker1", "true")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr
    assert ssh(wanted, "docker2", "true").returncode == 255, "an unknown host is not trusted either"


def test_docker_runs_a_container_and_its_groups_are_the_nodes_own(wanted):
    carry_out(PROVIDER.up, wanted)
    steps = (
        "set -e; systemctl start docker; mkdir c; cp /bin/busybox c",
        "printf 'FROM scratch\\nCOPY busybox /bin/\\n' > c/Dockerfile; docker build -q -t bb c > /dev/null",
        "docker run -d --name sleeper bb /bin/busybox sleep 1000 > /dev/null",
        "docker info --format '{{.Driver}}'; docker exec sleeper /bin/busybox echo hello",
    )
    answer = ssh(wanted, "docker1", "\n".join(steps))
    assert answer.stdout.split() == ["overlay2", "hello"], answer.stderr
    assert not list(Path("/sys/fs/cgroup").glob("**/docker1/docker"))
    carry_out(PROVIDER.down, wanted)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{NAMES.node('docker1')}"))


@pytest.mark.parametrize("stage", range(2, 5))
def test_it_goes_on_from_any_stage(wanted, stage):
    carry_out(PROVIDER.up[:stage], wanted)
    carry_out(PROVIDER.up, wanted)
    assert ssh(wanted, "docker2", "true").returncode == 0
    assert carry_out(PROVIDER.up, wanted) == []


def test_a_lost_controller_folder_is_no_lost_lab(wanted):
    carry_out(PROVIDER.up, wanted)
    leader = PROVIDER.facts(wanted).nodes["docker1"].leader
    subprocess.run(["rm", "-rf", str(wanted.state)], check=True)
    carry_out(PROVIDER.up, wanted)
    assert ssh(wanted, "docker1", "true").returncode == 0
    assert PROVIDER.facts(wanted).nodes["docker1"].leader == leader, "the node was not restarted"


def test_a_cut_network_is_mended_under_running_hosts(wanted):
    carry_out(PROVIDER.up, wanted)
    leader = PROVIDER.facts(wanted).nodes["docker1"].leader
    for name in (NAMES.switch, NAMES.node("docker2")):
        subprocess.run(["ip", "netns", "del", name], check=True)
    carry_out(PROVIDER.up, wanted)
    assert ssh(wanted, "docker1", f"ping -c1 -W2 {NET}.2").returncode == 0
    assert PROVIDER.facts(wanted).nodes["docker1"].leader == leader


def test_hosts_come_and_go_and_down_finds_them_all(wanted):
    carry_out(PROVIDER.up, wanted)
    three = lab(wanted.state, hosts=3)
    carry_out(PROVIDER.up, three)
    assert ssh(three, "docker3", f"ping -c1 -W2 {NET}.1").returncode == 0
    subprocess.run(["rm", "-rf", str(wanted.state), NAMES.marker], check=True)
    carry_out(PROVIDER.down, lab(wanted.state, hosts=1))
    facts = PROVIDER.facts(three)
    assert not any(n.runs or n.network or n.mounts or n.control_groups for n in facts.nodes.values())
    assert not Path(NAMES.folder).exists()


def test_another_inventory_of_the_same_name_is_refused(wanted):
    carry_out(PROVIDER.up, wanted)
    other = lab(wanted.state, suite="trixie")
    with pytest.raises(Refused, match="another inventory"):
        carry_out(PROVIDER.up, other)


def test_internet_is_shared_and_taken_back(wanted):
    before = machine_state.snapshot(OTHERS)
    shared = lab(wanted.state, internet=True)
    carry_out(PROVIDER.up, shared)
    assert carry_out(PROVIDER.up, shared) == []
    assert "nameserver" in ssh(shared, "docker1", "cat /etc/resolv.conf").stdout
    assert PROVIDER.facts(shared).rules
    carry_out(PROVIDER.down, shared)
    assert machine_state.differences(before, machine_state.snapshot(OTHERS)) == []


def test_a_fresh_host_is_what_a_dry_run_says_it_is(wanted):
    carry_out(PROVIDER.up, wanted)
    names = ("docker.service", "docker.socket", "etcd.service", "containerd.service")
    asked = facts_of_a_host.read_host(("/etc/hosts", "/etc/hostname"), names)
    found = facts_of_a_host.parse("docker1", ssh(wanted, "docker1", asked.line()).stdout)
    told = PROVIDER.fresh(wanted, wanted.inventory.hosts["docker1"])
    for part in (
        "name", "hostname", "user", "root", "os_id", "os_version", "os_name", "systemd", "addresses", "routes",
        "versions", "tools",
    ):  # fmt: skip
        assert getattr(told, part) == getattr(found, part), part
    assert {p: f.content for p, f in told.files.items()} == {p: f.content for p, f in found.files.items()}
    assert {n: (u.active, u.enabled) for n, u in told.units.items()} == {
        n: (u.active, u.enabled) for n, u in found.units.items()
    }

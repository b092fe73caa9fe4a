"""Containers on the hosts' own wire: the lessons hold, and each check fails once what it checks is broken."""

import contextlib
import json
import subprocess

import labs
import pytest

pytestmark = pytest.mark.lab

MACVLAN = labs.ROOT / "playbooks/macvlan.yml"

ROUTED = """\
name: routed
networks:
  left: {driver: bridge, subnet: 10.31.1.0/24}
  right: {driver: bridge, subnet: 10.31.2.0/24}
containers:
  router:
    host: docker1
    networks: {left: {address: 10.31.1.9}, right: {address: 10.31.2.9}}
    sysctls: {net.ipv4.ip_forward: "1"}
  one:
    host: docker1
    networks: [left]
    capabilities: [NET_ADMIN]
    command: [sh, -c, "ip route add 10.31.2.0/24 via 10.31.1.9; exec sleep 9999"]
  two:
    host: docker1
    networks: [right]
    capabilities: [NET_ADMIN]
    command: [sh, -c, "ip route add 10.31.1.0/24 via 10.31.2.9; exec sleep 9999"]
expect:
  - routed: {from: one, to: two, by: router}
"""


@pytest.fixture(scope="module")
def wire(tmp_path_factory):
    """Two hosts with the macvlan lesson on them."""
    made = labs.Lab(tmp_path_factory.mktemp("wire"), "ltw", "10.1.130")
    made.first = made.cli("up", str(MACVLAN))
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def findings(lab, playbook=MACVLAN, check=0):
    report = json.loads(lab.cli("verify", str(playbook), "-o", "json", check=check).stdout)["report"]
    return {(f["check"], f["subject"]): f for f in report["findings"]}


def outcome(found, kind, subject):
    finding = found[kind, subject]
    return finding["severity"], finding["seen"]


@contextlib.contextmanager
def broken(lab, host, how, mend):
    try:
        lab.ssh(host, how)
        yield
    finally:
        lab.ssh(host, mend)


def inside(container, command):
    return f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {container}) -n {command}"


def address(lab, host, container):
    return lab.ssh(host, f"docker inspect -f '{{{{.NetworkSettings.Networks.wire.IPAddress}}}}' {container}").strip()


def test_the_lesson_holds_and_each_host_gives_addresses_of_its_own(wire):
    assert "13 checks, all hold" in wire.first.stdout
    found = findings(wire)
    assert "nobody there has that address" in outcome(found, "from_host", "docker1 → mac1")[1]
    assert "on eth0: 02:42" in outcome(found, "framed", "mac1 → mac2")[1]
    assert [address(wire, h, c) for h, c in (("docker1", "mac1"), ("docker2", "mac2"))] == [
        "10.1.130.128",
        "10.1.130.160",
    ]
    assert "nothing to do" in wire.cli("up", str(MACVLAN)).stdout


def test_another_mac_than_the_container_s_is_seen_on_the_wire(wire):
    own, other = "02:42:0a:01:82:80", "02:42:0a:01:82:77"
    set_to = "ip link set eth0 address "
    with broken(wire, "docker1", inside("mac1", set_to + other), inside("mac1", set_to + own)):
        found = findings(wire, check=1)
    assert outcome(found, "framed", "mac1 → mac2") == ("failed", f"source MAC {other}, not {own}")


def test_a_way_around_the_parent_makes_the_host_reach_its_container(wire):
    at = address(wire, "docker1", "mac1")
    shim = (
        "ip link add shim link eth0 type macvlan mode bridge && ip link set shim up && "
        f"ip addr add 10.1.130.99/32 dev shim && ip route add {at} dev shim"
    )
    with broken(wire, "docker1", shim, "ip link del shim"):
        severity, seen = outcome(findings(wire, check=1), "from_host", "docker1 → mac1")
    assert (severity, "3 of 3 packets came back on shim" in seen) == ("failed", True)


def test_silence_for_another_reason_proves_nothing(wire):
    at = address(wire, "docker1", "mac1")
    with broken(wire, "docker1", f"ip route add {at} via 10.1.130.2", f"ip route del {at}"):
        severity, seen = outcome(findings(wire, check=1), "from_host", "docker1 → mac1")
    assert severity != "ok", seen


def test_a_container_that_is_off_the_wire_is_reached_by_nobody(wire):
    back = f"{inside('mac1', 'ip link set eth0 up')} && {inside('mac1', 'ip route add default via 10.1.130.254')}"
    with broken(wire, "docker1", inside("mac1", "ip link set eth0 down"), back):
        found = findings(wire, check=1)
    assert outcome(found, "from_host", "docker2 → mac1")[0] == "failed"
    assert outcome(found, "ping", "mac2 → mac1")[0] == "failed"


@pytest.mark.long
def test_who_is_the_router_is_seen_and_that_it_stopped(wire, tmp_path):
    playbook = tmp_path / "routed.yml"
    playbook.write_text(ROUTED)
    wire.cli("up", str(playbook))
    assert outcome(findings(wire, playbook), "routed", "one → two") == ("ok", "one → 10.31.1.9 → 10.31.2.2")
    forward = "sysctl -qw net.ipv4.ip_forward="
    with broken(wire, "docker1", inside("router", f"{forward}0"), inside("router", f"{forward}1")):
        severity, seen = outcome(findings(wire, playbook, check=1), "routed", "one → two")
    assert (severity, "no answer" in seen) == ("failed", True)


@pytest.mark.parametrize(
    ("name", "device", "link"),
    [
        ("ipvlan", "ipvlan", "link t1 name t0 type ipvlan"),
        ("macvlan-vlan", "802.1Q VLAN", "link t1 name t0 type vlan id 7"),
    ],
)
def test_a_lesson_that_the_kernel_cannot_carry_is_refused_with_the_reason(wire, name, device, link):
    """Where it can, the lesson must hold; on real VMs it does: make test-vagrant."""
    try_it = f"ip link add t1 type veth peer name t2 && ip link add {link}"
    able = subprocess.run(["unshare", "-n", "sh", "-c", try_it], capture_output=True, check=False).returncode == 0
    before = wire.snapshots()
    done = wire.cli("up", f"playbooks/{name}.yml", check=0 if able else 3)
    if not able:
        assert f"has no {device} devices, which network" in done.stderr
        assert labs.differences(before, wire.snapshots()) == []

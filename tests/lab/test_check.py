"""`check` holds on healthy hosts, names what was broken and nothing else, and leaves nothing behind."""

import contextlib
import json
import time
from pathlib import Path

import labs
import pytest

pytestmark = pytest.mark.lab

PAIR, BACK = "docker1 → docker2", "docker2 → docker1"
PORTS = ("tcp 2379", "tcp 2380", "tcp 7946", "udp 7946", "udp 4789")
# Whose process, what listens and which rules there are; a connection that has ended is none.
_TRACES = (
    "ps -eo comm= | grep -e perl -e python -e ping | sort; ss -Hlntu | awk '{print $1, $5}' | sort; iptables-save; "
    "ls /tmp /var/tmp"
)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """Two hosts with neither Docker nor etcd nor iptables on them."""
    folder = tmp_path_factory.mktemp("nothing")
    made = labs.Lab(folder, "ltn", "10.1.123")
    made.inventory.write_text(made.text(bare="true"))
    made.make_hosts()
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def traces(lab):
    """Return what a check could have left on the hosts, for `labs.differences`; rules without their counters."""
    lines = {h: lab.ssh(h, _TRACES, check=None).splitlines() for h in lab.hosts}
    return {h: frozenset(x for x in said if "#" not in x and x[:1] != ":") for h, said in lines.items()}


def check(lab, *args, code=0):
    """Run it, see that it has left nothing, and return the findings by check and subject."""
    before = traces(lab)
    report = json.loads(lab.cli("check", "-o", "json", *args, check=code).stdout)["report"]
    assert labs.differences(before, traces(lab)) == []
    found = {}
    for finding in report["findings"]:
        found.setdefault((finding["check"], finding["subject"]), []).append(finding)
    return found


def off(found):
    """Return what is not ok, with its severity."""
    return {key: f["severity"] for key, several in found.items() for f in several if f["severity"] != "ok"}


def seen(found, kind, subject):
    return "; ".join(f["seen"] for f in found[kind, subject])


@contextlib.contextmanager
def broken(lab, host, how, mend):
    """Break something on a host, and mend it whatever the test finds."""
    try:
        lab.ssh(host, how)
        yield
    finally:
        lab.ssh(host, mend)


def test_hosts_with_nothing_on_them_can_carry_the_cluster(nothing):
    before = nothing.snapshots()
    found = check(nothing)
    assert off(found) == {}
    assert {p for p, subject in found if subject == PAIR} == {*PORTS, "mtu"}
    assert "etcd-server, docker.io" in seen(found, "packages", "docker1")
    assert labs.differences(before, nothing.snapshots()) == []


def test_a_finished_lab_is_measured_by_what_holds_its_ports(lab):
    before = lab.snapshots()
    found = check(lab)
    assert off(found) == {}
    assert "tcp 2379 held by etcd" in seen(found, "ports", "docker1")
    assert "udp 4789 held by the kernel" in seen(found, "ports", "docker2")
    assert seen(found, "tcp 2380", PAIR) == "connected to etcd"
    assert seen(found, "udp 7946", BACK) == "answered by Docker's gossip"
    assert "the kernel there counted" in seen(found, "udp 4789", PAIR)
    assert labs.differences(before, lab.snapshots()) == []
    assert "memberlist" not in lab.ssh("docker2", "journalctl -u docker --since -10s --no-pager")


RULES = {
    "udp 4789": ("docker2", "INPUT -p udp -m udp --dport 4789 -j DROP"),
    "udp 7946": ("docker1", "OUTPUT -p udp -m udp --dport 7946 -j DROP"),
    "tcp 2379": (
        "docker2",
        "INPUT -s {net}.1/32 -p tcp -m tcp --dport 2379 -j REJECT --reject-with icmp-port-unreachable",
    ),
    "tcp 7946": ("docker2", "INPUT -p tcp -m multiport --dports 7000:8000 -j DROP"),
}


OFTEN = (("bare", "udp 4789"), ("bare", "tcp 2379"), ("lab", "udp 7946"))
"""What is tried in each run; the rest in the long one."""


@pytest.mark.parametrize(
    ("kind", "port"),
    [
        pytest.param(kind, port, marks=[] if (kind, port) in OFTEN else [pytest.mark.long])
        for kind in ("bare", "lab")
        for port in RULES
    ],
)
def test_a_rule_in_one_direction_is_measured_and_named(kind, port, request):
    hosts = request.getfixturevalue(kind)
    host, rule = RULES[port]
    rule = rule.format(net=hosts.net)
    with broken(hosts, host, f"iptables -I {rule}", f"iptables -D {rule}"):
        found = check(hosts, code=1)
    assert off(found) == {(port, PAIR): "failed", ("firewall", host): "warning"}
    assert rule in seen(found, "firewall", host)


def test_a_policy_with_exceptions_names_only_what_is_missing(bare):
    rules = "iptables -A INPUT -p tcp -m multiport --dports 22,2379,2380,7946 -j ACCEPT; "
    rules += (
        "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p icmp -j ACCEPT; "
    )
    rules += "iptables -A INPUT -p udp --dport 7946 -j ACCEPT; iptables -P INPUT DROP"
    with broken(bare, "docker2", rules, "iptables -P INPUT ACCEPT; iptables -F INPUT"):
        found = check(bare, code=1)
    assert off(found) == {("udp 4789", PAIR): "failed", ("firewall", "docker2"): "warning"}
    assert seen(found, "firewall", "docker2") == "udp 4789 from other hosts is dropped: policy DROP of INPUT"


def test_the_largest_packet_is_found(bare):
    with broken(bare, "docker2", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"):
        found = check(bare, code=1)
    assert off(found) == {("mtu", PAIR): "failed", ("mtu", BACK): "failed"}
    sizes = [int(seen(found, "mtu", p).split()[0]) for p in (PAIR, BACK)]
    assert all(1400 <= size <= 1404 for size in sizes), "a veth lets four bytes more through, for a VLAN's tag"


def test_a_port_that_a_stranger_has_is_named_and_not_taken_for_ours(bare):
    stranger = "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(LocalPort => 4789, Proto => q(udp)) and sleep 99'"
    run = f"systemd-run -q --unit=theirs --collect {stranger}; sleep 0.5"
    with broken(bare, "docker1", run, "systemctl stop theirs"):
        found = check(bare, code=1)
    assert off(found) == {("ports", "docker1"): "failed", ("udp 4789", BACK): "unknown"}
    assert seen(found, "ports", "docker1") == "port 4789/udp is in use by perl"
    assert "Address already in use" in seen(found, "udp 4789", BACK)


def test_a_clone_of_a_host_is_seen(bare):
    theirs = bare.ssh("docker1", "cat /etc/machine-id").strip()
    swap = f"cp /etc/machine-id /root/id; echo {theirs} > /etc/machine-id"
    with broken(bare, "docker2", swap, "cat /root/id > /etc/machine-id; rm /root/id"):
        found = check(bare, code=1)
    assert off(found) == {("machine-id", "docker1"): "failed", ("machine-id", "docker2"): "failed"}


def test_two_daemons_of_one_name_are_seen(lab):
    with broken(lab, "docker2", "hostname docker1", "hostname docker2"):
        found = check(lab, code=1)
    assert off(found) == {("hostname", "docker1"): "failed", ("hostname", "docker2"): "failed"}


HANGS = {
    "sshd stands still": ("systemctl kill -s STOP ssh", "systemctl kill -s CONT ssh"),
    "packets to sshd are dropped": ("iptables -I INPUT -p tcp --dport 22 -j DROP", "iptables -D INPUT 1"),
}


@contextlib.contextmanager
def hanging(lab, how):
    """Let docker2 hang until the end. Nobody gets in meanwhile, so it waits for a file that comes from outside."""
    hang, mend = HANGS[how]
    go = f"{lab.machine_facts().nodes['docker2'].leader}"
    inside = f"{hang}; while [ ! -e /run/mend ]; do sleep 0.1; done; rm /run/mend; {mend}"
    lab.ssh("docker2", f"systemd-run -q --unit=hang --collect sh -c 'sleep 0.3; {inside}'")
    time.sleep(1)
    try:
        yield
    finally:
        Path(f"/proc/{go}/root/run/mend").touch()
        lab.ssh("docker2", "while systemctl -q is-active hang; do sleep 0.1; done")


def either(often):
    """Return both ways to hang; the one that is not tried often is for the long run."""
    return [pytest.param(how, marks=[] if how == often else [pytest.mark.long]) for how in HANGS]


@pytest.mark.parametrize("how", either("sshd stands still"))
def test_a_host_that_hangs_is_unknown_and_all_is_told_of_the_other(how, bare):
    with hanging(bare, how):
        report = json.loads(bare.cli("check", "-o", "json", check=1).stdout)["report"]
    whole = {f["check"] for f in report["findings"] if f["subject"] == "docker1"}
    by_host = {h: {f["severity"] for f in report["findings"] if f["subject"] == h} for h in bare.hosts}
    assert by_host == {"docker1": {"ok"}, "docker2": {"unknown"}}
    assert whole == {kind for kind, subject in check(bare) if subject == "docker1"}


@pytest.mark.parametrize("how", either("packets to sshd are dropped"))
def test_status_shows_a_host_that_hangs_as_unknown_and_the_other_as_it_is(how, lab):
    before = json.loads(lab.cli("status", "-o", "json").stdout)
    with hanging(lab, how):
        found = json.loads(lab.cli("status", "-o", "json", check=1).stdout)
    for layer in ("hosts", "docker", "containers"):
        assert [row["state"] for row in found[layer]] == ["ok", "unknown"]
        assert found[layer][0].keys() == before[layer][0].keys()
    assert found["docker"][0]["version"] == before["docker"][0]["version"]
    assert found["etcd"][0]["healthy"] is True, "the store has its majority: sshd hangs, not etcd"
    assert lab.cli("status").stdout.endswith("all is as it must be\n")


FDB = "nsenter --net=$(ls -d /run/docker/netns/[0-9]*-*) bridge fdb"


def test_status_shows_an_entry_that_is_missing_where_it_is_missing(lab):
    mac, _, to = lab.ssh("docker1", f"{FDB} show dev vxlan0 | grep dst").split()[:3]
    mend = f"{FDB} add {mac} dev vxlan0 dst {to} self permanent"
    with broken(lab, "docker1", f"{FDB} del {mac} dev vxlan0", mend):
        found = json.loads(lab.cli("status", "-o", "json", check=1).stdout)
    assert [(row["host"], row["state"], row["lacking"]) for row in found["forwarding"]] == [
        ("docker1", "failed", ["qyt2"]),
        ("docker2", "ok", []),
    ]


@pytest.mark.long
def test_status_sends_packets_when_it_is_asked_to(lab):
    found = json.loads(lab.cli("status", "--deep", "-o", "json").stdout)
    assert [(r["source"], r["target"], r["sent"] - r["received"], r["state"]) for r in found["reachability"]] == [
        ("qyt1", "qyt2", 0, "ok"),
        ("qyt2", "qyt1", 0, "ok"),
    ]
    assert all(r["latency_ms"] > 0 for r in found["reachability"])
    rule = "INPUT -p udp -m udp --dport 4789 -j DROP"
    with broken(lab, "docker2", f"iptables -I {rule}", f"iptables -D {rule}"):
        found = json.loads(lab.cli("status", "--deep", "-o", "json", check=1).stdout)
    assert [(w["source"], w["state"]) for w in found["underlay"]] == [("docker1", "failed"), ("docker2", "ok")]


def test_some_of_the_hosts_can_be_chosen(bare):
    assert {subject for _, subject in check(bare, "--hosts", "docker2")} == {"docker2"}
    assert "not in the inventory: docker7" in bare.cli("check", "--hosts", "docker7", check=2).stderr


def test_the_table_has_a_matrix(bare):
    out = bare.cli("check").stdout
    assert "to docker2" in out
    assert "all hold" in out

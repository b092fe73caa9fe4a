"""What each layer's judgement makes of what was read: nothing of a healthy lab, and the cause of a broken one."""

from dataclasses import replace

import example
import pytest
from clusterctl.checks.layers import judge
from clusterctl.model.facts import Unit
from clusterctl.stores import etcd
from clusterctl.topology.anatomy import HOST, Disk, Process
from layered_lab import (
    BASE,
    LAB,
    OVERLAY,
    RULES,
    endpoint,
    faults,
    healthy,
    keys,
    status,
    with_anatomy,
    with_docker,
    with_facts,
    with_measured,
    with_space,
)


def test_a_healthy_lab_is_never_blamed():
    assert faults(healthy()) == []


def _missing(survey, why):
    facts = survey.facts
    left = {h: f for h, f in facts.hosts.items() if h != "docker2"}
    return replace(survey, facts=replace(facts, hosts=left, missing={"docker2": why}))


def _daemon_down(survey, active):
    found = survey.facts.hosts["docker2"]
    units = {**found.units, "docker.service": Unit(active, "enabled")}
    return with_facts(survey, "docker2", units=units, docker=None)


def _etcd_down(survey):
    found = survey.facts.hosts["docker2"]
    survey = with_facts(survey, "docker2", units={**found.units, etcd.UNIT: Unit("inactive", "enabled")})
    return replace(survey, members={"docker1": status(1, leader=0), "docker2": "connection refused"})


def _container(survey, state):
    found = survey.facts.hosts["docker2"].docker.containers
    return with_docker(survey, "docker2", containers={"qyt2": replace(found["qyt2"], state=state)})


def _process(survey, unit, state):
    processes = survey.anatomies["docker2"].processes
    return with_anatomy(survey, "docker2", processes={**processes, unit: Process(7, state)})


def _stale(survey):
    return replace(survey, keys={**keys(), f"{BASE}/endpoint/net-id-0/ep9": endpoint("old", "ep9", 9, "10.1.90.2")})


def _rule(survey, host, rule):
    return with_space(survey, host, HOST, rules=("*filter", rule, "COMMIT", *RULES))


def _first(survey):
    return next(j for j in judge(LAB, survey) if not j.holds)


PAIR = "docker1 → docker2"

BROKEN = [
    ("gone", lambda s: _missing(s, "the host is not there"), "host", "gone", "docker2"),
    ("hung host", lambda s: _missing(s, "no answer within 9 s"), "host", "silent", "docker2"),
    ("clock", lambda s: with_facts(s, "docker2", clock=-3600.0), "host", "clock", "docker2"),
    ("disk", lambda s: with_anatomy(s, "docker2", disks=(Disk("/var/lib/docker", 0, 100),)), "host", "disk", "docker2"),
    ("inodes", lambda s: with_anatomy(s, "docker2", disks=(Disk("/", 10**6, 9, 100),)), "host", "disk", "docker2"),
    ("readonly", lambda s: with_anatomy(s, "docker2", readonly=("/run",)), "host", "disk", "docker2"),
    ("hostname", lambda s: with_facts(s, "docker2", hostname="docker1"), "host", "same-hostname", "docker2"),
    ("machine-id", lambda s: with_facts(s, "docker2", machine_id="id1"), "host", "same-machine-id", "docker2"),
    (
        "forward",
        lambda s: with_space(s, "docker2", HOST, sysctls={"ipv4/ip_forward": "0"}),
        "host",
        "ip-forward",
        "docker2",
    ),
    ("4789", lambda s: with_measured(s, PAIR, "udp 4789"), "underlay", "udp-4789-dropped", PAIR),
    ("7946", lambda s: with_measured(s, PAIR, "udp 7946"), "underlay", "udp-7946-dropped", PAIR),
    ("mtu", lambda s: with_measured(s, PAIR, "mtu"), "underlay", "mtu", PAIR),
    (
        "route",
        lambda s: with_anatomy(s, "docker1", paths={"10.1.90.2": "RTNETLINK answers: Invalid argument"}),
        "underlay",
        "route",
        PAIR,
    ),
    ("quorum", _etcd_down, "etcd", "quorum-lost", "docker2"),
    ("etcd halted", lambda s: _process(s, etcd.UNIT, "T"), "etcd", "member-down", "docker2"),
    (
        "alarm",
        lambda s: replace(s, members={**s.members, "docker1": status(1, alarms=("NOSPACE docker1",))}),
        "etcd",
        "alarm-nospace",
        "docker1",
    ),
    ("dockerd", lambda s: _daemon_down(s, "inactive"), "dockerd", "stopped", "docker2"),
    ("dockerd hangs", lambda s: _process(s, "docker.service", "T"), "dockerd", "hung", "docker2"),
    ("no store", lambda s: with_docker(s, "docker2", store="", advertise=""), "dockerd", "no-store", "docker2"),
    ("advertised", lambda s: with_docker(s, "docker2", advertise="10.1.90.9:2375"), "dockerd", "advertise", "docker2"),
    (
        "gossip",
        lambda s: with_facts(s, "docker2", listeners=s.facts.hosts["docker1"].listeners),
        "dockerd",
        "gossip",
        "docker2",
    ),
    ("network", lambda s: with_docker(s, "docker2", networks={}), "network", "network-unseen", example.NETWORK),
    ("stale endpoint", _stale, "network", "stale-endpoint", "old"),
    ("fdb", lambda s: with_space(s, "docker1", OVERLAY, forwards=()), "forwarding", "fdb-missing", "docker1 → qyt2"),
    (
        "neighbour",
        lambda s: with_space(s, "docker1", OVERLAY, neighbours=()),
        "forwarding",
        "neighbour",
        "docker1 → qyt2",
    ),
    (
        "overlay's forward policy",
        lambda s: with_space(s, "docker1", OVERLAY, rules=("*filter", ":FORWARD DROP [0:0]", "COMMIT")),
        "forwarding",
        "overlay-rule",
        example.NETWORK,
    ),
    (
        "host's forward policy",
        lambda s: with_space(s, "docker1", HOST, rules=("*filter", ":FORWARD DROP [0:0]", "COMMIT", *RULES[-3:])),
        "forwarding",
        "forward-drop",
        "docker1",
    ),
    ("stopped", lambda s: _container(s, "exited"), "containers", "container-stopped", "qyt2"),
    ("paused", lambda s: _container(s, "paused"), "containers", "container-paused", "qyt2"),
    (
        "a rule inside",
        lambda s: with_space(
            s, "docker2", "/run/docker/netns/qyt2", rules=("*filter", "-A INPUT -p icmp -j DROP", "127.0.0.11")
        ),
        "containers",
        "container-rule",
        "qyt2",
    ),
    ("DNS", lambda s: with_space(s, "docker2", "/run/docker/netns/qyt2", rules=()), "containers", "dns-rules", "qyt2"),
]


@pytest.mark.parametrize(("breaks", "layer", "check", "subject"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_the_lowest_broken_layer_has_the_cause(breaks, layer, check, subject):
    found = faults(breaks(healthy()))
    assert found, "nothing was found"
    assert found[0][:3] == (layer, check, subject)


def test_a_dropped_port_names_the_rule_that_drops_it_and_how_to_take_it_away():
    survey = with_measured(healthy(), PAIR, "udp 4789")
    survey = _rule(survey, "docker2", "[7:800] -A INPUT -p udp -m udp --dport 4789 -j DROP")
    found = _first(survey).finding
    assert "a rule on docker2 does it" in found.seen
    assert found.hint == "docker2: iptables -D INPUT -p udp -m udp --dport 4789 -j DROP"
    assert "[7:800]" in found.evidence[0].output


def _without_networks(survey):
    for host in ("docker1", "docker2"):
        survey = with_docker(survey, host, networks={})
    return survey


def test_a_network_that_the_store_lost_is_mended_by_up_unless_its_pool_is_left():
    daemons = {k: v for k, v in keys().items() if k.startswith(etcd.NODES)}
    empty = replace(_without_networks(healthy()), keys=daemons)
    found = _first(empty)
    assert (found.finding.check, found.completes) == ("store-lost-network", True)
    assert "which qyt1 on docker1, qyt2 on docker2 still stand on" in found.finding.seen
    pool = {f"{BASE}/ipam/default/config/GlobalDefault": '{"Subnets": {"GlobalDefault/10.10.10.0/24": {}}}'}
    left = _first(replace(empty, keys={**daemons, **pool}))
    assert (left.finding.check, left.completes) == ("store-lost-network", False)
    assert "clusterctl etcd restore" in left.finding.hint
    gone = with_docker(with_docker(empty, "docker1", containers={}), "docker2", containers={})
    assert _first(gone).finding.check == "network-missing"


def test_a_member_that_is_shut_off_names_the_rule():
    silent = replace(healthy(), members={"docker1": status(1), "docker2": "connection refused"})
    assert "does not answer: connection refused" in _first(silent).finding.seen
    found = _first(_rule(silent, "docker2", "-A INPUT -p tcp -m tcp --dport 2379 -j REJECT")).finding
    assert "a rule there takes what asks it: -A INPUT -p tcp -m tcp --dport 2379 -j REJECT" in found.seen
    assert found.hint == "docker2: iptables -D INPUT -p tcp -m tcp --dport 2379 -j REJECT"


def test_a_stopped_container_is_started_once_docker_has_its_threads_together():
    def deeds(survey):
        return [a.title for a in _first(survey).safe]

    stopped = _container(healthy(), "exited")
    assert deeds(stopped) == ["start qyt2"]
    astray = with_facts(stopped, "docker2", astray=1)
    assert deeds(astray) == ["restart Docker under its running containers", "start qyt2"]
    aged = with_facts(astray, "docker2", aged=True)
    assert (deeds(aged), _first(aged).completes) == ([], True)


LOG = (
    "Starting docker.service - Docker Application Container Engine...",
    'time="2026" level=error msg="what it said the last time"',
    "Stopped docker.service - Docker Application Container Engine.",
    "Starting docker.service - Docker Application Container Engine...",
    'time="2026" level=info msg="an error that is none" error="<nil>"',
    "unable to configure the Docker daemon with file /etc/docker/daemon.json: unexpected EOF",
    "docker.service: Failed with result 'exit-code'.",
)


def test_a_daemon_that_does_not_start_is_quoted_from_its_last_try():
    found = _first(with_anatomy(_daemon_down(healthy(), "failed"), "docker2", logs={"docker.service": LOG}))
    assert found.finding.seen == f"Docker on docker2 does not start: {LOG[5]}"
    assert not found.safe


def test_a_service_that_was_killed_while_it_was_stopped_may_be_started():
    processes = {"docker.service": Process(sub="failed", result="signal")}
    found = _first(with_anatomy(_daemon_down(healthy(), "failed"), "docker2", processes=processes))
    assert (found.finding.seen, found.completes) == ("Docker on docker2 is stopped", True)

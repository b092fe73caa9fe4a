"""What came of the calls between two hosts, judged."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from clusterctl.checks import pairs
from clusterctl.commands.underlay import BURSTS, Answered, Call, Heard, burst
from clusterctl.model.facts import Facts, Listener
from clusterctl.model.finding import Finding
from example import changed, finished, fresh, lab

PORTS = ("tcp 2379", "tcp 2380", "tcp 7946", "udp 7946", "udp 4789")
ONE, TWO = "10.1.90.1", "10.1.90.2"
PAIR = "docker1 → docker2"


def listened(*but: str, address: str = ONE) -> Heard:
    """Return a listener that heard the peer everywhere but there."""
    heard = frozenset((p, address) for p in PORTS if p not in but)
    return Heard(bound=frozenset(PORTS), heard=heard)


def called(facts: Facts, wanted=None, **other: Answered) -> dict[Call, Answered]:
    """Return what came of docker1's calls: all is well but what is said otherwise, by port as `udp_4789`."""
    wanted = wanted or lab()
    hosts = wanted.inventory.hosts
    calls = pairs.to_call(wanted, facts, hosts["docker1"], hosts["docker2"])
    well = {p: Answered(True, str(c.size) if p == "mtu" else "answered", 1) for p, c in calls.items()}
    return {calls[p]: other.get(p.replace(" ", "_"), a) for p, a in well.items()}


def judged(facts: Facts, heard: Heard | str, answers: dict[Call, Answered] | str) -> dict[str, Finding]:
    found = pairs.judge(lab(), facts, {"docker2": heard}, {"docker1": answers})
    return {f.check: f for f in found if f.subject == PAIR}


def severity(facts: Facts, check: str, heard: Heard | str, answers: dict[Call, Answered] | str) -> str:
    found = judged(facts, heard, answers)
    assert {f.check for f in found.values() if f.severity != "ok"} <= {check}
    return str(found[check].severity)


LOST = Answered(False, "no answer", 18)


def test_all_is_ok_when_everything_was_answered() -> None:
    found = judged(fresh(), listened(), called(fresh()))
    assert {c: str(f.severity) for c, f in found.items()} == dict.fromkeys((*PORTS, "mtu"), "ok")


@pytest.mark.parametrize("port", PORTS)
def test_what_did_not_arrive_at_our_listener_failed(port: str) -> None:
    heard = listened(port)
    assert severity(fresh(), port, heard, called(fresh(), **{port.replace(" ", "_"): LOST})) == "failed"


def test_what_arrived_is_ok_even_if_its_answer_is_lost() -> None:
    assert severity(fresh(), "udp 4789", listened(), called(fresh(), udp_4789=LOST)) == "ok"


@pytest.mark.parametrize("port", PORTS)
def test_without_a_listener_nothing_that_failed_is_proven(port: str) -> None:
    answers = called(fresh(), **{port.replace(" ", "_"): LOST})
    assert severity(fresh(), port, "docker2 has neither perl nor python3", answers) == "unknown"
    stranger = replace(listened(port), bound=frozenset(PORTS) - {port}, held={port: "Address already in use"})
    assert severity(fresh(), port, stranger, answers) == "unknown"


def test_without_the_caller_everything_is_unknown_with_the_reason() -> None:
    found = judged(fresh(), listened(), "docker1: no answer within 6 s")
    assert {(str(f.severity), f.seen) for f in found.values()} == {("unknown", "docker1: no answer within 6 s")}


def test_hosts_that_did_not_answer_are_in_no_pair() -> None:
    alone = Facts({"docker1": fresh().hosts["docker1"]}, {"docker2": "no route"})
    assert list(pairs.judge(lab(), alone, {}, {})) == []


def test_what_docker_and_the_kernel_hold_is_called_as_they_answer() -> None:
    hosts = lab().inventory.hosts
    calls = pairs.to_call(lab(), finished(), hosts["docker2"], hosts["docker1"])
    assert {p: (c.kind, c.size) for p, c in calls.items()} == {
        "tcp 2379": ("tcp", 1),
        "tcp 2380": ("tcp", 1),
        "tcp 7946": ("tcp", 1),
        "udp 7946": ("gossip", 1),
        "udp 4789": ("burst", burst(1)),
        "mtu": ("mtu", 1500),
    }
    assert pairs.watched(lab(), finished(), hosts["docker1"]) == [burst(1)]


def test_gossip_that_answers_nothing_failed() -> None:
    held = Heard(held=dict.fromkeys(PORTS, "Address already in use"), steps=(burst(0),) * BURSTS)
    found = judged(finished(), held, called(finished(), udp_7946=LOST))
    assert (str(found["udp 7946"].severity), found["udp 7946"].seen) == (
        "failed",
        "Docker's gossip answered none of 18 pings (no answer)",
    )


@pytest.mark.parametrize(
    ("steps", "severity"),
    [
        ((1, 21, 20, 20, 1, 20, 20, 20, 20, 20), "ok"),  # as it was recorded, gossip in between
        ((20, 22, 24), "ok"),
        ((), "failed"),
        ((1, 2, 1), "failed"),
        ((20, 20), "unknown"),
        ((3000, 2800, 4000), "unknown"),
        ((12, 15, 11), "unknown"),
    ],
)
def test_bursts_are_proof_only_when_they_are_counted_as_such(steps: tuple[int, ...], severity: str) -> None:
    held = Heard(held=dict.fromkeys(PORTS, "Address already in use"), steps=steps)
    found = judged(finished(), held, called(finished(), udp_4789=Answered(True, "sent", BURSTS)))
    assert str(found["udp 4789"].severity) == severity


def test_bursts_of_two_hosts_cannot_be_taken_for_each_other() -> None:
    sizes = [burst(n) for n in range(20)]
    assert all(b - a >= 5 for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize(
    ("answer", "severity"),
    [
        (Answered(True, "1500", 1), "ok"),
        (Answered(True, "1391", 2), "failed"),
        (Answered(False, "1200", 2), "failed"),
        (Answered(False, "no answer", 9), "unknown"),
        (Answered(False, "no raw socket: Operation not permitted", 0), "unknown"),
    ],
)
def test_the_path_must_carry_what_the_overlay_sends(answer: Answered, severity: str) -> None:
    found = judged(fresh(), listened(), called(fresh(), mtu=answer))["mtu"]
    assert str(found.severity) == severity
    if answer.seen == "1391":
        assert "com.docker.network.driver.mtu: '1341'" in found.hint


def test_an_overlay_with_an_mtu_of_its_own_needs_no_more() -> None:
    options = {"com.docker.network.driver.mtu": "1400"}
    narrow = lab(networks={"qyt_overlay": {"driver": "overlay", "subnet": "10.10.10.0/24", "options": options}})
    assert pairs.packet(narrow) == 1450


def test_only_what_roles_need_is_measured() -> None:
    hosts = {
        "a": {"address": ONE, "roles": ["etcd"]},
        "b": {"address": TWO, "roles": ["docker"]},
        "c": {"address": "10.1.90.3", "roles": ["etcd", "docker"]},
    }
    found = lab(hosts=hosts, containers={}).inventory.hosts
    assert pairs.needed(found["b"], found["a"]) == ("tcp 2379",)
    assert pairs.needed(found["a"], found["b"]) == ()
    assert pairs.needed(found["a"], found["c"]) == ("tcp 2379", "tcp 2380")
    assert pairs.needed(found["c"], found["b"]) == ("tcp 7946", "udp 7946", "udp 4789")


def test_a_tcp_port_of_a_stranger_proves_the_path_and_no_more() -> None:
    facts = changed(fresh(), "docker2", lambda f: replace(f, listeners=(Listener("tcp", "0.0.0.0", 2379, "nginx"),)))
    heard = replace(listened(), bound=frozenset(PORTS[1:]), held={"tcp 2379": "Address already in use"})
    assert judged(facts, heard, called(facts))["tcp 2379"].seen == "connected to what holds the port"

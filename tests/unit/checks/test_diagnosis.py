"""From layers to a cause: which one is told, what is looked at again, and where lost packets vanish."""

from dataclasses import replace

import pytest
from clusterctl.checks.layers import judge, reachability, trace
from clusterctl.checks.layers.diagnosis import Diagnosis, upgraded
from clusterctl.checks.probe import Trouble
from clusterctl.commands.trace import counted
from clusterctl.model.finding import Layer, Severity
from clusterctl.plan.door import Exec
from layered_lab import LAB, OVERLAY, faults, healthy, with_anatomy, with_measured, with_space

PAIR = "qyt1 → qyt2"
ECHO = (
    "PING {0} ({0}): 56 data bytes\n64 bytes from {0}: seq=0 ttl=64 time=0.2 ms\n\n"
    "{1} packets transmitted, {2} received\n"
)
FILES = "/etc/resolv.conf:nameserver 127.0.0.11\n/etc/hosts:127.0.0.1\tlocalhost\n"
UNKNOWN_NAME = Exec(1, "ping: bad address 'qyt2'\n")


def answered(**changed):
    """Return a survey whose probes all came back well, those of qyt1 → qyt2 changed."""
    survey = healthy()
    answers = {}
    for pair in reachability.pairs(LAB, survey):
        good = {
            "address": Exec(0, ECHO.format(pair.ip, 3, 3)),
            "name": Exec(0, ECHO.format(pair.ip, 1, 1)),
            "large": Exec(0, ECHO.format(pair.ip, 2, 2)),
            "tcp": Exec(1, f"nc: can't connect to remote host ({pair.ip}): Connection refused\n"),
            "names": Exec(0, FILES),
        }
        for name, answer in {**good, **(changed if pair.subject == PAIR else {})}.items():
            answers[getattr(pair, name)] = answer
    answers |= {way.probe: Exec(0, ECHO.format(way.address, 1, 1)) for way in reachability.ways_out(LAB, survey)}
    return replace(survey, answers=answers)


def test_who_reaches_whom_is_said_with_its_latency():
    survey = answered()
    assert faults(survey) == []
    seen = [j.finding.seen for j in reachability.judge(LAB, survey)]
    assert seen == ["10.10.10.3 answers in 0.2 ms, no loss", "10.10.10.2 answers in 0.2 ms, no loss"]


@pytest.mark.parametrize(
    ("changed", "check", "words"),
    [
        ({"address": Exec(1, ECHO.format("10.10.10.3", 3, 0))}, "lost", "no packet comes back"),
        ({"address": Exec(0, ECHO.format("10.10.10.3", 3, 2))}, "lost", "1 of 3 packets are lost"),
        ({"address": Exec(2, "ping: sendto: Network is unreachable\n")}, "no-route", "Network is unreachable"),
        ({"large": Exec(1, ECHO.format("10.10.10.3", 2, 0))}, "large-lost", "an MTU on the way is too small"),
        ({"tcp": Exec(1, "nc: timed out\n")}, "tcp-lost", "drops TCP"),
        ({"name": UNKNOWN_NAME}, "name-unknown", "does not resolve"),
        ({"name": UNKNOWN_NAME, "names": Exec(0, "/etc/resolv.conf:nameserver 8.8.8.8\n")}, "dns-server", "8.8.8.8"),
        (
            {"name": Exec(1, ECHO.format("10.9.9.9", 1, 0)), "names": Exec(0, f"{FILES}/etc/hosts:10.9.9.9 qyt2\n")},
            "name-pinned",
            "its own /etc/hosts",
        ),
        ({"address": Trouble("container is not running", severity=Severity.FAILED)}, "exec", "cannot run a command"),
    ],
)
def test_what_does_not_come_back_is_told_apart(changed, check, words):
    (layer, found, subject, seen), *others = faults(answered(**changed))
    assert (layer, found, subject) == ("reachability", check, PAIR)
    assert words in seen
    assert not others


def test_an_image_without_a_tool_is_no_fault():
    missing = Exec(127, "sh: nc: not found\n")
    assert faults(answered(tcp=missing, names=missing)) == []


def diagnosis(survey):
    return Diagnosis("ut", upgraded(judge(LAB, survey)), tuple(Layer))


def test_the_cause_is_of_the_lowest_broken_layer_and_nothing_above_it_is_judged():
    survey = with_measured(with_space(healthy(), "docker1", OVERLAY, forwards=()), "docker1 → docker2", "udp 4789")
    found = diagnosis(survey)
    assert found.cause.finding.check == "udp-4789-dropped"
    assert found.state(Layer.HOST) == "ok"
    assert found.state(Layer.FORWARDING) == "not judged"
    document = found.document()
    assert document["cause"]["layer"] == "underlay"
    assert not document["healthy"]


def test_what_is_broken_comes_before_what_is_not_known():
    unknown = with_measured(healthy(), "docker1 → docker2", "mtu", severity=Severity.UNKNOWN)
    assert diagnosis(unknown).cause.finding.severity is Severity.UNKNOWN
    both = with_space(unknown, "docker1", OVERLAY, forwards=())
    assert diagnosis(both).cause.finding.check == "fdb-missing"


def test_a_daemon_that_started_without_its_store_is_the_cause_only_where_something_is_lost():
    line = 'level=error msg="discovery error: client: etcd cluster is unavailable or misconfigured"'
    survey = with_anatomy(healthy(), "docker2", starts={"docker.service": (line,)})
    assert diagnosis(survey).healthy
    lost = with_space(survey, "docker2", OVERLAY, neighbours=())
    cause = diagnosis(lost).cause.finding
    assert (cause.check, cause.subject) == ("blind-start", "docker2")


def trail(*counts):
    survey = healthy()
    pair = reachability.pairs(LAB, survey)[0]
    way = trace.points(LAB, survey, pair)
    assert [p.interface for p in way] == ["eth0", "veth0", "vxlan0", "eth0", "eth0", "vxlan0", "veth0", "eth0"]
    return survey, trace.Trail(pair, way, counts)


ALL, NONE = (4, 4), (0, 0)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((NONE,) * 8, "inside qyt1 on docker1: none leaves eth0 of qyt1"),
        (((4, 0), *(NONE,) * 7), "on docker1, between eth0 of qyt1 and veth0"),
        (((4, 0),) * 3 + (NONE,) * 5, "on docker1, between vxlan0 of qyt_overlay on docker1 and eth0 of docker1"),
        (((4, 0),) * 4 + (NONE,) * 4, "they leave docker1 and do not arrive at docker2"),
        (((4, 0),) * 5 + (NONE,) * 3, "they arrive, and the VXLAN does not take them"),
        (((4, 0),) * 8, "inside qyt2 on docker2: they arrive at eth0 of qyt2, and none is answered"),
        (((4, 0),) * 4 + (ALL,) * 4, "they leave docker2 and do not arrive at docker1"),
        (((4, 0),) * 4 + (None,) + (NONE,) * 3, "and do not arrive at docker2"),
    ],
)
def test_packets_vanish_between_two_points(counts, words):
    survey, followed = trail(*counts)
    cause = next(j for j in judge(LAB, answered(address=Exec(1, ECHO.format("10.10.10.3", 3, 0)))) if not j.holds)
    found = trace.explained(LAB, survey, cause, followed).finding
    assert words in found.seen
    assert len(found.evidence[-1].output.splitlines()) == 8


def test_a_rule_where_they_vanish_is_named():
    survey, followed = trail(((4, 0)), *(NONE,) * 7)
    survey = with_space(survey, "docker1", OVERLAY, rules=("*filter", "-A FORWARD -p icmp -j DROP"))
    cause = next(j for j in judge(LAB, answered(address=Exec(1, ECHO.format("10.10.10.3", 3, 0)))) if not j.holds)
    found = trace.explained(LAB, survey, cause, followed).finding
    assert "a rule there drops: -A FORWARD -p icmp -j DROP" in found.seen
    assert "iptables -D FORWARD -p icmp -j DROP" in found.hint


def test_packets_are_counted_by_their_inner_direction():
    text = (
        "\x01 point 1\n"
        "17:00:00.1 IP 10.10.10.2 > 10.10.10.3: ICMP echo request, id 1, seq 0, length 64\n"
        "17:00:00.1 IP 10.10.10.3 > 10.10.10.2: ICMP echo reply, id 1, seq 0, length 64\n\n"
        "\x01 point 2\n"
        "17:00:00.1 IP 10.1.1.1.4000 > 10.1.1.2.4789: VXLAN, flags [I] (0x08), vni 256\n"
        "IP 10.10.10.2.5000 > 10.10.10.3.9: Flags [S], seq 1\n\n"
        "\x01 point 3\ndeaf tcpdump: eth9: No such device\n\n"
        "\x01 made\n\n\x01 end\n"
    )
    assert counted(text, "10.10.10.2", "10.10.10.3") == [(1, 1), (1, 0), None]
    with pytest.raises(ValueError, match="cut short"):
        counted(text.replace("\x01 end", ""), "10.10.10.2", "10.10.10.3")


def test_a_host_that_answers_no_ping_is_not_asked_whether_containers_get_out():
    survey = with_space(answered(), "docker2", "-", sysctls={"ipv4/icmp_echo_ignore_all": "1"})
    assert [way.source.name for way in reachability.ways_out(LAB, survey)] in ([], ["qyt2"])
    assert "way-out" not in [f[1] for f in faults(survey)]

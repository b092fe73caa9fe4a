"""The checks of networks on the hosts' own wire, on what real hosts printed: right evidence, and no other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from clusterctl.checks import KINDS, checks_of
from clusterctl.checks.probe import InContainer, OnHost, Trouble
from clusterctl.checks.routed import read_hops
from clusterctl.model.facts import Address, ContainerFacts, DockerFacts, Facts, HostFacts
from clusterctl.model.finding import Severity
from clusterctl.model.inventory import load_inventory
from clusterctl.model.lab import Lab
from clusterctl.model.playbook import check_together, load_playbook
from clusterctl.plan.command import Result
from clusterctl.plan.door import Exec

OK, WARNING, FAILED, UNKNOWN = Severity.OK, Severity.WARNING, Severity.FAILED, Severity.UNKNOWN
INVENTORY = (
    "{name: ut, provider: local, hosts: {docker1: 10.1.84.1, docker2: 10.1.84.2}, local: {subnet: 10.1.84.0/24}}"
)
AT = {
    "mac1": ("docker1", "10.1.84.128", "02:42:0a:01:54:80"),
    "mac2": ("docker2", "10.1.84.160", "02:42:0a:01:54:a0"),
    "mac3": ("docker1", "10.1.84.129", "02:42:0a:01:54:81"),
}
HOST_MACS = {"docker1": "02:00:00:00:00:01", "docker2": "02:00:00:00:00:02"}


def lab(expect: str, **network) -> Lab:
    value = {
        "name": "p",
        "networks": {"wire": {"driver": "macvlan", "subnet": "cluster", **network}},
        "containers": {n: {"host": h, "networks": ["wire"]} for n, (h, _, _) in AT.items()},
        "expect": [yaml.safe_load(expect)],
    }
    text = yaml.safe_dump(value)
    inventory = load_inventory(INVENTORY, "i.yml")
    return Lab(
        inventory, check_together(inventory, load_playbook(text, "p.yml", KINDS), text, "p.yml"), text, Path("/")
    )


def facts() -> Facts:
    hosts = {}
    for i in (1, 2):
        host = f"docker{i}"
        found = {
            n: ContainerFacts(f"id-{n}", n, "probe", "running", networks={"wire": (ip, mac)})
            for n, (h, ip, mac) in AT.items()
            if h == host
        }
        docker = DockerFacts("20.10.24", containers=found)
        hosts[host] = HostFacts(host, addresses=(Address("eth0", f"10.1.84.{i}", 24),), docker=docker)
    return Facts(hosts)


def test_a_network_on_the_wire_is_looked_for_where_a_container_is_on_it() -> None:
    made = lab("visible: {network: wire}")
    third = load_inventory(INVENTORY.replace("10.1.84.2}", "10.1.84.2, docker3: 10.1.84.3}"), "i.yml")
    (check,) = checks_of(replace(made, inventory=third), facts())
    assert [p.host for p in check.probes] == ["docker1", "docker2"]


@dataclass
class Answering:
    printed: str = ""
    inside: Exec | Trouble | None = None

    def judge(self, expect: str, **network):
        (check,) = checks_of(lab(expect, **network), facts())
        answers = {}
        for probe in check.probes:
            if isinstance(probe, InContainer):
                answers[probe] = self.inside or Exec(0, "")
            elif isinstance(probe, OnHost):
                said = f"{HOST_MACS[probe.host]}\n" if "/sys/class/net" in probe.line() else self.printed
                answers[probe] = Result(probe.host, probe.command, 0, said, "")
        return check.judge(answers)


PING = "PING 10.1.84.160 (10.1.84.160): 56 data bytes\n1 packets transmitted, 1 packets received, 0% packet loss\n"
FRAME = """\
16:54:07.072574 02:42:0a:01:54:80 > 02:42:0a:01:54:a0, ethertype IPv4 (0x0800), length 98: (tos 0x0, ttl 64, id 2581, \
offset 0, flags [DF], proto ICMP (1), length 84)
    10.1.84.128 > 10.1.84.160: ICMP echo request, id 140, seq 0, length 64
"""
# As a Debian kernel with an 802.1Q sub-interface shows it.
TAGGED = """\
18:32:07.835225 02:42:0a:01:54:80 > 02:42:0a:01:54:a0, ethertype 802.1Q (0x8100), length 102: vlan 10, p 0, ethertype \
IPv4 (0x0800), (tos 0x0, ttl 64, id 59425, offset 0, flags [DF], proto ICMP (1), length 84)
    10.1.84.128 > 10.1.84.160: ICMP echo request, id 1, seq 1, length 64
"""


def captured(packets: str, maker: str = PING, made: int = 0) -> Answering:
    return Answering(f"\x01 made {made}\n{maker}\n\x01 packets\n{packets}\n\x01 said\nlistening on eth0\n\x01 end\n")


FRAMED = "framed: {from: mac1, to: mac2}"
IN_VLAN = {"subnet": "10.9.0.0/24", "vlan": 10}


@pytest.mark.parametrize(
    ("answer", "network", "severity", "seen"),
    [
        (captured(FRAME), {}, OK, "on eth0: 02:42:0a:01:54:80 > 02:42:0a:01:54:a0, 10.1.84.128 > 10.1.84.160 ICMP"),
        (captured(TAGGED), IN_VLAN, OK, "02:42:0a:01:54:a0, 802.1Q vlan 10, 10.1.84.128"),
        (captured(TAGGED), {}, FAILED, "VLAN 10, not none"),
        (captured(FRAME), IN_VLAN, FAILED, "VLAN none, not 10"),
        (captured(TAGGED.replace("vlan 10", "vlan 20")), IN_VLAN, FAILED, "VLAN 20, not 10"),
        (captured(FRAME.replace("02:42:0a:01:54:80 >", "02:00:00:00:00:01 >")), {}, FAILED,
         "source MAC 02:00:00:00:00:01, not 02:42:0a:01:54:80"),
        (captured(FRAME), {"driver": "ipvlan"}, FAILED, "source MAC 02:42:0a:01:54:80, not 02:00:00:00:00:01"),
        (captured(FRAME.replace("02:42:0a:01:54:80 > 02:42:0a:01:54:a0", "02:00:00:00:00:01 > 02:00:00:00:00:02")),
         {"driver": "ipvlan"}, OK, "02:00:00:00:00:01 > 02:00:00:00:00:02"),
        (captured("", made=1), {}, FAILED, "did not leave eth0"),
        (captured(FRAME, made=1), {}, WARNING, "no reply came back"),
        (captured(FRAME, maker="ping: not permitted", made=2), {}, UNKNOWN, "no ping was sent"),
        (captured(FRAME, maker="not found", made=127), {}, UNKNOWN, "there is no ping"),
        (captured("16:54:07 ARP, Request who-has"), {}, UNKNOWN, "decoded something else"),
        (Answering("\x01 made 0\n"), {}, UNKNOWN, "cut short"),
    ],
)  # fmt: skip
def test_a_frame_holds_with_the_right_macs_and_the_right_tag_only(answer, network, severity, seen) -> None:
    found = answer.judge(FRAMED, **network)
    assert (found.severity, seen in found.seen) == (severity, True), found.seen


def test_containers_of_one_host_have_no_frame_on_the_wire() -> None:
    found = captured(FRAME).judge("framed: {from: mac1, to: mac3}")
    assert (found.severity, "never reach the wire" in found.seen) == (FAILED, True)


def test_a_person_would_see_the_frame_so() -> None:
    (line,) = captured(FRAME).judge(FRAMED).commands
    assert "tcpdump -nn -e -vv -c 1 -i eth0" in line
    assert "(vlan and icmp[0] = 8 and src host 10.1.84.128 and dst host 10.1.84.160)" in line


ROUTE = "10.1.84.128 dev eth0 src 10.1.84.1 uid 0 \n    cache \n"
SILENCE = (
    "PING 10.1.84.128 (10.1.84.128) 56(84) bytes of data.\n\n3 packets transmitted, 0 received, 100% packet loss\n"
)
REPLY = (
    "PING 10.1.84.128 (10.1.84.128) 56(84) bytes of data.\n"
    "64 bytes from 10.1.84.128: icmp_seq=1 ttl=64 time=0.14 ms\n\n"
    "3 packets transmitted, 3 received, 0% packet loss, time 0ms\n"
)
NOBODY = "10.1.84.128 dev eth0 INCOMPLETE \n"


def asked(ping: str = SILENCE, code: int = 1, route: str = ROUTE, neighbour: str = NOBODY, inside=None) -> Answering:
    text = f"\x01 route\n{route}\x01 ping\n{ping}\x01 neighbour\n{neighbour}\x01 end {code}\n"
    return Answering(text, inside)


YES, NO = "from_host: {host: docker2, to: mac1}", "from_host: {host: docker1, to: mac1, succeeds: false}"
KNOWN = "10.1.84.128 dev eth0 lladdr 02:42:0a:01:54:80 REACHABLE \n"
DEAD = Trouble("docker1: exec in container mac1: Container is not running", "", FAILED)


@pytest.mark.parametrize(
    ("answer", "expect", "severity", "seen"),
    [
        (asked(REPLY, 0, neighbour=KNOWN), YES, OK, "10.1.84.128 answered on eth0 in 0.14 ms"),
        (asked(), YES, FAILED, "none came back"),
        (asked("ping: sendmsg: Operation not permitted\n"), YES, UNKNOWN, "did not send"),
        (asked(), NO, OK, "nobody there has that address to the host, though mac1 runs on docker1"),
        (asked(REPLY, 0, neighbour=KNOWN), NO, FAILED, "answered: 3 of 3 packets came back on eth0"),
        (asked(neighbour=KNOWN), NO, UNKNOWN, "something drops packets"),
        (asked(route="10.1.84.128 via 10.1.84.254 dev eth0 src 10.1.84.1 uid 0 \n"), NO, UNKNOWN, "leads via"),
        (asked(route="RTNETLINK answers: Network is unreachable\n"), NO, UNKNOWN, "did not say"),
        (asked("ping: sendmsg: Operation not permitted\n"), NO, UNKNOWN, "did not say"),
        (asked(inside=DEAD), NO, FAILED, "is not running"),
        (Answering("\x01 route\n"), NO, UNKNOWN, "did not answer in full"),
    ],
)
def test_a_host_reaches_a_container_or_meets_nobody_there(answer, expect, severity, seen) -> None:
    found = answer.judge(expect)
    assert (found.severity, seen in found.seen) == (severity, True), found.seen


def test_an_unknown_host_is_a_mistake_in_the_playbook() -> None:
    from clusterctl.model.errors import InputError

    with pytest.raises(InputError, match="there is no host 'docker9'"):
        lab("from_host: {host: docker9, to: mac1}")


ROUTED = "routed: {from: mac1, to: mac3, by: mac2}"
HOPS = "traceroute to 10.1.84.129 (10.1.84.129), 3 hops max, 46 byte packets\n"


@pytest.mark.parametrize(
    ("output", "severity", "seen"),
    [
        (f"{HOPS} 1  10.1.84.160  0.007 ms\n 2  10.1.84.129  0.1 ms\n", OK, "mac1 → 10.1.84.160 → 10.1.84.129"),
        (f"{HOPS} 1  10.1.84.129  0.007 ms\n", FAILED, "the hops are 10.1.84.129, not 10.1.84.160 → 10.1.84.129"),
        (f"{HOPS} 1  10.1.84.160  0.007 ms\n 2  *\n 3  *\n", FAILED, "10.1.84.160 → no answer → no answer"),
        ("traceroute: socket: Operation not permitted\n", UNKNOWN, "Operation not permitted"),
    ],
)
def test_the_way_leads_through_the_router_or_it_is_not_routed(output: str, severity: Severity, seen: str) -> None:
    found = Answering(inside=Exec(0, output)).judge(ROUTED)
    assert (found.severity, seen in found.seen) == (severity, True), found.seen


def test_hops_that_do_not_answer_are_hops() -> None:
    assert read_hops(" 1  *\n 2  10.0.0.1  0.3 ms\n10  10.0.0.2  1 ms") == ("", "10.0.0.1", "10.0.0.2")

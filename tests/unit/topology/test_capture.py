"""Where to listen, what is made of what was heard, and what happens when a host cannot listen."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from clusterctl.model.errors import ClusterctlError, HostsFailed
from clusterctl.plan.command import Command
from clusterctl.testing import Answer, FakeDoor
from clusterctl.topology import packets
from clusterctl.topology.capture import Point, Sighting, by_host, follow, outcome, points, unpack
from clusterctl.topology.listen import see
from clusterctl.topology.packets import Packet
from clusterctl.topology.path import Path
from clusterctl.topology.topology import Topology
from clusterctl.topology.trace import end, trace
from recorded_hosts import FOLDER, topology

WRAPPED = {"docker1-eth0", "docker2-eth0"}


def ways(source: str, target: str) -> tuple[Topology, Path, Path]:
    found = topology()
    one, other = end(found, source), end(found, target)
    return found, trace(found, one, other), trace(found, other, one)


def capture(name: str) -> bytes:
    return (FOLDER / f"{name}.pcap").read_bytes()


def heard(point: Point) -> bytes:
    """Return what was recorded at a point of the overlay: the packet in its tunnel, or itself."""
    return capture(f"{point.host}-eth0" if point.tunnelled else "docker1-qyt1-eth0")


def decoded(where: tuple[Point, ...]) -> dict[Point, tuple[Packet, ...]]:
    return {p: packets.decode(heard(p), [4789]) for p in where}


def test_the_links_of_the_path_are_listened_on_each_with_its_filter() -> None:
    where = points(*ways("qyt1", "qyt2"))
    assert [p.name for p in where][:5] == [
        "docker1/qyt1/eth0",
        "docker1/1-c709eadccb/veth0",
        "docker1/1-c709eadccb/br0",
        "docker1/1-c709eadccb/vxlan0",
        "docker1/eth0",
    ]
    assert [p.tunnelled for p in where] == [False] * 4 + [True] * 2 + [False] * 4
    assert where[0].filter == "(icmp or arp) and host 10.10.10.2"
    assert where[4].filter.startswith("udp dst port 4789 and ((udp[39] = 1 and udp[42:4] = 0x0a0a0a03")
    assert where[3].entered == "/run/docker/netns/1-c709eadccb"
    assert where[4].entered == ""
    assert {h: len(p) for h, p in by_host(where).items()} == {"docker1": 5, "docker2": 5}


def test_beyond_a_break_the_targets_own_links_listen_as_well() -> None:
    names = [p.name for p in points(*ways("o1", "b1"))]
    assert names[2:] == [
        "docker1/br-5c190ebd3eed",
        "docker1/docker0",
        "docker1/veth0dc0efb",
        "docker1/b1/eth0",
    ]


def test_one_ping_is_followed_by_its_payload() -> None:
    where = points(*ways("qyt1", "qyt2"))
    found = decoded(where)
    other = replace(found[where[0]][0], payload=b"another ping of another person")
    found[where[0]] = (other, *found[where[0]])
    mark = found[where[1]][0].payload[16:24]
    seen = follow(found, mark)
    assert all(s.request and s.request.payload != other.payload and s.reply for s in seen)
    assert outcome(seen).answered
    assert follow(found)[0].request is other, "without a mark the first one counts"


def test_a_packet_that_is_lost_is_lost_between_two_points() -> None:
    where = points(*ways("qyt1", "qyt2"))
    found = decoded(where)
    seen = follow({p: some if i < 4 else () for i, (p, some) in enumerate(found.items())})
    judged = outcome(seen)
    assert (judged.last, judged.lost, judged.answered) == (where[3], where[4], True)
    assert outcome(follow(dict.fromkeys(where, ()))).last is None


def test_a_question_that_nobody_answers_is_told_from_silence() -> None:
    where = points(*ways("m1", "docker1"))
    asks = Packet(1.0, 42, packets.Headers(then="ARP: who has 10.1.85.1?"))
    seen = follow({where[0]: (asks,), where[1]: ()})
    assert seen == (Sighting(where[0], asked=True), Sighting(where[1]))
    assert outcome(seen).asked


@pytest.mark.parametrize("text", ["", "\x01 0\nAAAA\n", "\x01 1\nAAAA\n\x01 end\n", "\x01 0\n*\n\x01 end\n"])
def test_captures_that_came_back_in_part_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"cut short|missing"):
        unpack(text, points(*ways("qyt1", "qyt2"))[:1])


class Hosts:
    """Two hosts that capture what was recorded; `start` is how docker2 answers to the start."""

    def __init__(self, where: tuple[Point, ...], start: Answer = (0, "/tmp/clusterctl-capture.x\n", "")) -> None:
        self.doors = {h: FakeDoor(h, lambda c, h=h: self._answer(h, c)) for h in ("docker1", "docker2")}
        self._points, self._start = by_host(where), start

    def _answer(self, host: str, command: Command) -> Answer:
        script = command.argv[2]
        if "mktemp" in script:
            return self._start if host == "docker2" else (0, "/tmp/clusterctl-capture.y\n", "")
        if "base64" in script:
            parts = (f"\x01 {i}\n{base64.b64encode(heard(p)).decode()}\n" for i, p in enumerate(self._points[host]))
            return 0, "".join(parts) + "\x01 end\n", ""
        return 0, "1 received", ""

    def scripts(self, host: str) -> list[str]:
        words = {"mktemp": "start", "base64": "collect", "iputils": "ping"}
        return [next(n for w, n in words.items() if w in c.argv[2]) for c in self.doors[host].commands]


def test_all_hosts_listen_before_one_pings_and_give_back_afterwards() -> None:
    found, there, back = ways("qyt1", "qyt2")
    hosts = Hosts(points(found, there, back))
    seen = see(found, there, back, hosts.doors.__getitem__)
    assert hosts.scripts("docker1") == ["start", "ping", "collect"]
    assert hosts.scripts("docker2") == ["start", "collect"]
    assert [s.point for s in seen.sightings] == list(points(found, there, back))
    assert all(s.request for s in seen.sightings)


def test_without_tcpdump_on_one_host_the_other_stops_and_the_error_says_what_to_type() -> None:
    found, there, back = ways("qyt1", "qyt2")
    hosts = Hosts(points(found, there, back), (127, "", "tcpdump: not found"))
    with pytest.raises(HostsFailed) as caught:
        see(found, there, back, hosts.doors.__getitem__)
    assert caught.value.lines() == (
        "docker2: there is no tcpdump",
        "hint: clusterctl exec --root --hosts docker2 -- apt-get install -y tcpdump",
    )
    assert hosts.scripts("docker1") == ["start", "collect"]


def test_where_no_packet_leaves_its_sender_nothing_is_captured() -> None:
    found, there, back = ways("n1", "b1")
    with pytest.raises(ClusterctlError, match="nothing to capture: n1 on docker1 has no route"):
        see(found, there, back, Hosts(()).doors.__getitem__)

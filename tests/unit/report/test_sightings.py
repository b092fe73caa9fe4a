"""What the hops saw, in words and as a document."""

from __future__ import annotations

from clusterctl.report import sightings
from clusterctl.topology.capture import Point, Sighting
from clusterctl.topology.packets import Headers, Packet

INNER = Headers(("02:03", "02:02"), 0, ("10.10.10.3", "10.10.10.2"), 64, "ICMP echo request, seq 1")
OUTER = Headers(("0a:01", "0a:02"), 7, ("10.1.1.1", "10.1.1.2"), 64, "UDP 5 → 4789, VXLAN VNI 256")
PACKET = Packet(1.0, 148, INNER, OUTER, 256, "request", 1)


def spot(name: str, *, request: bool = True, reply: bool = True) -> Sighting:
    return Sighting(Point("h", name, "", "eth0", ""), PACKET if request else None, PACKET if reply else None)


def test_outer_and_inner_headers_are_two_columns() -> None:
    assert sightings.columns(PACKET) == (
        ("0a:01 → 0a:02 VLAN 7", "10.1.1.1 → 10.1.1.2  ttl 64", "UDP 5 → 4789, VXLAN VNI 256"),
        ("02:03 → 02:02", "10.10.10.3 → 10.10.10.2  ttl 64", "ICMP echo request, seq 1"),
    )


def test_the_verdict_says_where_it_was_lost() -> None:
    assert sightings.verdict([spot("a"), spot("b")]) == "seen at all 2 hops, its reply came back"
    assert sightings.verdict([spot("a", reply=False)]) == "seen at its one hop, but no reply came back to the sender"
    lost = [spot("a", reply=False), spot("b", request=False)]
    assert sightings.verdict(lost) == "lost between hop 1, h/a/eth0, and h/b/eth0, which saw nothing of it"
    silent = [Sighting(lost[0].point, asked=True)]
    assert sightings.verdict(silent).endswith("it asked who has the address, and nobody answered")
    assert [sightings.holds(s) for s in ([spot("a")], lost, silent)] == [True, False, False]

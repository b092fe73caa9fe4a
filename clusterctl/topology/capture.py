"""One packet seen at every hop of its path: where to listen, and what was heard there."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.commands import capture as by_hand
from clusterctl.topology import links

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clusterctl.topology.packets import Packet
    from clusterctl.topology.path import Hop, Path
    from clusterctl.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class Point:
    """A link to listen on. place: whose namespace, "" for the host's own; entered: the file to enter it by.

    filter: tcpdump's. tunnelled: whether the packet is inside of VXLAN here.
    """

    host: str
    place: str
    entered: str
    link: str
    filter: str
    tunnelled: bool = False

    @property
    def name(self) -> str:
        """Its name in capture files."""
        return "/".join(filter(None, (self.host, self.place, self.link)))


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a point saw of the ping that is followed: the first request and its reply, None where it saw none.

    asked: whether it saw a question who has the address.
    """

    point: Point
    request: Packet | None = None
    reply: Packet | None = None
    asked: bool = False


def points(topology: Topology, there: Path, back: Path) -> tuple[Point, ...]:
    """Return where to listen: along the way there; where that breaks, on to the target by the way that it answers."""
    port = next((h.link.udp_port for h in (*there.hops, *back.hops) if h.link.udp_port), 0)
    tagged = any(h.link.tag for h in (*there.hops, *back.hops))
    plain = by_hand.plain_filter(there.address, tagged=tagged)
    inside = by_hand.tunnel_filter(back.address, there.address, port) if port and back.address else ""
    found: dict[tuple[str, str, str], Point] = {}
    for hop in (*there.hops, *(reversed(back.hops) if there.broken else ())):
        wrapped = bool(hop.outer)
        point = Point(
            hop.host, hop.place, _entered(topology, hop), hop.link.name, inside if wrapped else plain, wrapped
        )
        found.setdefault((point.host, point.entered, point.link), point)
    return tuple(found.values())


def _entered(topology: Topology, hop: Hop) -> str:
    host = topology.hosts[hop.host]
    if not hop.place:
        return ""
    container = host.container(hop.place)
    space = host.inside(container) if container else None
    if space is None:
        space = next(s for s in host.namespaces.values() if s.name == hop.place)
    return space.path


def by_host(where: Iterable[Point]) -> dict[str, tuple[Point, ...]]:
    """Return the points of each host, in order."""
    found: dict[str, tuple[Point, ...]] = {}
    for point in where:
        found[point.host] = (*found.get(point.host, ()), point)
    return found


def unpack(text: str, where: Sequence[Point]) -> dict[Point, bytes]:
    """Take apart what a host's captures printed. Raises ValueError where it is cut short."""
    parts = links.sections(text)
    if "end" not in parts:
        raise ValueError("the captures were cut short")
    try:
        return {point: base64.b64decode("".join(parts[str(i)]), validate=True) for i, point in enumerate(where)}
    except (KeyError, binascii.Error) as error:
        raise ValueError(f"the capture of a link is missing: {error!r}") from error


def follow(heard: Mapping[Point, Sequence[Packet]], mark: bytes = b"") -> tuple[Sighting, ...]:
    """Pick one ping and say where it was seen. It is known by its payload, which nobody on the way changes.

    mark: bytes that our own pings carry; where none does, the first ping that was heard counts.
    """
    requests = [p for packets in heard.values() for p in packets if p.echo == "request"]
    ours = [p for p in requests if mark and mark in p.payload] or requests
    # The first point that heard anything is the nearest to the sender.
    payload = ours[0].payload if ours else None

    def first(packets: Sequence[Packet], echo: str) -> Packet | None:
        return next((p for p in packets if p.echo == echo and p.payload == payload), None)

    return tuple(
        Sighting(point, first(packets, "request"), first(packets, "reply"), any(p.asks for p in packets))
        for point, packets in heard.items()
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far the ping came: the last point in order that saw the request, and the first that did not.

    asked: whether its sender at least asked who has the address, though no ping left it.
    """

    last: Point | None
    lost: Point | None
    answered: bool
    asked: bool = False


def outcome(sightings: Sequence[Sighting]) -> Outcome:
    """Judge the sightings along the path."""
    last = lost = None
    for sighting in sightings:
        if sighting.request is None:
            lost = lost or sighting.point
        elif lost is None:
            last = sighting.point
    answered = bool(sightings and sightings[0].reply)
    return Outcome(last, lost, answered, bool(sightings and sightings[0].asked))

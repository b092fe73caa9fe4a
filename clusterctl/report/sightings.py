"""What each hop saw of a packet, as a document and in two columns: what VXLAN put around it, and itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clusterctl.topology.capture import outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.topology.capture import Sighting
    from clusterctl.topology.listen import Seen
    from clusterctl.topology.packets import Headers, Packet


def document(lab: str, seen: Seen, files: Sequence[str]) -> dict[str, Any]:
    """Return the sightings as one JSON-able document."""
    found, path = outcome(seen.sightings), seen.path
    return {
        "lab": lab,
        "from": path.source.label,
        "to": path.target.label,
        "address": path.address,
        "network": path.network,
        "broken": path.broken,
        "holds": holds(seen.sightings),
        "answered": found.answered,
        "last_seen": found.last.name if found.last else "",
        "lost_before": found.lost.name if found.lost else "",
        "points": [
            {
                "name": s.point.name,
                "host": s.point.host,
                "place": s.point.place,
                "link": s.point.link,
                "filter": s.point.filter,
                "request": _packet(s.request),
                "reply": _packet(s.reply),
            }
            for s in seen.sightings
        ],
        "ping": seen.ping.stdout.strip(),
        "files": list(files),
    }


def _packet(packet: Packet | None) -> dict[str, Any] | None:
    if packet is None:
        return None
    return {
        "time": packet.time,
        "length": packet.length,
        "vni": packet.vni,
        "sequence": packet.sequence,
        "outer": asdict(packet.outer) if packet.outer else None,
        "inner": asdict(packet.inner),
    }


def holds(seen: Sequence[Sighting]) -> bool:
    """Whether every point saw the request, and the sender the reply."""
    return outcome(seen).answered and all(s.request for s in seen)


def columns(packet: Packet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines of what is around a packet, none where nothing is, and those of the packet itself."""
    return (_lines(packet.outer) if packet.outer else ()), _lines(packet.inner)


def _lines(headers: Headers) -> tuple[str, ...]:
    tag = f" VLAN {headers.tag}" if headers.tag else ""
    ttl = f"  ttl {headers.ttl}" if headers.ttl else ""
    return (f"{' → '.join(headers.macs)}{tag}", f"{' → '.join(headers.ips)}{ttl}", headers.then)


def verdict(seen: Sequence[Sighting]) -> str:
    """Return in a sentence how far the ping came."""
    found = outcome(seen)
    if found.last is None:
        asked = ": it asked who has the address, and nobody answered" if found.asked else ""
        return f"no ping left its sender{asked}"
    number = seen.index(next(s for s in seen if s.point is found.last)) + 1
    if found.lost:
        return f"lost between hop {number}, {found.last.name}, and {found.lost.name}, which saw nothing of it"
    answer = "its reply came back" if found.answered else "but no reply came back to the sender"
    return f"seen at {f'all {len(seen)} hops' if len(seen) > 1 else 'its one hop'}, {answer}"

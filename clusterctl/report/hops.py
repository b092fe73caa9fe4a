"""A path and the way back, as a document and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clusterctl.report.netmap import described

if TYPE_CHECKING:
    from clusterctl.topology.path import End, Hop, Path


def holds(there: Path, back: Path) -> bool:
    """Whether a packet gets there, and its answer back where one network joins the two."""
    return not there.broken and not (back.broken and there.network)


def document(lab: str, there: Path, back: Path) -> dict[str, Any]:
    """Return both directions as one JSON-able document."""
    return {"lab": lab, "holds": holds(there, back), "there": _path(there), "back": _path(back)}


def _path(path: Path) -> dict[str, Any]:
    return {
        "from": _end(path.source),
        "to": _end(path.target),
        "address": path.address,
        "network": path.network,
        "arrives": not path.broken,
        "broken": path.broken,
        "sure": path.sure,
        "warnings": list(path.warnings),
        "mtu": path.mtu,
        "hops": [_hop(h) for h in path.hops],
    }


def _end(end: End) -> dict[str, Any]:
    return {"name": end.name, "host": end.host.name, "container": end.container is not None}


def _hop(hop: Hop) -> dict[str, Any]:
    return {
        "host": hop.host,
        "place": hop.place,
        "link": described(hop.link),
        "does": hop.does,
        "outer": hop.outer,
        "trouble": hop.trouble,
        "commands": list(hop.commands),
    }


def verdict(path: Path) -> str:
    """Return in a sentence whether the packet arrives."""
    where = f"{path.target.label} at {path.address}" if path.address else path.target.label
    if not path.broken:
        return f"{len(path.hops)} hop{'s' if len(path.hops) > 1 else ''} to {where}, packets of up to {path.mtu} bytes"
    at = f" at hop {len(path.hops)}" if path.hops else " at the start"
    return f"{'it breaks' if path.sure else 'it is not known how it goes on'}{at}: {path.broken}"

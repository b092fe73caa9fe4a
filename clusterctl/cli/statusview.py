"""A status for people: a compact table a layer, bottom up; or all of them drawn anew on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from clusterctl.cli import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from clusterctl.report.status import ReachRow, Row, Status, WayRow

SHOWN = 3
"""Names that are listed before it says how many more there are."""


def view(found: Status) -> RenderableType:
    """Return all layers, then what is off, then the verdict."""
    spaced = [part for layer in _layers(found) for part in (Text(), layer)]
    return Group(*spaced[1:], Text(), *_closing(found))


def live(looks: Iterable[Status], every: float) -> None:
    """Draw each look on the whole terminal; the verdict stands first, where it is always seen."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    waiting = Text("looking …", style="dim")
    with Live(waiting, console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as shown:
        for found in looks:
            said = f"{time.strftime('%H:%M:%S')}, every {every:g} s, took {found.seconds:.1f} s, Ctrl-C ends"
            head = Text(said, style="dim")
            shown.update(Group(head, *_closing(found), Text(), *_layers(found)), refresh=True)


def _mark(row: Row) -> Text:
    words, style = render.MARKS[row.state]
    return Text(words, style=style)


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    made = Table(
        "", *columns, box=None, title=title or None, title_justify="left", pad_edge=False, padding=(0, 2, 0, 0)
    )
    made.title_style, made.header_style = "bold", "dim"
    return made


def _few(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _unless(value: object, unit: str = "") -> str:
    return "" if value is None else f"{value}{unit}"


def _layers(found: Status) -> Iterator[RenderableType]:
    made = _table(f"lab {found.lab}: hosts", "host", "address", "roles", "system", "kernel", "clock", "free")
    for h in found.hosts:
        free = "" if h.disk_free_mb is None else f"{h.disk_free_mb / 1024:.1f} GiB"
        clock = "" if h.clock is None else f"{h.clock:+.1f} s"
        system, roles = Text(h.system.partition(" (")[0]), ", ".join(h.roles)
        made.add_row(_mark(h), h.name, h.address, roles, system, Text(h.kernel), clock, free)
    yield made
    if found.underlay is not None:
        yield _matrix(
            "underlay: etcd, gossip, VXLAN, path MTU", [(w.source, w.target, _way(w)) for w in found.underlay]
        )
    made = _table("etcd", "member", "role", "version", "latency", "db", "raft index", "behind", "alarms")
    for m in found.etcd:
        role = "leader" if m.leader else "follower" if m.healthy else "-"
        latency = "" if m.latency_ms is None else f"{m.latency_ms:.1f} ms"
        size = "" if m.db_bytes is None else f"{m.db_bytes / 1024:.0f} KiB"
        index, behind = _unless(m.raft_index), _unless(m.raft_lag)
        alarms = ", ".join(m.alarms) or ("none" if m.healthy else "")
        made.add_row(_mark(m), m.host, role, m.version, latency, size, index, behind, alarms)
    yield Group(made, Text(found.quorum))
    stores = {d.store for d in found.docker if d.store}
    title = f"Docker, on {stores.pop()}" if len(stores) == 1 else "Docker"
    made = _table(title, "host", "engine", "on the store", "advertised as", "peers")
    for d in found.docker:
        runs = "" if d.running is None else "yes" if d.on_store else "no"
        made.add_row(_mark(d), d.host, Text(d.version), runs, Text(d.advertise), _few(d.peers))
    yield made
    yield from _networks(found)
    if found.reachability is not None:
        yield _matrix("reachability: round trip, loss", [(r.source, r.target, _reach(r)) for r in found.reachability])
    elif found.underlay is None:
        yield Text("underlay and reachability: not measured; --deep does", style="dim")


def _networks(found: Status) -> Iterator[RenderableType]:
    made = _table("networks", "network", "driver", "subnet", "VNI", "in the store", "on")
    for n in found.networks:
        kept = {None: "", True: f"yes, {n.endpoints} endpoints", False: "no"}[n.in_store]
        made.add_row(_mark(n), n.name, n.driver, n.subnet, _unless(n.vni), kept, _few(n.on))
    yield made
    if found.forwarding:
        made = _table("forwarding", "host", "overlay", "VNI", "leads to", "lacks")
        for f in found.forwarding:
            made.add_row(_mark(f), f.host, f.network, str(f.vni), f"{f.entries} elsewhere", _few(f.lacking))
        yield made
    made = _table("containers", "container", "host", "state", "addresses")
    for c in found.containers:
        made.add_row(_mark(c), c.name, c.host, c.is_, ", ".join(f"{n} {ip}" for n, ip in c.addresses.items()))
    yield made


def _way(way: WayRow) -> Text:
    words, style = render.MARKS[way.state]
    return Text(words, style=style)


def _reach(row: ReachRow) -> Text:
    style = render.MARKS[row.state][1]
    if not row.sent:
        return Text(render.MARKS[row.state][0], style=style)
    lost = row.sent - row.received
    took = f"{row.latency_ms:.2f} ms" if row.latency_ms is not None else "-"
    return Text(f"{took}, {lost} of {row.sent} lost" if lost else f"{took}, no loss", style=style)


def _matrix(title: str, cells: Sequence[tuple[str, str, Text]]) -> RenderableType:
    names = list(dict.fromkeys(s for s, _, _ in cells))
    targets = list(dict.fromkeys(t for _, t, _ in cells))
    by_pair: dict[tuple[str, str], Text] = {}
    for source, target, cell in cells:
        before = by_pair.get((source, target))
        by_pair[source, target] = Text.assemble(before, "; ", cell) if before else cell
    made = _table("", *(f"to {n}" for n in targets))
    for source in names:
        made.add_row(source, *(by_pair.get((source, t), Text("-")) for t in targets))
    return Group(Text(title, style="bold"), made)


def _closing(found: Status) -> Iterator[RenderableType]:
    """Return what is off, the worst first, and the verdict."""
    for problem in found.problems:
        bad = any(f.seen == problem and not f.holds for f in found.findings)
        yield Text(f"{'✗' if bad else '!'} {problem}", style="red" if bad else "yellow")
    if found.holds():
        yield Text(f"{found.lab}: all is as it must be", style="green")
    else:
        yield Text(f"{found.lab}: {found.worst}; next: clusterctl doctor finds the cause")

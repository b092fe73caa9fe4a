"""Puts a scene onto a plane: hosts side by side, containers above, below them a bar for each bridge and card.

A bridge has the same height on every host. Interfaces lead down to their bar beside the boxes; a line ends at the bar
where it has a dot, and passes behind all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.report.picture import look
from clusterctl.report.picture.look import BAR, BETWEEN_BARS, HEADER, LANE, MARGIN, PADDING, PORT
from clusterctl.report.picture.scene import BRIDGE, CARD, OVERLAY
from clusterctl.report.picture.words import width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clusterctl.report.picture.scene import Bar, Box, Machine, Scene

HEAD = 40.0
"""The height of a host's own head."""
COLUMNS, ROWS = 4, 8
"""How many boxes stand side by side on all hosts together, until there are so many rows of them."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where something is."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """Half its height."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Lead:
    """The way of one interface: out of its box at (x, y), to a lane, and down it to a bar's edge."""

    bar: str
    network: str
    x: float
    y: float
    lane: float
    to: float


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """A host's place and that of what is on it, by number and by the bars' ids."""

    machine: Machine
    place: Placed
    boxes: tuple[Placed, ...]
    bars: dict[str, Placed]
    leads: tuple[Lead, ...]
    tails: tuple[tuple[str, float], ...]
    """The bars whose packets leave by a card, and where their line goes down."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is. wires: by subnet."""

    machines: tuple[MachinePlan, ...]
    wires: dict[str, Placed]
    width: float
    height: float


def plan(scene: Scene, top: float) -> Plan:
    """Place everything below `top`."""
    rows = _rows(scene)
    most = max(1, COLUMNS // max(1, len(scene.machines)))
    least = max((_grid_height(m, most) for m in scene.machines), default=0.0)
    levels = {row: top + HEAD + least + 16 + i * (BAR + BETWEEN_BARS) for i, row in enumerate(rows)}
    bottom = top + HEAD + least + 16 + len(rows) * (BAR + BETWEEN_BARS)
    gap = 150.0 if scene.tunnels else 56.0
    x, placed = MARGIN, []
    for machine in scene.machines:
        made = _machine(machine, x, top, bottom, levels, most)
        placed.append(made)
        x = made.place.right + gap
    right = x - gap + MARGIN
    wires = {}
    y = bottom + 34
    where = {bar: place for m in placed for bar, place in m.bars.items()}
    for wire in scene.wires:
        joined = [where[c] for c in wire.cards]
        left, end = min(j.x for j in joined), max(j.right for j in joined)
        wires[wire.subnet] = Placed(left, y, end - left, look.WIRE)
        y += look.WIRE + 18
    return Plan(tuple(placed), wires, max(right, 420.0), y if wires else bottom + MARGIN)


def _rows(scene: Scene) -> list[str]:
    """Return the rows of bars from above to below: each host's order, kept on all."""
    kinds = (OVERLAY, BRIDGE)
    rows = {b.row: b for m in scene.machines for b in m.bars}
    shared = [r for r, b in rows.items() if b.kind in kinds]
    own = ("bridge bridge", "bridge docker_gwbridge")
    shared.sort(key=lambda r: (kinds.index(rows[r].kind), own.index(r) if r in own else -1, r))
    rest = sorted((r for r, b in rows.items() if b.kind not in kinds), key=lambda r: (rows[r].kind == CARD, r))
    return shared + rest


def box_height(box: Box) -> float:
    """Return how tall a container's box is."""
    return HEADER + max(len(box.ports) * PORT, PORT * 0.6 if box.note else 0)


def port_lines(box: Box) -> list[tuple[str, str]]:
    """Return for each interface what stands in its two lines."""
    return [
        (
            f"{p.name}  {', '.join(p.addresses) or 'no address'}",
            " · ".join(filter(None, (p.network, p.rides or p.via, f"mtu {p.mtu}"))),
        )
        for p in box.ports
    ]


def bar_lines(bar: Bar) -> tuple[str, str]:
    """Return what stands in a bar's two lines."""
    head = f"{bar.network}  ({bar.name})" if bar.network not in ("", bar.name) else bar.name
    kind = {OVERLAY: "overlay", BRIDGE: "bridge", CARD: "network card"}.get(bar.kind, f"VLAN {bar.tag}")
    return head, " · ".join((kind, *(bar.addresses or ("no address",)), f"mtu {bar.mtu}"))


def _box_width(boxes: Iterable[Box]) -> float:
    needs = [look.BOX_LEAST]
    for box in boxes:
        needs.append(width(box.name, look.NAME, bold=True) + 24)
        needs += [width(box.image, look.SMALL) + 24, width(box.note, look.SMALL) + 24]
        for first, second in port_lines(box):
            needs += [width(first, look.PLAIN) + 24, width(second, look.SMALL) + 24]
    return min(max(needs), look.BOX_MOST)


def _columns(boxes: Sequence[Box], most: int) -> list[list[Box]]:
    """Return the boxes column by column, so many where that is no long list; read in rows they are in order."""
    count = min(len(boxes), max(most, math.ceil(len(boxes) / ROWS)))
    return [list(boxes[i::count]) for i in range(count)]


def _grid_height(machine: Machine, most: int) -> float:
    columns = _columns(machine.boxes, most)
    return max((sum(box_height(b) + 16 for b in column) for column in columns), default=0.0)


def tunnel_label(bar: Bar) -> str:
    """Return what stands in an overlay's bar of its VXLAN."""
    return f"{bar.tunnel}  VNI {bar.vni}"


def _bar_width(bar: Bar) -> float:
    head, below = bar_lines(bar)
    text = max(width(head, look.PLAIN, bold=True), width(below, look.SMALL)) + 28
    return text + (width(tunnel_label(bar), look.SMALL) + 36 if bar.tunnel else 0)


def _machine(machine: Machine, x: float, top: float, bottom: float, levels: dict[str, float], most: int) -> MachinePlan:
    tailed = [b for b in machine.bars if b.tunnel or b.routed or b.below]
    inner = x + PADDING + (len(tailed) + 1.5) * LANE * bool(tailed)
    columns, size = _columns(machine.boxes, most), _box_width(machine.boxes)
    boxes: dict[str, Placed] = {}
    leads: list[Lead] = []
    at = inner
    for column in columns:
        lanes = sum(len(b.ports) for b in column)
        _column(column, at, top + HEAD, size, boxes, leads, levels, machine)
        at += size + 12 + lanes * LANE + 12
    title = width(machine.name, look.HEAD, bold=True) + width(machine.address, look.PLAIN) + 3 * PADDING
    words = width(machine.trouble, look.PLAIN) + 2 * PADDING
    least = max([title, min(words, 360.0), *(_bar_width(b) + inner - x + PADDING for b in machine.bars)])
    right = max(at + PADDING - 12, x + least)
    place = Placed(x, top, right - x, bottom - top)
    bars = {b.id: _bar(b, x, inner, right, levels) for b in machine.bars}
    tails = tuple((b.id, x + PADDING + (i + 1) * LANE) for i, b in enumerate(tailed))
    return MachinePlan(machine, place, tuple(boxes[b.name] for b in machine.boxes), bars, tuple(leads), tails)


def _bar(bar: Bar, x: float, inner: float, right: float, levels: dict[str, float]) -> Placed:
    left = x + PADDING if bar.kind == CARD else inner
    return Placed(left, levels[bar.row], right - PADDING - left, BAR)


def _column(
    column: Sequence[Box],
    x: float,
    y: float,
    size: float,
    boxes: dict[str, Placed],
    leads: list[Lead],
    levels: dict[str, float],
    machine: Machine,
) -> None:
    """Place one column of boxes and the lines of its interfaces; the upper the box, the further out its lanes."""
    lanes = sum(len(b.ports) for b in column)
    rows = {b.id: b.row for b in machine.bars}
    for box in column:
        boxes[box.name] = Placed(x, y, size, box_height(box))
        for i, port in enumerate(box.ports):
            lanes -= 1
            out = y + HEADER + i * PORT + 8
            if port.bar in rows:
                lane = x + size + 12 + lanes * LANE
                leads.append(Lead(port.bar, port.network, x + size, out, lane, levels[rows[port.bar]]))
        y += box_height(box) + 16

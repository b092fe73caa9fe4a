"""Draws a scene: from places to shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.report.picture import look
from clusterctl.report.picture.layout import bar_lines, plan, port_lines, tunnel_label
from clusterctl.report.picture.scene import CARD
from clusterctl.report.picture.shapes import Dot, Drawing, Line, Rect, Shape, Text
from clusterctl.report.picture.words import cut, width, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.report.picture.layout import MachinePlan, Placed, Plan
    from clusterctl.report.picture.scene import Bar, Box, Scene

TOP = 64.0
ROUTED, TUNNEL = "1.5 4", "7 5"
"""How lines are broken: what the host routes, and what goes through a tunnel."""


def draw(scene: Scene, *, headed: bool = True) -> Drawing:
    """Return the picture; headed: with the lab's name above it."""
    where = plan(scene, TOP if headed else 8)
    legend = list(_legend(scene, where))
    shapes = [
        Rect(0, 0, where.width, where.height + 30, look.PAPER, radius=0),
        *([Text(look.MARGIN, 40, f"lab {scene.lab}", 20, look.INK, bold=True)] if headed else []),
        *(shape for m in where.machines for shape in _machine(scene, m)),
        *_wires(scene, where),
        *(shape for m in where.machines for shape in _bars(scene, m)),
        *_tunnels(scene, where),
        *legend,
    ]
    return Drawing(where.width, where.height + 30, f"The lab {scene.lab}", _in_words(scene), tuple(shapes))


def _machine(scene: Scene, at: MachinePlan) -> Iterator[Shape]:
    machine, place = at.machine, at.place
    silent = bool(machine.trouble) and not machine.bars
    dash = "6 4" if silent else ""
    yield Rect(place.x, place.y, place.width, place.height, look.PANEL, look.EDGE, 1.4, dash, 10)
    yield Text(place.x + look.PADDING, place.y + 26, machine.name, look.HEAD, look.INK, bold=True)
    yield Text(place.right - look.PADDING, place.y + 26, machine.address, look.PLAIN, look.SOFT, anchor="end")
    if machine.trouble:
        room = place.width - 2 * look.PADDING
        y = place.y + 50 if silent else place.bottom - 6
        for number, line in enumerate(wrap(machine.trouble, look.PLAIN, room) if silent else [machine.trouble]):
            x = place.x + look.PADDING
            yield Text(x, y + 17 * number, cut(line, look.PLAIN, room), look.PLAIN, look.WRONG)
    for lead in at.leads:
        line, _ = look.colours(scene, lead.network)
        yield Line(((lead.x, lead.y), (lead.lane, lead.y), (lead.lane, lead.to)), line)
    for box, box_at in zip(machine.boxes, at.boxes, strict=True):
        yield from _box(scene, box, box_at)
    for bar, x in at.tails:
        yield from _tail(scene, at, bar, x)


def _tail(scene: Scene, at: MachinePlan, bar: str, x: float) -> Iterator[Shape]:
    """Lead from a bar to the card that its packets leave by."""
    known, place = scene.bars[bar], at.bars[bar]
    card = at.bars.get(known.below) or _card(scene, at)
    if card is None:
        return
    colour, _ = look.colours(scene, known.network)
    dash = TUNNEL if known.tunnel else "" if known.below else ROUTED
    yield Line(((place.x, place.middle), (x, place.middle), (x, card.y)), colour, 1.6, dash)
    yield Dot(x, card.y, colour, 3)


def _card(scene: Scene, at: MachinePlan) -> Placed | None:
    """Return the card with the host's address for the cluster's traffic."""
    cards = [b for b in at.machine.bars if b.kind == CARD]
    own = [b for b in cards if any(a.partition("/")[0] == at.machine.address for a in b.addresses)]
    return next((at.bars[b.id] for b in (*own, *cards)), None)


def _box(scene: Scene, box: Box, at: Placed) -> Iterator[Shape]:
    runs = box.state == "running"
    ink = look.INK if runs else look.SOFT
    about = "\n".join((box.name, box.image, box.state, *(f"{p.name} {p.mac}" for p in box.ports)))
    yield Rect(at.x, at.y, at.width, at.height, look.PAPER, look.EDGE, 1.2, "" if runs else "4 3", about=about)
    room = at.width - 24
    yield Text(at.x + 12, at.y + 20, cut(box.name, look.NAME, room, bold=True), look.NAME, ink, bold=True)
    state = "" if runs else f"  ({box.state})"
    yield Text(at.x + 12, at.y + 35, cut(f"{box.image}{state}", look.SMALL, room), look.SMALL, look.SOFT)
    y = at.y + look.HEADER
    for first, second in port_lines(box):
        yield Text(at.x + 12, y + 12, cut(first, look.PLAIN, room), look.PLAIN, ink)
        yield Text(at.x + 12, y + 25, cut(second, look.SMALL, room), look.SMALL, look.SOFT)
        y += look.PORT
    if box.note and runs:
        yield Text(at.x + 12, y + 10, cut(box.note, look.SMALL, room), look.SMALL, look.SOFT)
    for i, port in enumerate(box.ports):
        colour, _ = look.colours(scene, port.network)
        yield Dot(at.right, at.y + look.HEADER + i * look.PORT + 8, colour if port.bar else look.WRONG, 3)


def _bars(scene: Scene, at: MachinePlan) -> Iterator[Shape]:
    for bar in at.machine.bars:
        place = at.bars[bar.id]
        colour, surface = look.colours(scene, bar.network)
        if bar.kind == CARD:
            surface = look.PAPER
        yield Rect(place.x, place.y, place.width, place.height, surface, colour, 1.4)
        head, below = bar_lines(bar)
        room = place.width - 24 - (width(tunnel_label(bar), look.SMALL) + 30 if bar.tunnel else 0)
        yield Text(place.x + 12, place.y + 19, cut(head, look.PLAIN, room, bold=True), look.PLAIN, look.INK, bold=True)
        yield Text(place.x + 12, place.y + 35, cut(below, look.SMALL, room), look.SMALL, look.SOFT)
        if bar.tunnel:
            yield from _device(bar, place, colour)
    for lead in at.leads:
        colour, _ = look.colours(scene, lead.network)
        yield Dot(lead.lane, lead.to, colour)


def _device(bar: Bar, place: Placed, colour: str) -> Iterator[Shape]:
    label = tunnel_label(bar)
    size = width(label, look.SMALL) + 16
    yield Rect(place.right - size - 10, place.y + 11, size, place.height - 22, look.PAPER, colour, 1, radius=4)
    x = place.right - size / 2 - 10
    yield Text(x, place.middle + 4, label, look.SMALL, look.INK, anchor="middle")


def _tunnels(scene: Scene, where: Plan) -> Iterator[Shape]:
    bars = {bar: (place, m.place) for m in where.machines for bar, place in m.bars.items()}
    for tunnel in scene.tunnels:
        (one, card), (other, _) = bars[tunnel.one], bars[tunnel.other]
        colour, surface = look.colours(scene, tunnel.network)
        yield Line(((one.right, one.middle), (other.x, other.middle)), colour, 2.6, TUNNEL)
        label = f"VXLAN {tunnel.vni}"
        size = width(label, look.PLAIN, bold=True) + 16
        x = card.right + 75
        yield Rect(x - size / 2, one.middle - 12, size, 24, surface, colour, 1, radius=12)
        yield Text(x, one.middle + 4, label, look.PLAIN, look.INK, bold=True, anchor="middle")


def _wires(scene: Scene, where: Plan) -> Iterator[Shape]:
    bars = {bar: place for m in where.machines for bar, place in m.bars.items()}
    for number, wire in enumerate(scene.wires):
        for card in wire.cards:
            x = bars[card].x + bars[card].width / 3 + 14 * number
            yield Line(((x, bars[card].bottom), (x, where.wires[wire.subnet].y)), look.SOFT, 3)
    for wire in scene.wires:
        at = where.wires[wire.subnet]
        yield Rect(at.x, at.y, at.width, at.height, "#eaeef2", look.SOFT, 1.4)
        text = f"{wire.subnet}: the network between the hosts"
        yield Text(at.x + at.width / 2, at.y + 20, text, look.PLAIN, look.INK, anchor="middle")


def _legend(scene: Scene, where: Plan) -> Iterator[Shape]:
    """Say what the kinds of lines are, of those that there are."""
    ports = [p for m in scene.machines for b in m.boxes for p in b.ports if p.bar]
    kinds = [
        (bool(ports), "", "an interface and its other end"),
        (any(b.tunnel for b in scene.bars.values()), TUNNEL, "VXLAN: frames in UDP packets to port 4789"),
        (any(b.routed for b in scene.bars.values()), ROUTED, "routed by the host"),
    ]
    x, y = look.MARGIN, where.height + 10
    for there, dash, text in kinds:
        if there:
            yield Line(((x, y - 4), (x + 34, y - 4)), look.SOFT, 2.2, dash)
            yield Text(x + 42, y, text, look.SMALL, look.SOFT)
            x += 42 + width(text, look.SMALL) + 26


def _in_words(scene: Scene) -> str:
    """Return the picture in sentences."""
    said = []
    for machine in scene.machines:
        if machine.trouble and not machine.bars:
            said.append(f"{machine.name} did not answer: {machine.trouble}.")
            continue
        names = ", ".join(b.name for b in machine.boxes) or "no containers"
        said.append(f"{machine.name} at {machine.address} has {names}.")
        for box in machine.boxes:
            for port in box.ports:
                bar = scene.bars.get(port.bar)
                joined = f" on {bar.name}" if bar else ""
                said.append(f"{box.name} {port.name} {', '.join(port.addresses)} is in {port.network}{joined}.")
    said += [f"{t.network} joins hosts by VXLAN {t.vni}." for t in scene.tunnels]
    return " ".join(dict.fromkeys(said))

"""A scene as a Mermaid flowchart, which many wikis and code hosts draw by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.report.picture import look
from clusterctl.report.picture.layout import bar_lines, port_lines, tunnel_label
from clusterctl.report.picture.scene import CARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterctl.report.picture.scene import Machine, Scene


def mermaid(scene: Scene) -> str:
    """Return the flowchart."""
    return "\n".join(["flowchart TB", *(f"  {line}" for line in _lines(scene)), ""])


def _lines(scene: Scene) -> Iterator[str]:
    ids = {bar: f"b{i}" for i, bar in enumerate(scene.bars)}
    for number, machine in enumerate(scene.machines):
        head = filter(None, (machine.name, machine.address, machine.trouble))
        yield f"subgraph h{number}[{_label([' · '.join(head)])}]"
        yield from (f"  {line}" for line in _nodes(machine, number, ids))
        yield "end"
    for number, wire in enumerate(scene.wires):
        yield f"w{number}([{_label([wire.subnet])}])"
    for number, machine in enumerate(scene.machines):
        yield from _edges(machine, number, ids)
    for tunnel in scene.tunnels:
        yield f"{ids[tunnel.one]} -. {_label([f'VXLAN {tunnel.vni}'])} .- {ids[tunnel.other]}"
    for number, wire in enumerate(scene.wires):
        yield from (f"{ids[card]} === w{number}" for card in wire.cards)
    for bar, own in ids.items():
        line, surface = look.colours(scene, scene.bars[bar].network)
        yield f"style {own} fill:{surface},stroke:{line},color:{look.INK}"


def _nodes(machine: Machine, number: int, ids: dict[str, str]) -> Iterator[str]:
    for i, box in enumerate(machine.boxes):
        said = [box.name, box.image, *(first for first, _ in port_lines(box)), box.note]
        yield f"c{number}x{i}[{_label(filter(None, said))}]"
    for bar in machine.bars:
        said = [*bar_lines(bar), tunnel_label(bar) if bar.tunnel else ""]
        yield f"{ids[bar.id]}[{_label(filter(None, said))}]"
    if not machine.boxes and not machine.bars:
        yield f"e{number}[{_label(['?'])}]"


def _edges(machine: Machine, number: int, ids: dict[str, str]) -> Iterator[str]:
    for i, box in enumerate(machine.boxes):
        for port in box.ports:
            if port.bar in ids:
                yield f"c{number}x{i} -- {_label([port.name])} --- {ids[port.bar]}"
    for bar in machine.bars:
        card = bar.below or next((b.id for b in machine.bars if b.kind == CARD), "")
        if bar.kind != CARD and card in ids and (bar.below or bar.tunnel or bar.routed):
            yield f"{ids[bar.id]} {'---' if bar.below else '-.-'} {ids[card]}"


def _label(lines: Iterable[str]) -> str:
    """Return a quoted label. Whatever is no plain letter goes in by its number: Mermaid reads HTML and Markdown."""
    return f'"{"<br>".join(map(_plain, lines))}"'


def _plain(text: str) -> str:
    safe = " .,:/-()_·…"
    shown = (c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "".join(c if c.isalnum() or c in safe else f"#{ord(c)};" for c in shown)

"""A scene as DOT, the language of Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.report.picture import look
from clusterctl.report.picture.layout import bar_lines, port_lines, tunnel_label
from clusterctl.report.picture.scene import CARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.report.picture.scene import Machine, Scene


def dot(scene: Scene) -> str:
    """Return the graph; `dot -Tsvg` draws it."""
    return "\n".join([f"graph {_quoted(scene.lab)} {{", *(f"  {line}" for line in _lines(scene)), "}", ""])


def _lines(scene: Scene) -> Iterator[str]:
    yield 'graph [label="", rankdir=TB, fontname="sans-serif", nodesep=0.3, ranksep=0.6, splines=true]'
    yield 'node [shape=box, style="rounded,filled", fillcolor="white", fontname="sans-serif", fontsize=11]'
    yield 'edge [fontname="sans-serif", fontsize=9]'
    for number, machine in enumerate(scene.machines):
        yield f"subgraph cluster_{number} {{"
        yield from (f"  {line}" for line in _machine(scene, machine))
        yield "}"
    for tunnel in scene.tunnels:
        colour, _ = look.colours(scene, tunnel.network)
        label = _quoted(f"VXLAN {tunnel.vni}")
        yield _edge(tunnel.one, tunnel.other, f'label={label}, style=dashed, color="{colour}", constraint=false')
    for wire in scene.wires:
        yield f'{_quoted(wire.subnet)} [shape=underline, style="", label={_quoted(wire.subnet)}]'
        yield from (_edge(card, wire.subnet, "penwidth=2") for card in wire.cards)


def _machine(scene: Scene, machine: Machine) -> Iterator[str]:
    label = "\n".join(filter(None, (machine.name, machine.address, machine.trouble)))
    yield f'label={_quoted(label)}; style="rounded,filled"; fillcolor="{look.PANEL}"; fontname="sans-serif"'
    if not machine.bars and not machine.boxes:
        yield f'{_quoted(machine.name)} [label="", shape=none]'
    for box in machine.boxes:
        said = [box.name, box.image, *(line for pair in port_lines(box) for line in pair), box.note]
        own = f"{machine.name}//container/{box.name}"
        yield f"{_quoted(own)} [label={_quoted(chr(10).join(filter(None, said)))}]"
        for port in box.ports:
            if port.bar in scene.bars:
                colour, _ = look.colours(scene, port.network)
                yield _edge(own, port.bar, f'label={_quoted(port.name)}, color="{colour}"')
    for bar in machine.bars:
        colour, surface = look.colours(scene, bar.network)
        said = [*bar_lines(bar), tunnel_label(bar) if bar.tunnel else ""]
        fill = look.PAPER if bar.kind == CARD else surface
        label = _quoted("\n".join(filter(None, said)))
        yield f'{_quoted(bar.id)} [label={label}, color="{colour}", fillcolor="{fill}"]'
        card = bar.below or next((b.id for b in machine.bars if b.kind == CARD), "")
        if bar.kind != CARD and card:
            style = "solid" if bar.below else "dashed" if bar.tunnel else "dotted" if bar.routed else "invis"
            yield _edge(bar.id, card, f'style={style}, color="{colour}"')


def _edge(one: str, other: str, attributes: str) -> str:
    return f"{_quoted(one)} -- {_quoted(other)} [{attributes}]"


def _quoted(text: str) -> str:
    r"""Return a string of DOT: in one, a backslash starts an escape such as \N, and only a quote ends it."""
    plain = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

"""Everything that is there is drawn, nothing lies on what it does not belong to, and no name does any harm."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from clusterctl.model.errors import ClusterctlError
from clusterctl.report.picture import png as images
from clusterctl.report.picture import words
from clusterctl.report.picture.dot import dot
from clusterctl.report.picture.draw import draw
from clusterctl.report.picture.layout import plan
from clusterctl.report.picture.look import colours
from clusterctl.report.picture.mermaid import mermaid
from clusterctl.report.picture.scene import Machine, Scene, scene
from clusterctl.report.picture.svg import svg

sys.path.insert(0, str(Path(__file__).parents[1] / "topology"))
from recorded_hosts import topology

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = """</text><script>alert(1)</script>&"'\\x"; end ]]> \x00\x1b[31m %{}`<br>#35;"""


def found() -> Scene:
    return scene("ut", topology())


def hostile() -> Scene:
    """Return the scene with every name a hostile one."""
    now = found()
    machines = tuple(
        replace(
            m,
            trouble=HOSTILE,
            boxes=tuple(
                replace(
                    b, name=f"{b.name}{HOSTILE}", image=HOSTILE, ports=tuple(replace(p, via=HOSTILE) for p in b.ports)
                )
                for b in m.boxes
            ),
            bars=tuple(replace(b, name=HOSTILE) for b in m.bars),
        )
        for m in now.machines
    )
    return replace(now, lab=HOSTILE, machines=machines, bars={b.id: b for m in machines for b in m.bars})


def many(count: int) -> Scene:
    """Return the scene with so many containers a host, all with long names."""
    now = found()
    machines = tuple(
        replace(m, boxes=tuple(replace(m.boxes[i % len(m.boxes)], name=f"c{i}-{'long-' * 20}") for i in range(count)))
        for m in now.machines
    )
    return replace(now, machines=machines)


def test_every_interface_is_joined_to_what_it_is_joined_to() -> None:
    joined = {
        (m.name, b.name, p.name): (p.network, p.bar.partition("/")[2], p.rides)
        for m in found().machines
        for b in m.boxes
        for p in b.ports
    }
    assert joined["docker1", "qyt1", "eth0"] == ("qyt_overlay", "1-c709eadccb/br0", "")
    assert joined["docker1", "qyt1", "eth1"] == ("docker_gwbridge", "/docker_gwbridge", "")
    assert joined["docker1", "b2", "eth0"] == ("bridge", "/docker0", "")
    assert joined["docker1", "m1", "eth0"] == ("mv", "/eth0", "macvlan bridge")


def test_who_has_no_links_of_its_own_says_why() -> None:
    notes = {b.name: b.note for b in found().machines[0].boxes if not b.ports}
    assert notes == {
        "c1": "shares the links of b1",
        "h1": "has the host's own links",
        "n1": "has lo alone",
        "st": "exited",
    }


def test_hosts_are_joined_by_tunnels_and_wires() -> None:
    (tunnel,) = found().tunnels
    assert (tunnel.network, tunnel.vni) == ("qyt_overlay", 256)
    (wire,) = found().wires
    assert (wire.subnet, wire.cards) == ("10.1.85.0/24", ("docker1//eth0", "docker2//eth0"))


def test_a_silent_host_is_drawn_with_the_reason() -> None:
    there = topology()
    half = replace(
        there,
        hosts={"docker1": there.hosts["docker1"]},
        missing={"docker2": "docker2: no route to host"},
        addresses={"docker1": "10.1.85.1", "docker2": "10.1.85.2"},
    )
    now = scene("ut", half)
    assert now.machines[1] == Machine("docker2", "10.1.85.2", trouble="no route to host")
    assert "no route to host" in svg(draw(now))
    assert not now.tunnels
    for text in (dot(now), mermaid(now)):
        assert "no route to host" in text


def test_the_svg_stands_alone_and_says_in_words_what_it_shows() -> None:
    root = ET.fromstring(svg(draw(found())))
    assert root.get("role") == "img"
    said = root.findtext(f"{SVG}desc") or ""
    assert "docker1 at 10.1.85.1 has b1, b2" in said
    assert "qyt_overlay joins hosts by VXLAN 256." in said
    tags = {e.tag.removeprefix(SVG) for e in root.iter()}
    assert tags == {"svg", "title", "desc", "rect", "polyline", "circle", "text"}
    shown = "\n".join(e.text or "" for e in root.iter(f"{SVG}text"))
    for word in ("qyt1", "10.10.10.3/24", "vxlan0  VNI 256", "VXLAN 256", "docker_gwbridge", "eth0", "(paused)"):
        assert word in shown


@pytest.mark.parametrize(
    "make", [found, hostile, lambda: many(1), lambda: many(30)], ids=["found", "hostile", "1", "30"]
)
def test_nothing_lies_on_anything_else_and_all_is_inside(make) -> None:
    now = make()
    where = plan(now, 64)
    for machine in where.machines:
        inside = [*machine.boxes, *machine.bars.values()]
        for one, other in combinations(inside, 2):
            apart = one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y
            assert apart, (one, other)
        for part in inside:
            assert machine.place.x <= part.x < part.right <= machine.place.right
            assert machine.place.y <= part.y < part.bottom <= machine.place.bottom
        for lead in machine.leads:
            assert lead.x < lead.lane < machine.place.right
        assert len({lead.lane for lead in machine.leads}) == len(machine.leads), "each line has a lane of its own"
    for one, other in combinations(where.machines, 2):
        assert one.place.right < other.place.x
        for row in {b.row for b in one.machine.bars} & {b.row for b in other.machine.bars}:
            bars = [m.bars[m.machine.bar(row).id] for m in (one, other)]  # type: ignore[union-attr]
            assert bars[0].y == bars[1].y, "a network has one height"
    assert all(m.place.right < where.width for m in where.machines)


def test_no_name_leaves_its_place() -> None:
    text = svg(draw(hostile()))
    root = ET.fromstring(text)
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert "\x1b" not in text
    assert "\x00" not in text


@pytest.mark.skipif(not shutil.which("dot"), reason="graphviz is not installed")
@pytest.mark.parametrize("make", [found, hostile])
def test_graphviz_reads_the_dot(make) -> None:
    done = subprocess.run(["dot", "-Tplain"], input=dot(make()), capture_output=True, text=True, check=True)
    assert len(re.findall("^node", done.stdout, re.M)) == 14 + 9 + 1


def test_dot_text_ends_its_strings() -> None:
    for line in dot(hostile()).splitlines():
        assert re.sub(r'"(?:[^"\\]|\\.)*"', "", line).count('"') == 0, line


def test_mermaid_gets_no_name_as_syntax() -> None:
    for line in mermaid(hostile()).splitlines():
        outside = re.sub(r'"[^"]*"', "", line)
        assert not re.search(r"script|alert|[<`\\]", outside), line
        assert "<script" not in line
    assert 'c0x9 -- "eth0" --- b0' in mermaid(found())
    assert 'b0 -. "VXLAN 256" .- b5' in mermaid(found())


def test_networks_have_colours_of_their_own_and_dockers_are_grey() -> None:
    now = found()
    assert len({colours(now, n) for n in ("qyt_overlay", "own", "mv")}) == 3
    assert colours(now, "docker_gwbridge") == colours(now, "bridge") == colours(now, "")


def test_text_is_cut_in_its_middle() -> None:
    cut = words.cut("a-name-that-is-far-too-long", 12, 90)
    assert cut.startswith("a-n")
    assert cut.endswith("ong")
    assert "…" in cut
    assert words.width(cut, 12) <= 90
    assert words.cut("short", 12, 90) == "short"
    assert words.width("网络", 10) > words.width("ab", 10)
    assert words.wrap("one two three", 12, 60) == ["one two", "three"]


def test_an_image_is_twice_as_fine_as_the_drawing() -> None:
    try:
        made = images.png(svg(draw(found())))
    except ClusterctlError as error:
        pytest.skip(error.message)
    assert made.startswith(b"\x89PNG")
    assert int.from_bytes(made[16:20]) == pytest.approx(draw(found()).width * 2, abs=2)


def test_without_fonts_there_is_no_image_but_a_way_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FONTS", ("/nowhere",))
    with pytest.raises(ClusterctlError, match="no fonts") as raised:
        images.png("<svg/>")
    assert "apt-get install" in raised.value.hint

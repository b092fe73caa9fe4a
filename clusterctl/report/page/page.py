"""Puts what was found onto the page. Everything that users or hosts have said is escaped by the template engine."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

import yaml

from clusterctl.report import hops, sightings
from clusterctl.report.netmap import numbered
from clusterctl.report.picture.draw import draw
from clusterctl.report.picture.scene import scene
from clusterctl.report.picture.svg import svg
from clusterctl.report.said import said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jinja2 import Template

    from clusterctl.model.facts import Facts
    from clusterctl.model.finding import Finding
    from clusterctl.model.lab import Lab
    from clusterctl.model.lang import Lang
    from clusterctl.model.report import Report
    from clusterctl.topology.capture import Sighting
    from clusterctl.topology.listen import Seen
    from clusterctl.topology.path import Path
    from clusterctl.topology.topology import Topology

FOLDER = File(__file__).parent
OPEN = 4
"""Up to so many paths are shown open; of more only those that break."""

LONGEST = 200_000
"""Characters of a transcript; of a longer one the end is shown."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a page tells.

    pairs: the path of each two containers, and the way back. seen: the capture; why_not: why there is none.
    transcript: the name and the text of the last `up`, empty where there is none. when: local time.
    """

    lab: Lab
    facts: Facts
    report: Report
    topology: Topology
    pairs: tuple[tuple[Path, Path], ...]
    seen: Seen | None
    why_not: str
    transcript: tuple[str, str]
    when: str
    version: str


@functools.cache
def _words() -> Mapping[str, Mapping[str, str]]:
    found: Mapping[str, Mapping[str, str]] = yaml.safe_load((FOLDER / "words.yml").read_text(encoding="utf-8"))
    return found


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return made.get_template("page.html.j2")


def page(found: Findings, lang: Lang) -> str:
    """Return the page in a language."""
    from markupsafe import Markup

    def word(key: str, **values: object) -> str:
        return _words()[key][lang].format(**values)

    return _template().render(
        word=word,
        lang="zh-CN" if lang == "zh" else "en",
        lab=found.lab.name,
        playbook=found.lab.playbook.name,
        aim=found.lab.playbook.lesson.to(lang),
        when=found.when,
        version=found.version,
        # The drawing is markup of our own; the names in it are escaped where it is written.
        picture=Markup(svg(draw(scene(found.lab.name, found.topology), headed=False))),  # noqa: S704
        holds=found.report.holds(),
        failed=sum(not f.holds for f in found.report.findings),
        seconds=f"{found.report.seconds:.1f}",
        hosts=list(_hosts(found)),
        checks=[_check(f, lang) for f in found.report.findings],
        paths=[_pair(there, back, few=len(found.pairs) <= OPEN) for there, back in found.pairs],
        capture=_capture(found.seen) if found.seen else None,
        why_not=found.why_not,
        transcript=found.transcript[0],
        log=found.transcript[1][-LONGEST:],
    )


def document(found: Findings) -> dict[str, Any]:
    """Return the same as one JSON-able document."""
    from clusterctl.report import netmap

    return {
        "lab": found.lab.name,
        "playbook": found.lab.playbook.name,
        "report": found.report.document(),
        "map": netmap.document(found.lab.name, found.topology),
        "paths": [hops.document(found.lab.name, there, back) for there, back in found.pairs],
        "capture": sightings.document(found.lab.name, found.seen, []) if found.seen else None,
        "capture_missing": found.why_not,
    }


def _hosts(found: Findings) -> Iterator[dict[str, str]]:
    for host in found.lab.inventory.hosts.values():
        known = found.facts.hosts.get(host.name)
        versions = sorted(known.versions.items()) if known else []
        yield {
            "name": host.name,
            "address": host.cluster_address,
            "roles": ", ".join(map(str, host.roles)),
            "system": known.os_name if known else found.facts.missing.get(host.name, "?"),
            "kernel": known.kernel if known else "",
            "programs": ", ".join(f"{name} {version}" for name, version in versions),
        }


def _check(finding: Finding, lang: Lang) -> dict[str, Any]:
    return {
        "severity": str(finding.severity),
        "holds": finding.holds,
        "check": finding.check,
        "subject": finding.subject,
        "expected": said(finding.expected, lang),
        "seen": said(finding.seen, lang),
        "why": finding.why.to(lang),
        "hint": finding.hint,
        "commands": finding.commands,
    }


def _pair(there: Path, back: Path, *, few: bool) -> dict[str, Any]:
    return {
        "name": f"{there.source.label} → {there.target.label}",
        "network": there.network,
        "open": few or bool(there.broken),
        "broken": bool(there.broken),
        "verdict": hops.verdict(there),
        "back": hops.verdict(back),
        "warnings": there.warnings,
        "hops": [
            {
                "host": h.host,
                "place": h.place,
                "link": numbered(h.link),
                "mtu": h.link.mtu,
                "mac": h.link.mac,
                "addresses": ", ".join(h.link.addresses),
                "does": "" if h.does in h.link.addresses else h.does,
                "trouble": h.trouble,
                "commands": h.commands,
            }
            for h in there.hops
        ],
    }


def _capture(seen: Seen) -> dict[str, Any]:
    began = next((s.request.time for s in seen.sightings if s.request), 0.0)
    return {
        "name": f"{seen.path.source.label} → {seen.path.target.label}",
        "holds": sightings.holds(seen.sightings),
        "verdict": sightings.verdict(seen.sightings),
        "points": [_point(s, began) for s in seen.sightings],
        "layers": _layers(seen.sightings),
    }


def _point(sighting: Sighting, began: float) -> dict[str, Any]:
    point, request = sighting.point, sighting.request
    outer, inner = sightings.columns(request) if request else ((), ())
    return {
        "host": point.host,
        "place": point.place,
        "link": point.link,
        "after": f"{(request.time - began) * 1000:+.3f}" if request else "",
        "length": request.length if request else 0,
        "vni": request.vni if request else 0,
        "outer": outer,
        "inner": inner,
    }


def _layers(seen: Sequence[Sighting]) -> list[tuple[str, str]]:
    """Return the packet on the wire from its first byte on: what is around it, then itself; none without VXLAN."""
    packet = next((s.request for s in seen if s.request and s.request.outer), None)
    if packet is None or packet.outer is None:
        return []
    outer, inner = packet.outer, packet.inner
    arrow = " → "
    return [
        ("Ethernet", arrow.join(outer.macs)),
        ("IP", arrow.join(outer.ips)),
        ("UDP + VXLAN", f"VNI {packet.vni}"),
        ("Ethernet", arrow.join(inner.macs)),
        ("IP", arrow.join(inner.ips)),
        ("ICMP", inner.then),
    ]

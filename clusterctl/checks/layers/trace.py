"""Where a packet vanishes: one pair's packets followed from interface to interface, there and back."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clusterctl.checks.layers.network import network_ids
from clusterctl.checks.layers.rules import dropping, has_dropped
from clusterctl.commands import tcpdump
from clusterctl.commands import trace as following
from clusterctl.model.errors import ClusterctlError
from clusterctl.model.finding import Evidence
from clusterctl.plan.together import side_by_side
from clusterctl.topology.anatomy import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.reachability import Pair
    from clusterctl.checks.layers.survey import Doors, Survey
    from clusterctl.model.lab import Lab
    from clusterctl.topology.anatomy import Namespace

WITHIN = following.LISTENS + 8.0
"""Seconds for the traces of both hosts."""


@dataclass(frozen=True, slots=True)
class Point:
    """An interface that the pair's packets pass. space: the path of its namespace. wrapped: in VXLAN there."""

    host: str
    space: str
    interface: str
    whose: str
    wrapped: bool = False

    @property
    def label(self) -> str:
        """How it is called."""
        return f"{self.interface} of {self.whose}"


def points(lab: Lab, survey: Survey, pair: Pair) -> tuple[Point, ...]:
    """Return what a packet passes from the source to the target, in order; empty where that is not known."""
    here = _ends(lab, survey, pair, pair.source.host, pair.source.name)
    there = _ends(lab, survey, pair, pair.target.host, pair.target.name)
    if not here or not there:
        return ()
    if pair.source.host == pair.target.host:
        return (*here[:2], *reversed(there[:2]))
    return (*here, *reversed(there))


def _ends(lab: Lab, survey: Survey, pair: Pair, host: str, container: str) -> list[Point]:
    """Return one end's interfaces, from the container to the wire."""
    anatomy, daemon = survey.anatomy(host), survey.facts.docker(host)
    inside = anatomy.sandbox(container) if anatomy else None
    id_ = network_ids(survey, pair.network).get(host, "")
    if anatomy is None or daemon is None or inside is None:
        return []
    mac = daemon.containers[container].networks[pair.network][1]
    link = inside.with_mac(mac)
    space = anatomy.overlay(id_) or anatomy.host
    port = next((x for x in space.links if link and x.index == link.peer), None)
    if link is None:
        return []
    found = [Point(host, inside.path, link.name, container)]
    if port:
        found.append(Point(host, space.path, port.name, f"{pair.network} on {host}"))
    nic = anatomy.host.with_address(lab.inventory.hosts[host].cluster_address)
    if space.vxlan and nic:
        found.append(Point(host, space.path, space.vxlan.name, f"{pair.network} on {host}"))
        found.append(Point(host, HOST, nic.name, host, wrapped=True))
    return found


def follow(lab: Lab, survey: Survey, pair: Pair, argv: Sequence[str], doors: Doors) -> Trail | str:
    """Send the packets that are lost again, and count them at every point. Returns why not where that fails."""
    way = points(lab, survey, pair)
    source = _address(survey, pair)
    if not way or not source:
        return "the interfaces on the way are not known"
    maker = shlex.join(("docker", "exec", pair.source.name, *argv))

    def look(host: str) -> list[tuple[int, int] | None]:
        here = [p for p in way if p.host == host]
        filters = [(following.wrapped if p.wrapped else following.plain)(source, pair.ip) for p in here]
        words = [(p.space, p.interface, f) for p, f in zip(here, filters, strict=True)]
        result = doors(host).run(following.trace(words, maker if host == pair.source.host else ""))
        if result.exit_code == tcpdump.MISSING:
            raise ClusterctlError(f"there is no tcpdump on {host}")
        return following.counted(result.expect("follow packets").stdout, source, pair.ip)

    hosts = dict.fromkeys(p.host for p in way)
    said = side_by_side({h: lambda h=h: look(h) for h in hosts}, WITHIN)  # type: ignore[misc]
    counts: dict[Point, tuple[int, int] | None] = {}
    for host, found in said.items():
        if isinstance(found, str):
            return found
        counts |= dict(zip((p for p in way if p.host == host), found, strict=True))
    return Trail(pair, way, tuple(counts[p] for p in way))


def _address(survey: Survey, pair: Pair) -> str:
    daemon = survey.facts.docker(pair.source.host)
    return daemon.containers[pair.source.name].networks[pair.network][0] if daemon else ""


@dataclass(frozen=True, slots=True)
class Trail:
    """How many packets passed each point, there and back; None where it could not be listened at."""

    pair: Pair
    way: tuple[Point, ...]
    counts: tuple[tuple[int, int] | None, ...]

    def gap(self) -> tuple[Point | None, Point | None, bool] | None:
        """Return between which points packets vanish, and whether on the way back; None where none do.

        The first is None where the source sends none at all; the second where the target answers none.
        """
        heard = [(p, c) for p, c in zip(self.way, self.counts, strict=True) if c is not None]
        sent = max((c[0] for _, c in heard), default=0)
        if not sent:
            return (None, heard[0][0], False) if heard else None
        last: Point | None = None
        for point, (there, _) in heard:
            if there < (sent + 1) // 2:
                return last, point, False
            last = point
        replies = heard[-1][1][1]
        if not replies:
            return last, None, True
        for point, (_, back) in reversed(heard):
            if back < (replies + 1) // 2:
                return last, point, True
            last = point
        return None

    def table(self) -> str:
        """Return the counts as lines."""
        lines = []
        for point, count in zip(self.way, self.counts, strict=True):
            seen = "could not be listened at" if count is None else f"{count[0]} there, {count[1]} back"
            lines.append(f"{point.host:<12} {point.label}: {seen}")
        return "\n".join(lines)


def explained(lab: Lab, survey: Survey, judged: Judged, trail: Trail) -> Judged:
    """Return the finding with the place at which the packets vanish, and what may take them there."""
    gap, finding, pair = trail.gap(), judged.finding, trail.pair
    shown = Evidence(pair.source.host, f"tcpdump -ni IF  # at each hop of {pair.subject}", trail.table())
    if gap is None:
        return replace(judged, finding=replace(finding, evidence=(*finding.evidence, shown)))
    before, after, back = gap
    what = "the answers" if back else "the packets"
    source, target = (pair.target, pair.source) if back else (pair.source, pair.target)
    host, where, space = _place(survey, pair, before, after, back=back)
    seen = f"{what} from {source.name} to {target.name} vanish {where}"
    hint, more = _why(survey, host, space, before, after)
    finding = replace(
        finding,
        seen=f"{seen}{more}",
        hint=hint,
        evidence=(*finding.evidence, shown),
        commands=(*finding.commands, f"{shown.host}: {shown.command}"),
    )
    return replace(judged, finding=finding)


def _place(
    survey: Survey, pair: Pair, before: Point | None, after: Point | None, *, back: bool
) -> tuple[str, str, Namespace | None]:
    """Return the host and the namespace in which packets vanish, and the place in words."""
    if before is None and after is not None:
        return (
            after.host,
            f"inside {pair.source.name} on {after.host}: none leaves {after.label}",
            _space(survey, after),
        )
    if after is None and before is not None:
        return (
            before.host,
            f"inside {pair.target.name} on {before.host}: they arrive at {before.label}, and none is answered",
            _space(survey, before),
        )
    if before is None or after is None:
        return pair.source.host, "somewhere", None
    between = f"between {before.label} and {after.label}"
    if before.host != after.host:
        return "", f"{between}: they leave {before.host} and do not arrive at {after.host}", None
    if before.wrapped != after.wrapped:
        arriving = before.wrapped
        how = "they arrive, and the VXLAN does not take them" if arriving else "none leaves in VXLAN"
        anatomy = survey.anatomy(before.host)
        return before.host, f"on {before.host}, {between}: {how}", anatomy.host if anatomy else None
    return before.host, f"on {before.host}, {between}", _space(survey, after if after.space != before.space else before)


def _space(survey: Survey, point: Point) -> Namespace | None:
    anatomy = survey.anatomy(point.host)
    return anatomy.namespaces.get(point.space) if anatomy else None


def _why(
    survey: Survey, host: str, space: Namespace | None, before: Point | None, after: Point | None
) -> tuple[str, str]:
    """Return what to type, and what in that namespace drops."""
    if not host and before and after:
        return f"{before.host} and {after.host}: look at the switch, the cables and filters between them", ""
    point = after or before
    enter = f"nsenter --net={space.path} " if space and space.path != HOST else ""
    if space and (found := next(dropping(space) if enter else has_dropped(space), None)):
        return f"{host}: {enter}{found.undo}", f"; a rule there drops: {found.line}"
    interface = point.interface if point else "IF"
    control = f"{enter}tc -s filter show dev {interface} ingress; {enter}tc -s qdisc show dev {interface}"
    return f"{host}: {enter}iptables-save -c; {enter}nft list ruleset; {control}", ""

"""Looks at hosts before anything is changed: each by itself, then each pair. Nothing is left on them.

Every question has its own thread and a deadline: a host that hangs is unknown, and holds the others up no longer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from clusterctl.checks import pairs
from clusterctl.checks.hosts import ports
from clusterctl.commands import ground, underlay
from clusterctl.commands.ground import Ground
from clusterctl.model.errors import ClusterctlError
from clusterctl.model.facts import Facts, HostFacts
from clusterctl.model.finding import Severity
from clusterctl.plan.together import side_by_side

if TYPE_CHECKING:
    from clusterctl.commands.underlay import Answered, Call, Heard
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.command import Result
    from clusterctl.plan.door import Door

Doors = Callable[[str], "Door"]

ANSWERS_WITHIN = 9.0
"""Seconds for all that one host says of itself."""

MEASURES_WITHIN = underlay.LISTENS + 3.0
"""Seconds for the two scripts of one host, which end by themselves before."""


def look_at_hosts(
    hosts: Mapping[str, str], read: Callable[[str], HostFacts], doors: Doors
) -> tuple[Facts, dict[str, Ground | str]]:
    """Read every host. hosts: by name, why one is not to be asked ("" where it is)."""
    asked = [h for h, why in hosts.items() if not why]

    def stands_on(host: str) -> Ground:
        return ground.parse(doors(host).run(ground.read_ground()).expect("read the kernel and the firewall").stdout)

    # In one pool with one deadline, the longer ones first.
    jobs: dict[tuple[str, str], Callable[[], HostFacts | Ground]] = {}
    jobs |= {("facts", h): lambda h=h: read(h) for h in asked}  # type: ignore[misc]
    jobs |= {("ground", h): lambda h=h: stands_on(h) for h in asked}  # type: ignore[misc]
    found = side_by_side(jobs, ANSWERS_WITHIN)
    facts, grounds = Facts(missing={h: why for h, why in hosts.items() if why}), dict[str, Ground | str]()
    for (what, host), value in found.items():
        if isinstance(value, HostFacts):
            facts = facts.with_host(value)
        elif isinstance(value, str) and what == "facts":
            facts = Facts(facts.hosts, {**facts.missing, host: value})
        elif not isinstance(value, HostFacts):
            grounds[host] = value
    return facts, grounds


def look_between(lab: Lab, facts: Facts, doors: Doors) -> tuple[Finding, ...]:
    """Measure every pair. What did not pass is measured once more: two scripts may have missed each other."""
    findings = tuple(pairs.judge(lab, facts, *_measure(lab, facts, doors)))
    if all(f.severity is Severity.OK for f in findings):
        return findings
    again = pairs.judge(lab, facts, *_measure(lab, facts, doors))
    return tuple(min(one, two, key=lambda f: f.severity.rank) for one, two in zip(findings, again, strict=True))


def _measure(
    lab: Lab, facts: Facts, doors: Doors
) -> tuple[dict[str, Heard | str], dict[str, Mapping[Call, Answered] | str]]:
    there = [h for h in lab.inventory.hosts.values() if h.name in facts.hosts]
    if len(there) < 2:
        return {}, {}
    token = secrets.token_hex(8)

    def listen(host: Host) -> Heard:
        others = [h.cluster_address for h in there if h is not host]
        watched = pairs.watched(lab, facts, host)
        command = underlay.listen(host.cluster_address, token, ports.of(host), others, watched)
        return underlay.read_heard(_printed(doors(host.name).run(command)))

    def call(host: Host) -> Mapping[Call, Answered]:
        calls = [c for a, b in pairs.pairs(lab, facts) if a is host for c in pairs.to_call(lab, facts, a, b).values()]
        return underlay.read_calls(
            _printed(doors(host.name).run(underlay.call(host.cluster_address, token, calls))), calls
        )

    jobs: dict[tuple[str, str], Callable[[], Heard | Mapping[Call, Answered]]] = {}
    jobs |= {("heard", h.name): lambda h=h: listen(h) for h in there}  # type: ignore[misc]
    jobs |= {("called", h.name): lambda h=h: call(h) for h in there}  # type: ignore[misc]
    heard: dict[str, Heard | str] = {}
    called: dict[str, Mapping[Call, Answered] | str] = {}
    for (what, name), value in side_by_side(jobs, MEASURES_WITHIN).items():
        if isinstance(value, underlay.Heard):
            heard[name] = value
        elif isinstance(value, Mapping):
            called[name] = value
        else:
            (heard if what == "heard" else called)[name] = value
    return heard, called


def _printed(result: Result) -> str:
    if result.exit_code == underlay.NEITHER:
        raise ClusterctlError(f"{result.host} has neither perl nor python3")
    return result.expect("measure").stdout

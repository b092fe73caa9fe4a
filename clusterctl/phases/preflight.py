"""Look before anything on a host is changed: every reason of every host at once. `check` judges by the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks import hosts
from clusterctl.checks.hosts import clock
from clusterctl.model.errors import Reason, Refused
from clusterctl.model.finding import Finding, Severity
from clusterctl.phases import packages
from clusterctl.plan.phase import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.commands.ground import Ground
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop


class Preflight:
    """Check that every host can carry the lab."""

    title = "Check the hosts"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused with every reason; nothing is ever to be done."""
        reasons = [Reason(host, why) for host, why in missing(lab, facts).items()]
        for host in lab.inventory.hosts.values():
            if host.name in facts.hosts:
                reasons += _reasons(hosts.needs(lab, host, facts))
                reasons += packages.reasons(lab, host, facts.hosts[host.name])
        reasons += _reasons(clock.judge(facts.hosts))
        if reasons:
            raise Refused(reasons)
        yield from ()


def _reasons(findings: Iterator[Finding]) -> Iterator[Reason]:
    return (Reason(f.subject, f.seen, f.hint) for f in findings if f.severity is Severity.FAILED)


def missing(lab: Lab, facts: Facts) -> dict[str, str]:
    """Return the hosts that did not answer, and why."""
    return {
        host: facts.missing.get(host, "it was not asked").removeprefix(f"{host}: ")
        for host in lab.inventory.hosts
        if host not in facts.hosts
    }


def readiness(lab: Lab, facts: Facts, grounds: Mapping[str, Ground | str]) -> list[Finding]:
    """Judge every host: whether it answers, what it is, and whether what it lacks can be installed."""
    silent, reached = missing(lab, facts), "it answers over SSH"
    findings = [
        Finding("reached", host, Severity.UNKNOWN, reached, silent[host], f"ssh {host} true, or clusterctl hosts up")
        if host in silent
        else Finding("reached", host, Severity.OK, reached, "it answers")
        for host in lab.inventory.hosts
    ]
    findings += hosts.judge(lab, facts, grounds)
    expected = "what it lacks can be installed"
    for host in lab.inventory.hosts.values():
        if host.name in facts.hosts:
            found = facts.hosts[host.name]
            reasons = list(packages.reasons(lab, host, found))
            lacks = ", ".join(packages.missing(lab, host, found))
            findings += [Finding("packages", r.host, Severity.FAILED, expected, r.message, r.hint) for r in reasons]
            if not reasons:
                seen = f"{lacks} to be installed" if lacks else "everything is there"
                findings.append(Finding("packages", host.name, Severity.OK, expected, seen))
    return findings

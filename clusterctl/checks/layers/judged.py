"""How the judgement of a layer becomes a finding, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.model.finding import Evidence, Finding, Layer, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.plan.action import Action


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, and what mends it without harm.

    safe: deeds that take nothing away from anybody. completes: whether `clusterctl up` mends it.
    """

    finding: Finding
    safe: tuple[Action, ...] = ()
    completes: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is as it must be."""
        return self.finding.holds


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes the findings of one layer."""

    layer: Layer

    def ok(self, check: str, subject: str, expected: str, seen: str) -> Judged:
        """Return that it holds."""
        return Judged(Finding(check, subject, Severity.OK, expected, seen, layer=self.layer))

    def fault(
        self,
        check: str,
        subject: str,
        expected: str,
        seen: str,
        hint: str,
        *evidence: Evidence,
        safe: Iterable[Action] = (),
        completes: bool = False,
        severity: Severity = Severity.FAILED,
    ) -> Judged:
        """Return that it does not hold. seen: the cause in one sentence. hint: what to type, with its host."""
        commands = tuple(f"{e.host}: {e.command}" for e in evidence)
        finding = Finding(check, subject, severity, expected, seen, hint, commands, layer=self.layer, evidence=evidence)
        return Judged(finding, tuple(safe), completes)

    def warning(self, check: str, subject: str, expected: str, seen: str, hint: str, *evidence: Evidence) -> Judged:
        """Return that it holds, but not well."""
        return self.fault(check, subject, expected, seen, hint, *evidence, severity=Severity.WARNING)

    def unknown(self, check: str, subject: str, expected: str, seen: str, hint: str = "") -> Judged:
        """Return that it could not be learnt."""
        return self.fault(check, subject, expected, seen, hint, severity=Severity.UNKNOWN)

"""What came out of one check: what must hold, what was seen, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clusterctl.model.text import NO_TEXT, Text


class Severity(StrEnum):
    """How a check ended. UNKNOWN: it could not be looked at, which is never as good as OK."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        """Its place from best to worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement with its evidence.

    check: the kind of the check. subject: what it is about, such as "qyt1 → qyt2".
    hint: the next thing to type, where there is one.
    commands: what a person would type to see the same, each prefixed with its host.
    why: why it is so, for learners.
    """

    check: str
    subject: str
    severity: Severity
    expected: str
    seen: str
    hint: str = ""
    commands: tuple[str, ...] = ()
    why: Text = NO_TEXT

    @property
    def holds(self) -> bool:
        """Whether what must hold was seen to hold; a warning does."""
        return self.severity in (Severity.OK, Severity.WARNING)

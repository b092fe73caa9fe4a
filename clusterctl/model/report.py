"""Findings together, as one result with a name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from clusterctl.model.finding import Finding, Severity

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what came out of it.

    name: the lab's. title: what was looked at, such as the playbook's lesson. seconds: how long it took.
    left_out: how many checks were not looked at, as they would make something for a moment.
    """

    name: str
    findings: tuple[Finding, ...]
    title: str = ""
    seconds: float = 0.0
    left_out: int = 0

    @property
    def worst(self) -> Severity:
        """The worst severity among the findings; UNKNOWN where there are none, since nothing was proven."""
        return max((f.severity for f in self.findings), key=lambda s: s.rank, default=Severity.UNKNOWN)

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity."""
        return {s: sum(f.severity is s for f in self.findings) for s in Severity}

    def holds(self, *, strict: bool = False) -> bool:
        """Whether everything holds; warnings count against it only when strict."""
        return self.worst.rank <= (Severity.OK if strict else Severity.WARNING).rank

    def document(self) -> dict[str, Any]:
        """Return the report as one JSON-able document."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "title": self.title,
            "worst": str(self.worst),
            "holds": self.holds(),
            "seconds": round(self.seconds, 3),
            "left_out": self.left_out,
            "counts": {str(s): n for s, n in self.counts.items()},
            "findings": [
                {
                    **asdict(f),
                    "severity": str(f.severity),
                    "commands": list(f.commands),
                    "why": f.why.model_dump(exclude_defaults=True),
                }
                for f in self.findings
            ],
        }

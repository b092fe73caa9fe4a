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


class Layer(StrEnum):
    """What a lab stands on, bottom up: what is broken in one shows in all above it."""

    HOST = "host"
    UNDERLAY = "underlay"
    ETCD = "etcd"
    DOCKERD = "dockerd"
    NETWORK = "network"
    FORWARDING = "forwarding"
    CONTAINERS = "containers"
    REACHABILITY = "reachability"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a person would type on a host to see it, and what that says."""

    host: str
    command: str
    output: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement with its evidence.

    check: the kind of the check. subject: what it is about, such as "qyt1 → qyt2".
    hint: the next thing to type, where there is one.
    commands: what a person would type to see the same, each prefixed with its host.
    why: why it is so, for learners.
    layer, evidence: where a layer was looked at: which, and what shows it.
    """

    check: str
    subject: str
    severity: Severity
    expected: str
    seen: str
    hint: str = ""
    commands: tuple[str, ...] = ()
    why: Text = NO_TEXT
    layer: Layer | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether what must hold was seen to hold; a warning does."""
        return self.severity in (Severity.OK, Severity.WARNING)

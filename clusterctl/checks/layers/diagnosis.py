"""From layers to a cause: looks, looks again at what seems broken, and follows packets that are lost."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from clusterctl.checks.layers import judge, reachability, trace
from clusterctl.checks.layers.dockerd import BLIND
from clusterctl.checks.layers.survey import read
from clusterctl.checks.perform import ask
from clusterctl.checks.survey import look_between
from clusterctl.model.finding import Layer, Severity
from clusterctl.plan.together import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import Door

PAUSE = 1.0
"""Seconds before what seems broken is looked at again: a moment's matter is no cause."""

MEASURES_WITHIN = 25.0
"""Seconds for all that is measured between hosts and between containers."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, bottom up. judged: everything of the layers that were looked at; looked: which those are."""

    lab: str
    judged: tuple[Judged, ...]
    looked: tuple[Layer, ...]
    seconds: float = 0.0

    @property
    def cause(self) -> Judged | None:
        """The lowest that is broken; where nothing is known to be, the lowest that is not known."""
        for severity in (Severity.FAILED, Severity.UNKNOWN):
            for judged in self.judged:
                if judged.finding.severity is severity:
                    return judged
        return None

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return self.cause is None

    def of(self, layer: Layer) -> tuple[Judged, ...]:
        """Return what was judged in a layer."""
        return tuple(j for j in self.judged if j.finding.layer is layer)

    def also(self) -> tuple[Judged, ...]:
        """Return what else does not hold in the layer of the cause."""
        cause = self.cause
        return tuple(
            j
            for j in self.judged
            if cause and j is not cause and not j.holds and j.finding.layer is cause.finding.layer
        )

    def document(self) -> dict[str, Any]:
        """Return it as a JSON-able dict."""
        cause = self.cause
        return {
            "healthy": self.healthy,
            "cause": document(cause) if cause else None,
            "also": [document(j) for j in self.also()],
            "layers": [{"layer": str(layer), "state": self.state(layer)} for layer in Layer],
            "findings": [document(j) for j in self.judged],
            "seconds": round(self.seconds, 3),
        }

    def state(self, layer: Layer) -> str:
        """Return how a layer is, in one word; "not judged" above the cause or where it was not looked at."""
        cause = self.cause
        places = list(Layer)
        if layer not in self.looked or (
            cause and cause.finding.layer and places.index(layer) > places.index(cause.finding.layer)
        ):
            return "not judged"
        return str(max((j.finding.severity for j in self.of(layer)), key=lambda s: s.rank, default=Severity.OK))


def document(judged: Judged) -> dict[str, Any]:
    """Return a finding with what mends it as a JSON-able dict."""
    finding = judged.finding
    return {
        "layer": str(finding.layer),
        "check": finding.check,
        "subject": finding.subject,
        "severity": str(finding.severity),
        "seen": finding.seen,
        "expected": finding.expected,
        "remedy": finding.hint,
        "evidence": [asdict(e) for e in finding.evidence],
        "fix": [{"host": a.host, "title": a.title, "shell": a.shell()} for a in judged.safe],
        "up_mends_it": judged.completes,
    }


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at a lab. absent: says why a host is not to be asked. host_facts: reads a host without its Docker."""

    lab: Lab
    absent: Callable[[], Mapping[str, str]]
    host_facts: Callable[[str], HostFacts]
    doors: Callable[[str], Door]

    def diagnose(self) -> Diagnosis:
        """Look, and look again where something seems broken: only what shows twice counts."""
        started = time.monotonic()
        survey, judged = self.look()
        if any(_counts(j) for j in judged):
            time.sleep(PAUSE)
            # What was measured has been measured twice already; what was read is read once more.
            survey = replace(self._read(), between=survey.between, answers=survey.answers)
            second = _settled(upgraded(judge(self.lab, survey)))
            if not any(_counts(j) for j in second):
                survey, second = self.look()
            judged = self._deepened(survey, _twice(judged, second))
        looked = tuple(
            layer
            for layer in Layer
            if (layer is not Layer.UNDERLAY or survey.between is not None)
            and (layer is not Layer.REACHABILITY or survey.answers is not None)
        )
        return Diagnosis(self.lab.name, judged, looked, time.monotonic() - started)

    def _read(self) -> Survey:
        return read(self.lab, self.absent(), self.host_facts, self.doors)

    def look(self) -> tuple[Survey, tuple[Judged, ...]]:
        """Read the layers that are cheap; send packets only where no host is broken, and between containers only
        where nothing is: a ping can mend what it asks about."""
        survey = self._read()
        judged = upgraded(judge(self.lab, survey))
        broken = [j.finding.layer for j in judged if _counts(j)]
        if Layer.HOST in broken:
            return survey, judged
        jobs: dict[str, Callable[[], Any]] = {"between": lambda: look_between(self.lab, survey.facts, self.doors)}
        if not broken:
            jobs["answers"] = lambda: self._ask(survey)
        found = side_by_side(jobs, MEASURES_WITHIN)
        between, answers = found["between"], found.get("answers")
        survey = replace(
            survey,
            between=None if isinstance(between, str) else between,
            answers=None if isinstance(answers, str) else answers,
        )
        return survey, _settled(upgraded(judge(self.lab, survey)))

    def _ask(self, survey: Survey) -> Mapping[Any, Any]:
        """Ask every container; what was not answered is asked once more."""
        wanted = reachability.probes(self.lab, survey)
        answers = ask(wanted, self.doors)
        if all(j.holds for j in reachability.judge(self.lab, replace(survey, answers=answers))):
            return answers
        time.sleep(PAUSE / 2)
        return ask(wanted, self.doors)

    def _deepened(self, survey: Survey, judged: tuple[Judged, ...]) -> tuple[Judged, ...]:
        """Follow the packets of the first pair that loses some, where that is the cause."""
        cause = Diagnosis(self.lab.name, judged, ()).cause
        if cause is None or cause.finding.layer is not Layer.REACHABILITY:
            return judged
        pair = next((p for p in reachability.pairs(self.lab, survey) if p.subject == cause.finding.subject), None)
        probe = {"lost": "address", "large-lost": "large", "tcp-lost": "tcp", "no-route": "address"}.get(
            cause.finding.check
        )
        if pair is None or probe is None:
            return judged
        trail = trace.follow(self.lab, survey, pair, getattr(pair, probe).argv, self.doors)
        if isinstance(trail, str):
            return judged
        deeper = trace.explained(self.lab, survey, cause, trail)
        return tuple(deeper if j is cause else j for j in judged)


def _counts(judged: Judged) -> bool:
    """Whether a finding speaks of something broken or not known."""
    return judged.finding.severity in (Severity.FAILED, Severity.UNKNOWN)


def _twice(first: tuple[Judged, ...], second: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Return the second look, with what only it found broken left out; and what only the first did is over."""
    before = {(j.finding.check, j.finding.subject) for j in first if _counts(j)}
    layers = {j.finding.layer for j in first if _counts(j)}
    return tuple(
        j
        for j in second
        if not _counts(j) or (j.finding.check, j.finding.subject) in before or j.finding.layer in layers
    )


def _settled(judged: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Let go of what could not be measured between hosts where containers reach each other over the same wire."""
    reached = [j for j in judged if j.finding.layer is Layer.REACHABILITY]
    if not reached or not all(j.holds for j in reached):
        return judged
    return tuple(
        replace(j, finding=replace(j.finding, severity=Severity.WARNING))
        if j.finding.layer is Layer.UNDERLAY and j.finding.severity is Severity.UNKNOWN
        else j
        for j in judged
    )


def upgraded(judged: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Make a cause of what may be harmless (a start without the store, a rule of the user's) where it does harm."""
    above = [j for j in judged if _counts(j) and j.finding.layer in _ABOVE]

    def lost(host: str) -> bool:
        return any(host in (e.host for e in j.finding.evidence) or host in j.finding.seen for j in above)

    return tuple(
        replace(j, finding=replace(j.finding, severity=Severity.FAILED))
        if j.finding.check in _MAY_HARM and j.finding.severity is Severity.WARNING and lost(j.finding.subject)
        else j
        for j in judged
    )


_MAY_HARM = (BLIND, "no-masquerade", "forward-drop")
_ABOVE = (Layer.NETWORK, Layer.FORWARDING, Layer.CONTAINERS, Layer.REACHABILITY)

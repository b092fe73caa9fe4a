"""Carries phases out, or only shows what they would do: one code path up to the deed itself."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from clusterctl.model.errors import ClusterctlError, HostsFailed, Interrupted, Refused
from clusterctl.model.facts import Facts
from clusterctl.plan.action import Action
from clusterctl.plan.phase import Noop, Phase, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from clusterctl.plan.door import Door


class Reader(Protocol):
    """Reads facts: from the hosts side by side, in one round trip each."""

    def read(self, sections: frozenset[Section], known: Facts) -> Facts:
        """Return `known` with these sections read anew. Raises HostsFailed."""


class Listener(Protocol):
    """Hears what a run does, as it does it; called from several threads."""

    def phase_started(self, title: str) -> None:
        """Hear that a phase begins."""

    def nothing_to_do(self, noop: Noop) -> None:
        """Hear why nothing is to be done on a host."""

    def action_started(self, action: Action) -> None:
        """Hear that an action begins."""

    def action_says(self, action: Action, line: str) -> None:
        """Hear a line of what a long action prints, as it comes."""

    def action_finished(self, action: Action, seconds: float, evidence: str) -> None:
        """Hear that an action is done."""

    def action_failed(self, action: Action, seconds: float, error: Exception) -> None:
        """Hear that an action failed."""

    def phase_finished(self, title: str, seconds: float) -> None:
        """Hear that a phase is done."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What one phase decided, and the facts it decided from."""

    title: str
    steps: tuple[Action | Noop, ...]
    facts: Facts

    @property
    def actions(self) -> tuple[Action, ...]:
        """The steps that do something."""
        return tuple(s for s in self.steps if isinstance(s, Action))


Wanted = TypeVar("Wanted")


@dataclass
class Runner(Generic[Wanted]):
    """Runs a recipe for one lab.

    doors: gives the door of a host by its name.
    parallel: hosts worked on at once.
    stop: once set, no further action starts.
    """

    wanted: Wanted
    reader: Reader
    doors: Callable[[str], Door]
    listener: Listener
    parallel: int = 16
    stop: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    changed: bool = False
    """Whether anything was done to a host: files of our own on this machine leave a refusal a refusal."""
    fresh: frozenset[Section] = frozenset()
    """The parts of the facts that nothing has changed since they were read."""
    _counting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def run(self, phases: Iterable[Phase[Wanted]]) -> Facts:
        """Carry the phases out in order; facts are read anew wherever something was changed since.

        Raises Refused (before any action), HostsFailed, Interrupted.
        """
        facts = Facts()
        self.fresh = frozenset()
        phases = list(phases)
        for nth, phase in enumerate(phases):
            self.check_stop(phase.title)
            started = time.monotonic()
            self.listener.phase_started(phase.title)
            if wanted := phase.reads - self.fresh:
                if Section.HOST in wanted and not self.done:
                    # Most runs change nothing: what the phases after this one read then comes in the same round trip.
                    wanted = frozenset[Section]().union(*(p.reads for p in phases[nth:])) - self.fresh
                facts = self._read(wanted, facts)
                self.fresh |= wanted
            steps = self._decide(phase, facts)
            for step in steps:
                if isinstance(step, Noop):
                    self.listener.nothing_to_do(step)
            actions = [s for s in steps if isinstance(s, Action)]
            if actions:
                self.fresh -= frozenset[Section]().union(*(a.alters for a in actions))
                self._perform(phase.title, actions)
                for action in actions:  # what is read anew is looked for where it most likely is by now
                    facts = action.predict(facts)
            self.listener.phase_finished(phase.title, time.monotonic() - started)
        return facts

    def show(self, phases: Iterable[Phase[Wanted]]) -> tuple[Planned, ...]:
        """Plan the phases in order without doing anything; each phase sees the facts that those before predict."""
        facts = Facts()
        read: frozenset[Section] = frozenset()
        out = []
        for phase in phases:
            if phase.reads - read:
                predicted = facts
                facts = self.reader.read(phase.reads - read, facts)
                # What was predicted of a host that is not there yet must not be looked for on it.
                for host in predicted.hosts.values():
                    facts = facts.with_host(host)
                read |= phase.reads
            steps = self._decide(phase, facts)
            out.append(Planned(phase.title, steps, facts))
            for step in steps:
                if isinstance(step, Action):
                    facts = step.predict(facts)
        return tuple(out)

    def walk(self, phases: Iterable[Phase[Wanted]]) -> Iterator[Action]:
        """Carry the phases out one action after another; each is given before it is done.

        Whoever takes no more ends it there. Raises Refused, HostsFailed, HostError.
        """
        facts = Facts()
        for phase in phases:
            facts = self._read(phase.reads, facts)
            for step in self._decide(phase, facts):
                if isinstance(step, Action):
                    yield step
                    self._deed(step)

    def _read(self, sections: frozenset[Section], known: Facts) -> Facts:
        try:
            return self.reader.read(sections, known)
        except HostsFailed as error:
            if not self.changed:
                error.exit_code = Refused.exit_code
            raise

    def _decide(self, phase: Phase[Wanted], facts: Facts) -> tuple[Action | Noop, ...]:
        try:
            return tuple(phase.plan(self.wanted, facts))
        except Refused as error:
            if self.changed:
                error.exit_code = ClusterctlError.exit_code
            raise

    def check_stop(self, at: str) -> None:
        """Raise Interrupted once `stop` is set. at: what would come next."""
        if self.stop.is_set():
            raise Interrupted(
                f"stopped before: {at} ({self.done} actions done)", hint="the same command goes on from here"
            )

    def _perform(self, title: str, actions: Sequence[Action]) -> None:
        done: dict[str, None] = {}
        for turn in sorted({a.turn for a in actions}):
            done |= self._take_turn(title, [a for a in actions if a.turn == turn], done)
        self.check_stop(f"the phase after {title!r}")

    def _take_turn(self, title: str, actions: Sequence[Action], before: Iterable[str]) -> dict[str, None]:
        """Carry out what is of one turn, the hosts side by side. Returns the hosts that did something."""
        self.check_stop(f"the next turn of {title!r}")
        lanes: dict[str, list[Action]] = {}
        for action in actions:
            lanes.setdefault(action.host, []).append(action)
        slots = threading.BoundedSemaphore(self.parallel)
        with ThreadPoolExecutor(len(lanes), thread_name_prefix="lane") as pool:
            futures = {host: pool.submit(self._lane, lane, slots) for host, lane in lanes.items()}
        errors: dict[str, ClusterctlError] = {}
        for host, future in futures.items():
            error = future.exception()
            if isinstance(error, ClusterctlError):
                errors[host] = error
            elif error is not None:
                raise error
        if errors:
            raise HostsFailed(title, errors, [h for h in dict.fromkeys([*before, *lanes]) if h not in errors])
        return dict.fromkeys(lanes)

    def _lane(self, actions: Sequence[Action], slots: AbstractContextManager[object]) -> None:
        for action in actions:
            # One that needs its peers must not hold the slot that they need.
            with nullcontext() if action.together else slots:
                if self.stop.is_set():
                    return
                self._deed(action)

    def _deed(self, action: Action) -> None:
        self.listener.action_started(action)
        started = time.monotonic()
        try:
            evidence = action.carry_out(self.doors(action.at), lambda line: self.listener.action_says(action, line))
        except Exception as error:
            self.listener.action_failed(action, time.monotonic() - started, error)
            raise
        with self._counting:
            self.done += 1
            self.changed |= action.changes
        self.listener.action_finished(action, time.monotonic() - started, evidence)

"""Actions: small data that shows itself as a shell line, can be carried out, and knows the facts after it."""

from __future__ import annotations

import difflib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from clusterctl.model.errors import HostError, TimedOut, Unreachable
from clusterctl.model.facts import Facts, File, HostFacts
from clusterctl.plan import files
from clusterctl.plan.patience import stretched
from clusterctl.plan.phase import Section

if TYPE_CHECKING:
    from clusterctl.plan.command import Command
    from clusterctl.plan.door import Door

MACHINE = "this machine"
"""The name of the machine that clusterctl runs on, where a host's name would stand."""

Effect = Callable[[HostFacts], HostFacts]

Hear = Callable[[str], None]
"""Takes a line of what a long deed prints, as it comes."""


def unchanged(facts: HostFacts) -> HostFacts:
    """Return the facts as they are: the effect of an action that changes none."""
    return facts


@dataclass(frozen=True, kw_only=True)
class Action(ABC):
    """One deed on one host.

    host: whose deed it is; actions of one host run in order, those of different hosts side by side.
    title: what it does, as a user would say it.
    door: where it is carried out; the host itself unless named.
    effect: the host's facts after it, for plans that are only shown.
    together: it ends only once other hosts have done the same, so it counts against no limit.
    turn: what is of a later turn begins once all of the earlier ones is done, on every host.
    note: it writes down what clusterctl brings, which it takes away again; what a person brings by hand stays.
    alters: the parts of the facts that are old once it is done; not those of which `effect` tells all.
    """

    host: str
    title: str
    door: str = ""
    together: bool = False
    turn: int = 0
    note: bool = False
    alters: frozenset[Section] = frozenset(Section)
    effect: Effect = field(default=unchanged, repr=False, compare=False)

    @property
    def at(self) -> str:
        """The name of the door that the action goes through."""
        return self.door or self.host

    @property
    def changes(self) -> bool:
        """Whether it changes more than files of our own on this machine."""
        return self.host != MACHINE

    @abstractmethod
    def shell(self) -> str:
        """Return the deed as the shell lines that a person would type."""

    def here(self) -> str:
        """Return what a person types on this machine first, to bring over what the shell lines need there."""
        return ""

    @abstractmethod
    def perform(self, door: Door) -> str:
        """Carry it out. Returns evidence for the transcript. Raises HostError."""

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Carry it out; a deed that takes minutes tells `hear` what it is at, line by line."""
        return self.perform(door)

    def predict(self, facts: Facts) -> Facts:
        """Return the facts as they will be after the deed."""
        known = facts.hosts.get(self.host)
        return facts.with_host(self.effect(known)) if known else facts


@dataclass(frozen=True, kw_only=True)
class Run(Action):
    """Run a command."""

    command: Command
    hint: str = ""

    def shell(self) -> str:
        """Return the command line, or what a person would type instead."""
        return self.command.typed or self.command.line()

    def perform(self, door: Door) -> str:
        """Run it; an unexpected exit code is an error."""
        return door.run(self.command).expect(self.title, self.hint).tail()


def record(host: str, title: str, name: str, value: str, *, note: bool = False) -> Run:
    """Return the action that writes down how something was before the first change, in a record of this name."""
    return Run(
        host=host,
        title=title,
        command=files.record(name, value),
        effect=lambda facts: facts.with_record(name, value),
        note=note,
        alters=frozenset(),
    )


@dataclass(frozen=True, kw_only=True)
class WriteFile(Action):
    """Write a whole file, atomically; what was there is recorded on the host first where `record` is set.

    secret: the content never shows: not in a plan, a diff or a transcript. It travels on standard input.
    """

    path: str
    content: str = field(repr=False)
    mode: int = 0o644
    owner: str = "root:root"
    secret: bool = False
    record: bool = False

    def shell(self) -> str:
        """Return the file as a here-document, its content left out when it is secret."""
        body = f"({len(self.content)} secret bytes)" if self.secret else self.content.rstrip("\n")
        return files.here_document(self.path, body, self.mode, self.owner)

    def diff(self, facts: Facts) -> str:
        """Return a unified diff from the file as it is on the host to the file as it will be."""
        if self.secret:
            return ""
        host = facts.hosts.get(self.host)
        old = host.content(self.path) if host else ""
        name = f"{self.host}:{self.path}"
        lines = difflib.unified_diff(
            old.splitlines(), self.content.splitlines(), name if old else "/dev/null", name, lineterm=""
        )
        return "".join(f"{line}\n" for line in lines)

    def perform(self, door: Door) -> str:
        """Write to a temporary name beside the file, then rename."""
        door.run(files.write(self.path, self.content.encode(), self.mode, self.owner, record=self.record)).expect(
            self.title
        )
        return f"{self.path}: {len(self.content)} bytes, mode {self.mode:04o}, {self.owner}"

    def predict(self, facts: Facts) -> Facts:
        """Return the facts with the file in place, modified just now."""
        host = facts.hosts.get(self.host)
        if host is None:
            return facts
        if self.record:
            before, name = host.file(self.path), f"files{self.path}"
            if not {name, f"{name}.absent"} & host.records.keys():
                host = host.with_record(name, before.content) if before else host.with_record(f"{name}.absent", "")
        content = "" if self.secret else self.content
        return facts.with_host(
            self.effect(host.with_file(self.path, File(content, self.mode, self.owner, time.time())))
        )


class Condition(Protocol):
    """Something that can be looked at until it holds."""

    def look(self, door: Door) -> tuple[bool, str]:
        """Look once. Returns whether it holds, and what was seen."""

    def shell(self) -> str:
        """Return how a person would look."""


@dataclass(frozen=True, kw_only=True)
class WaitFor(Action):
    """Wait for a condition. A deadline that passes is a failure and carries what was last seen.

    What cannot be asked yet does not hold yet; only a host that cannot be reached ends the wait at once.
    within: seconds.
    """

    condition: Condition
    together: bool = True
    within: float = 60.0
    hint: str = ""

    def shell(self) -> str:
        """Return how a person would look."""
        return self.condition.shell()

    def perform(self, door: Door) -> str:
        """Look, with growing pauses from 20 ms to 0.5 s, until it holds or the deadline passes."""
        within = stretched(self.within)
        deadline = time.monotonic() + within
        pause = 0.02
        while True:
            try:
                holds, seen = self.condition.look(door)
            except Unreachable:
                raise
            except HostError as error:
                holds, seen = False, error.message.removeprefix(f"{error.host}: ")
            if holds:
                return seen
            if time.monotonic() >= deadline:
                raise TimedOut(self.host, self.title, within, seen, hint=self.hint)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

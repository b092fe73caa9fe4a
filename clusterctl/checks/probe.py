"""Probes: questions to a host or a container as data, and what comes back from them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from clusterctl.model.finding import Severity
from clusterctl.plan.command import Command, Result
from clusterctl.plan.door import Exec

if TYPE_CHECKING:
    from typing import Self


QUICK = 3.0
"""Seconds for a command in a container that takes milliseconds when all is well."""


@dataclass(frozen=True, slots=True)
class Ran(Exec):
    """What a command in a container ended with. cut: it was ended because it was over its time."""

    cut: bool = False


@dataclass(frozen=True, slots=True)
class InContainer:
    """Run a command in a container through the Docker API, so that a missing container is no exit code.

    image: where a missing tool is missing. within: seconds after which it is ended, where the image has
    a shell to do so. env: NAME=VALUE for its environment.
    """

    host: str
    container: str
    argv: tuple[str, ...]
    image: str = ""
    within: float = QUICK
    env: tuple[str, ...] = ()

    def line(self) -> str:
        """Return what a person would type on the host."""
        env = [word for pair in self.env for word in ("--env", pair)]
        return shlex.join(("docker", "exec", *env, self.container, *self.argv))


@dataclass(frozen=True, slots=True)
class OnHost:
    """Run a command on a host. by_hand: what a person would type instead, where that is shorter."""

    host: str
    command: Command
    by_hand: str = ""

    @property
    def within(self) -> float:
        """Seconds that the command may take."""
        return self.command.within

    def line(self) -> str:
        """Return what a person would type on the host."""
        return self.by_hand or self.command.line()


@dataclass(frozen=True, slots=True)
class Inspect:
    """Look at a Docker network as one host's daemon sees it."""

    host: str
    network: str
    within: float = 15.0

    def line(self) -> str:
        """Return what a person would type on the host."""
        return shlex.join(("docker", "network", "inspect", self.network))


@dataclass(frozen=True, slots=True)
class KeysAround:
    """Read the store's keys on a member, do something on a Docker host, read them, undo it, read them again."""

    host: str
    prefix: str
    docker_host: str
    do: Command
    undo: Command

    @property
    def within(self) -> float:
        """Seconds that it may take."""
        return self.do.within + self.undo.within + 15

    def line(self) -> str:
        """Return what a person would type."""
        return f"clusterctl etcd keys --watch, and on {self.docker_host}: {self.do.line()}; {self.undo.line()}"


@dataclass(frozen=True, slots=True)
class Stages:
    """The store's keys with their values before something was done, after it, and after it was undone."""

    before: Mapping[str, str]
    between: Mapping[str, str]
    after: Mapping[str, str]


Probe: TypeAlias = InContainer | OnHost | Inspect | KeysAround


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a probe has no answer. FAILED where the host refused it, UNKNOWN where it could not be asked."""

    seen: str
    hint: str = ""
    severity: Severity = Severity.UNKNOWN


Answer: TypeAlias = Exec | Result | Mapping[str, Any] | Stages | Trouble

NO_WAITING = ("RES_OPTIONS=timeout:1 attempts:1",)
"""For a name that nobody is to know: Docker asks the host's own servers for it, which may take 20 s to be silent."""


class Unanswered(Exception):  # it says what happened, and never leaves `Check.judge`
    """A judgement asked for an answer that is not there."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.seen)
        self.trouble = trouble

    @classmethod
    def because(cls, seen: str, hint: str = "") -> Self:
        """Return the exception for an answer that says nothing about what was asked."""
        return cls(Trouble(seen, hint))


@dataclass(frozen=True, slots=True)
class Answers:
    """What the probes of a check came back with. Each method raises Unanswered where there is no answer."""

    given: Mapping[Probe, Answer]

    def exec(self, probe: InContainer) -> Ran:
        """Return what the command in the container ended with; one that never ran is no answer."""
        answer = self._get(probe)
        if not isinstance(answer, Exec):
            raise Unanswered.because(f"{probe.line()}: no answer")
        lowered = answer.output.lower()
        if answer.exit_code in (126, 127):
            if "not found" in lowered or "no such file" in lowered:
                image = probe.image or f"of {probe.container}"
                raise Unanswered.because(
                    f"there is no {probe.argv[0]} in the image {image}",
                    f"give {probe.container} an image that has {probe.argv[0]}",
                )
            raise Unanswered.because(f"{probe.line()}: {last_line(answer.output) or f'exit {answer.exit_code}'}")
        if answer.exit_code < 0:
            raise Unanswered.because(f"{probe.line()}: Docker did not say how it ended")
        return answer if isinstance(answer, Ran) else Ran(answer.exit_code, answer.output)

    def running(self, probe: InContainer) -> None:
        """Return if the container ran, whatever its image has; Docker itself says when it did not."""
        self._get(probe)

    def result(self, probe: OnHost) -> Result:
        """Return what the command on the host ended with, if that is one of its answers."""
        answer = self._get(probe)
        if not isinstance(answer, Result):
            raise Unanswered.because(f"{probe.host}: {probe.line()}: no answer")
        if not answer.ok:
            raise Unanswered.because(f"{probe.host}: {probe.line()}: exit {answer.exit_code}: {answer.tail()}")
        return answer

    def network(self, probe: Inspect) -> Mapping[str, Any]:
        """Return the network as the host sees it; empty where it has none of that name."""
        answer = self._get(probe)
        if isinstance(answer, Mapping):
            return answer
        raise Unanswered.because(f"{probe.host}: {probe.line()}: no answer")

    def stages(self, probe: KeysAround) -> Stages:
        """Return what the store held before, between and after."""
        answer = self._get(probe)
        if isinstance(answer, Stages):
            return answer
        raise Unanswered.because(f"{probe.host}: {probe.line()}: no answer")

    def _get(self, probe: Probe) -> Answer:
        answer = self.given.get(probe)
        if answer is None:
            raise Unanswered.because(f"{probe.host}: {probe.line()}: was not asked")
        if isinstance(answer, Trouble):
            raise Unanswered(answer)
        return answer


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")

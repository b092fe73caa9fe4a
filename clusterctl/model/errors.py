"""What can go wrong, as types.

    ClusterctlError
    ├── InputError       what the user wrote is wrong; every problem is listed        exit 2
    ├── Refused          a preflight found a reason, nothing was changed              exit 3
    ├── Locked           another run works on this lab                                exit 5
    └── HostError        one host, one deed
        ├── Unreachable      no connection, or none that may be trusted
        │   ├── UnknownHostKey    a key that nobody has vouched for yet
        │   ├── ChangedHostKey    another key than before
        │   └── LockedKey         a private key that its passphrase is missing for
        ├── CommandFailed    carries the Result of the command
        └── TimedOut         a deadline passed, carries the last evidence
    HostsFailed          several hosts' errors beside the successes                   exit 4
    Interrupted          the user stopped the run after an action                     exit 130

An expectation that does not hold is a Finding, not an exception (exit 1).
Only `clusterctl.cli` turns these into exit codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clusterctl.plan.command import Result


class ClusterctlError(Exception):
    """Something a user can act on: a message, and the next thing to type where there is one."""

    exit_code = 4
    transcript: Path | None = None
    """Where the run that failed is written down."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def lines(self) -> tuple[str, ...]:
        """Return the error as plain lines, the hint last."""
        return (self.message, f"hint: {self.hint}") if self.hint else (self.message,)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where it stands, what it is, what is allowed."""

    file: str
    line: int
    key: str
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"{where}: {key}{self.message}{allowed}"


class InputError(ClusterctlError):
    """What the user wrote is wrong. Lists every problem at once."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | str, *, hint: str = "") -> None:
        self.problems = () if isinstance(problems, str) else tuple(problems)
        text = problems if isinstance(problems, str) else "\n".join(str(p) for p in problems)
        super().__init__(text, hint=hint)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one host (or this machine) cannot be used, and the next thing to type."""

    host: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.host}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class Refused(ClusterctlError):
    """A preflight found reasons not to start. Nothing was changed."""

    exit_code = 3

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("\n".join(str(r) for r in self.reasons))


class Locked(ClusterctlError):
    """Another run holds the lab's lock."""

    exit_code = 5


class HostError(ClusterctlError):
    """One deed failed on one host."""

    def __init__(self, host: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{host}: {message}", hint=hint)
        self.host = host


class Unreachable(HostError):
    """There is no SSH connection to the host, or none that may be trusted."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """The key that an SSH server showed. name: what known_hosts calls it; line: its line there."""

    name: str
    address: str
    kind: str
    fingerprint: str
    line: str


class UnknownHostKey(Unreachable):
    """Nobody has vouched for the host's key yet."""

    def __init__(self, host: str, key: HostKey) -> None:
        self.key = key
        super().__init__(
            host,
            f"the host key of {key.address} is not known: {key.kind} {key.fingerprint}",
            hint="compare it on the host with: ssh-keygen -lf /etc/ssh/ssh_host_"
            f"{key.kind.lower()}_key.pub; then accept it on a terminal, or with --accept-host-keys",
        )


class ChangedHostKey(Unreachable):
    """The host showed another key than before: somebody may be in the middle."""


class LockedKey(Unreachable):
    """A private key has a passphrase that nobody gave."""

    def __init__(self, host: str, path: str) -> None:
        self.path = path
        super().__init__(
            host,
            f"the key {path} has a passphrase",
            hint="ssh-add it, or name an environment variable with passphrase_env; on a terminal you are asked",
        )


class CommandFailed(HostError):
    """A command ended with an exit code that it was not expected to have."""

    def __init__(self, result: Result, *, doing: str = "", hint: str = "") -> None:
        self.result = result
        last = result.tail()
        text = f"{doing or result.command.line()}: exit {result.exit_code}"
        super().__init__(result.host, f"{text}: {last}" if last else text, hint=hint)


class TimedOut(HostError):
    """A deadline passed. The last evidence is part of the message."""

    def __init__(self, host: str, waited_for: str, within: float, evidence: str, *, hint: str = "") -> None:
        self.evidence = evidence
        message = f"{waited_for}: not within {within:g} s"
        super().__init__(host, f"{message}; last seen: {evidence}" if evidence else message, hint=hint)


class HostsFailed(ClusterctlError):
    """One or more hosts failed in a phase; the others went on to its end."""

    def __init__(self, phase: str, errors: Mapping[str, ClusterctlError], succeeded: Sequence[str]) -> None:
        self.phase = phase
        self.errors = dict(errors)
        self.succeeded = tuple(succeeded)
        super().__init__("\n".join(e.message for e in errors.values()))

    def lines(self) -> tuple[str, ...]:
        """Return each host's error with its hint, then the hosts that succeeded."""
        out = [line for error in self.errors.values() for line in error.lines()]
        if self.succeeded:
            out.append(f"done on: {', '.join(self.succeeded)}")
        return tuple(out)


class Interrupted(ClusterctlError):
    """The user asked to stop; the running actions were finished first."""

    exit_code = 130

"""The transcript of a run: one plain line an event, in a file of the lab's own folder, no secret in it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop
    from clusterctl.plan.runner import Listener


class Journal:
    """Writes every event with its time, its host, the shell line and what came of it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def _line(self, host: str, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        with self._lock:
            for line in text.splitlines() or [""]:
                self._out.write(f"{now} {host or '-'}: {line}\n")
            self._out.flush()

    def phase_started(self, title: str) -> None:
        """Write the phase's title."""
        self._line("", f"== {title}")

    def nothing_to_do(self, noop: Noop) -> None:
        """Write why nothing is done."""
        self._line(noop.host, f"nothing to do: {noop.reason}")

    def action_started(self, action: Action) -> None:
        """Write what is about to be typed."""
        self._line(action.host, f"{action.title}\n$ {action.shell()}")

    def action_says(self, action: Action, line: str) -> None:
        """Write the line."""
        self._line(action.host, f"| {line}")

    def action_finished(self, action: Action, seconds: float, evidence: str) -> None:
        """Write what came of it."""
        self._line(action.host, f"done in {seconds:.2f} s: {action.title}" + (f": {evidence}" if evidence else ""))

    def action_failed(self, action: Action, seconds: float, error: Exception) -> None:
        """Write how it failed."""
        self._line(action.host, f"FAILED after {seconds:.2f} s: {action.title}: {error}")

    def phase_finished(self, title: str, seconds: float) -> None:
        """Write how long the phase took."""
        self._line("", f"-- {title}: {seconds:.2f} s")


class Tee:
    """Passes every event on to several listeners, in order."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)

    def phase_started(self, title: str) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.phase_started(title)

    def nothing_to_do(self, noop: Noop) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.nothing_to_do(noop)

    def action_started(self, action: Action) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.action_started(action)

    def action_says(self, action: Action, line: str) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.action_says(action, line)

    def action_finished(self, action: Action, seconds: float, evidence: str) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.action_finished(action, seconds, evidence)

    def action_failed(self, action: Action, seconds: float, error: Exception) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.action_failed(action, seconds, error)

    def phase_finished(self, title: str, seconds: float) -> None:
        """Pass on."""
        for listener in self._listeners:
            listener.phase_finished(title, seconds)

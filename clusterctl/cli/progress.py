"""Long work shows itself on stderr: a live view on a terminal, one plain line a step elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop
    from clusterctl.plan.runner import Listener

STILL = 10.0
"""Seconds after which a plain run says that a step is still going on."""


class PlainProgress:
    """One line a step, prefixed with the host; reasons for doing nothing only when verbose."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Action, float]] = {}
        self._said: dict[int, str] = {}
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def _say(self, text: str) -> None:
        with self._lock:
            print(text, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        while not self._stop.wait(STILL):
            now = time.monotonic()
            for action, started in list(self._running.values()):
                if now - started >= STILL:
                    at = self._said.get(id(action), "")
                    still = f"{action.host}: {action.title}: still at it after {now - started:.0f} s"
                    self._say(f"{still}: {at}" if at and not self._verbose else still)

    def __enter__(self) -> PlainProgress:
        self._ticker.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()

    def phase_started(self, title: str) -> None:
        """Say nothing yet: a phase with nothing to do is not worth a line."""

    def nothing_to_do(self, noop: Noop) -> None:
        """Say why, when verbose."""
        if self._verbose:
            self._say(f"{noop.host}: nothing to do: {noop.reason}")

    def action_started(self, action: Action) -> None:
        """Remember when."""
        self._running[id(action)] = (action, time.monotonic())
        if self._verbose:
            self._say("\n".join(f"{action.host}: $ {line}" for line in action.shell().splitlines()))

    def action_says(self, action: Action, line: str) -> None:
        """Pass the line on, when verbose; remember it otherwise, for when the action takes long."""
        self._said[id(action)] = line
        if self._verbose:
            self._say(f"{action.host}: | {line}")

    def action_finished(self, action: Action, seconds: float, evidence: str) -> None:
        """Say what is done."""
        self._running.pop(id(action), None)
        self._said.pop(id(action), None)
        self._say(f"{action.host}: {action.title}: done in {seconds:.1f} s")
        if self._verbose and evidence:
            self._say(f"{action.host}: {evidence}")

    def action_failed(self, action: Action, seconds: float, error: Exception) -> None:
        """Say what failed; the error itself comes at the end."""
        self._running.pop(id(action), None)
        self._said.pop(id(action), None)
        self._say(f"{action.host}: {action.title}: FAILED after {seconds:.1f} s")

    def phase_finished(self, title: str, seconds: float) -> None:
        """Say nothing."""


class LiveProgress:
    """Finished phases as lines, running steps below them with a spinner, their host and their time."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        from rich.live import Live

        self._console, self._verbose = console, verbose
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Action, float]] = {}
        self._said: dict[int, str] = {}
        self._title, self._started, self._did = "", 0.0, False
        self._failed = False
        self._live = Live(
            console=console, refresh_per_second=12, transient=True, get_renderable=self._view, redirect_stdout=False
        )

    def _view(self) -> RenderableType:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        now = time.monotonic()
        with self._lock:
            running = list(self._running.values())
        if not running:
            head = Text(f"{self._title} …", style="dim")
            return Group(head) if self._title else Group()
        width = max(len(action.host) for action, _ in running)
        lines: list[RenderableType] = [Text(f"{self._title} … {now - self._started:.1f} s", style="bold")]
        for action, started in running:
            text = Text.assemble(
                (f"{action.host:<{width}}  ", "cyan"), action.title, (f"  {now - started:.1f} s", "dim")
            )
            lines.append(Spinner("dots", text=text))
            if said := self._said.get(id(action)):
                lines.append(Text(f"    {said}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._title = ""
        self._live.__exit__(None, None, None)

    def phase_started(self, title: str) -> None:
        """Show the phase."""
        self._title, self._started, self._did, self._failed = title, time.monotonic(), False, False

    def nothing_to_do(self, noop: Noop) -> None:
        """Show why, when verbose."""
        if self._verbose:
            from rich.text import Text

            self._console.print(Text.assemble("  ", (noop.host, "cyan"), "  ", (noop.reason, "dim")))

    def action_started(self, action: Action) -> None:
        """Show the step."""
        with self._lock:
            self._running[id(action)] = (action, time.monotonic())
        self._did = True
        if self._verbose:
            from rich.text import Text

            for line in action.shell().splitlines():
                self._console.print(Text.assemble("  ", (action.host, "cyan"), f"  $ {line}"))

    def action_says(self, action: Action, line: str) -> None:
        """Show the line below its step; leave it there, when verbose."""
        with self._lock:
            self._said[id(action)] = line
        if self._verbose:
            from rich.text import Text

            self._console.print(Text.assemble("  ", (action.host, "cyan"), (f"  {line}", "dim")))

    def action_finished(self, action: Action, seconds: float, evidence: str) -> None:
        """Take the step off the view."""
        with self._lock:
            self._running.pop(id(action), None)
            self._said.pop(id(action), None)

    def action_failed(self, action: Action, seconds: float, error: Exception) -> None:
        """Leave a line about the failure."""
        with self._lock:
            self._running.pop(id(action), None)
            self._said.pop(id(action), None)
        self._failed = True
        from rich.text import Text

        line = Text.assemble(("✗ failed  ", "red"), (action.host, "cyan"), f"  {action.title}  {seconds:.1f} s")
        self._console.print(line)

    def phase_finished(self, title: str, seconds: float) -> None:
        """Leave a line about the phase, if it did anything."""
        if self._did and not self._failed:
            from rich.text import Text

            self._console.print(Text.assemble(("✓ ", "green"), f"{title}", (f"  {seconds:.1f} s", "dim")))


class Quiet:
    """Hear everything, say nothing."""

    def phase_started(self, title: str) -> None:
        """Say nothing."""

    def nothing_to_do(self, noop: Noop) -> None:
        """Say nothing."""

    def action_started(self, action: Action) -> None:
        """Say nothing."""

    def action_says(self, action: Action, line: str) -> None:
        """Say nothing."""

    def action_finished(self, action: Action, seconds: float, evidence: str) -> None:
        """Say nothing."""

    def action_failed(self, action: Action, seconds: float, error: Exception) -> None:
        """Say nothing."""

    def phase_finished(self, title: str, seconds: float) -> None:
        """Say nothing."""


@contextlib.contextmanager
def shown(*, verbose: bool = False, quiet: bool = False) -> Iterator[Listener]:
    """Give the listener that fits where stderr goes."""
    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        from rich.console import Console

        with LiveProgress(Console(stderr=True), verbose=verbose) as live:
            yield live
    else:
        with PlainProgress(verbose=verbose) as plain:
            yield plain

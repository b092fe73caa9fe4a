"""How much longer than usual answers may take: a host that is emulated or overloaded is slow, and not broken."""

from __future__ import annotations

_factor = 1.0


def have(factor: float) -> None:
    """Let every question from now on take this many times as long as usual before it counts as unanswered."""
    global _factor  # noqa: PLW0603 - one setting for the whole run, as a log level is
    _factor = factor


def stretched(seconds: float) -> float:
    """Return how long something may take that usually may take so many seconds."""
    return seconds * _factor

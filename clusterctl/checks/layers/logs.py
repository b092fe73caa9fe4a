"""What the logs of the services tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clusterctl.model.facts import Unit
    from clusterctl.topology.anatomy import Process

_SYSTEMD = re.compile(r"(Starting|Started|Stopping|Stopped|Failed to start) |\S+\.service: ")
_UNHURT = ("level=info", "level=warning", '"level":"info"')
_HURT = ("panic", "fatal", "failed", "unable", "error", "mismatch", "no space", "removed")


def last_words(lines: Iterable[str], *words: str) -> str:
    """Return the latest line that has one of the words, "" where none has."""
    return next((line for line in reversed(tuple(lines)) if any(w in line.lower() for w in words)), "")


def since_start(log: Sequence[str]) -> Sequence[str]:
    """Return what a unit's log says since systemd last started it."""
    last = max((i for i, line in enumerate(log) if line.startswith("Starting ")), default=0)
    return log[last:]


def has_ended(unit: Unit, process: Process | None) -> bool:
    """Whether a service was ended and stays so; one that was killed while systemd stopped it has failed to it."""
    return unit.active == "inactive" or (unit.active == "failed" and process is not None and process.result == "signal")


def died_of(log: Sequence[str]) -> str:
    """Return what a service that does not start says of why: its own words, or systemd's where it said nothing."""
    lines = since_start(log)
    own = [line for line in lines if not _SYSTEMD.match(line) and not any(w in line for w in _UNHURT)]
    return last_words(own, *_HURT) or last_words(lines, "killed", "exited")


def message(line: str) -> str:
    """Return what a line of a log says, without its time and level (Docker's logfmt, etcd's JSON)."""
    try:
        told = json.loads(line)
        return ": ".join(str(told[key]) for key in ("msg", "error") if told.get(key))
    except (ValueError, AttributeError):
        pass
    found = re.search(r'\bmsg="((?:[^"\\]|\\.)*)"', line)
    return found[1].replace('\\"', '"') if found else line.strip()

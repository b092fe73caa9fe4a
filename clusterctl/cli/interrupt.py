"""Ctrl-C: the first stops after the running action, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from types import FrameType


@contextlib.contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into `stop`, the second into an end without delay."""

    def handler(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os.write(2, b"\nclusterctl: stopped at once; the same command goes on from here\n")
            os._exit(130)
        stop.set()
        os.write(2, b"\nclusterctl: stopping after the running action; once more stops at once\n")

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        sys.stderr.flush()

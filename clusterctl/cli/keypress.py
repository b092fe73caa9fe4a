"""Waits for one key on the terminal, or for the user's wish to stop."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

POLL = 0.2


def wait(stop: threading.Event) -> str:
    """Return the key that is pressed, "" once `stop` is set or the terminal is gone."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        while not stop.is_set():
            ready, _, _ = select.select([terminal], [], [], POLL)
            if ready:
                return os.read(terminal, 1).decode("latin-1")
        return ""
    finally:
        # What was typed ahead is not an answer to the next question.
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from clusterctl.cli.interrupt import stopping

TWICE = """
import os, signal, threading
from clusterctl.cli.interrupt import stopping
with stopping(threading.Event()):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    print("went on")
"""


def test_the_first_stops_after_the_running_action(capfd) -> None:
    stop = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    with stopping(stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopping after the running action" in capfd.readouterr().err


def test_the_second_stops_at_once_with_130() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 130
    assert done.stdout == ""
    assert "the same command goes on from here" in done.stderr

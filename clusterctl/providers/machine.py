"""The door to the machine that clusterctl runs on."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NoReturn

from clusterctl.model.errors import HostError
from clusterctl.plan.action import MACHINE
from clusterctl.plan.command import Command, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterctl.plan.action import Hear

_GRACE = 2.0
"""Seconds between asking a process group to end and ending it."""

_LOOK = 0.5
"""Seconds between looks at whether a silent process is still there."""

_TIMED_OUT = 124
_NOT_FOUND = 127


class MachineDoor:
    """Run commands on this machine, each in a session of its own.

    A Ctrl-C on the terminal therefore reaches only clusterctl, which lets the running command finish.
    """

    host = MACHINE

    def run(self, command: Command) -> Result:
        """Run the command; past its deadline its whole process group is ended (exit code 124)."""
        start = time.monotonic()
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return Result(self.host, command, _NOT_FOUND, "", f"{command.argv[0]}: {error.strerror}")
        try:
            out, err = process.communicate(command.input, timeout=command.within)
            code = process.returncode
        except subprocess.TimeoutExpired:
            out, err = _end(process)
            err += f"\nended after {command.within:g} s".encode()
            code = _TIMED_OUT
        except BaseException:
            # The second Ctrl-C: nothing of ours may run on behind the user's back.
            _end(process)
            raise
        seconds = time.monotonic() - start
        return Result(self.host, command, code, out.decode(errors="replace"), err.decode(errors="replace"), seconds)

    def follow(self, command: Command, hear: Hear) -> Result:
        """Run the command and tell `hear` each line it prints, as it comes; both streams are its stdout.

        Of a line that is drawn over and over, such as a progress bar, only the last state is told.
        """
        start = time.monotonic()
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return Result(self.host, command, _NOT_FOUND, "", f"{command.argv[0]}: {error.strerror}")
        lines: list[str] = []
        try:
            late = _listen(process, start + command.within, lines, hear)
        except BaseException:
            _end(process)
            raise
        out, seconds = "".join(f"{line}\n" for line in lines), time.monotonic() - start
        if late:
            _end(process)
            return Result(self.host, command, _TIMED_OUT, f"{out}ended after {command.within:g} s\n", "", seconds)
        return Result(self.host, command, process.returncode, out, "", seconds)

    def send(self, source: str, to: str, seen: Callable[[int, int], None]) -> NoReturn:
        """What is sent is here already."""
        raise HostError(self.host, f"{source} is on this machine already")

    @property
    def docker(self) -> NoReturn:
        """There is no Docker of ours on this machine."""
        raise HostError(self.host, "the Docker of this machine is not clusterctl's to use")

    @property
    def etcd(self) -> NoReturn:
        """There is no etcd of ours on this machine."""
        raise HostError(self.host, "the etcd of this machine is not clusterctl's to use")


def _listen(process: subprocess.Popen[bytes], deadline: float, lines: list[str], hear: Hear) -> bool:
    """Collect the lines until the process is gone. Returns whether the deadline came first."""
    assert process.stdout  # noqa: S101  # it is a pipe
    pipe, rest = process.stdout.fileno(), b""
    with process.stdout, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if time.monotonic() >= deadline:
                return True
            ready = selector.select(_LOOK)
            chunk = os.read(pipe, 65536) if ready else b""
            *whole, rest = (rest + chunk).split(b"\n")
            if ready and not chunk:
                whole.append(rest)
            for raw in whole:
                # A carriage return goes back to the line's start.
                text = raw.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").rstrip()
                line = "".join(c if c.isprintable() else " " for c in text)
                if line:
                    lines.append(line)
                    hear(line)
            # A daemon that the command started may hold the pipe open for ever.
            if (ready and not chunk) or (not ready and process.poll() is not None):
                break
    while process.poll() is None:
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.02)
    return False


def _end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Ask the process group to end, then end it. Returns what it had printed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        try:
            return process.communicate(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            continue
    # Something that left the group still holds the pipes; the command itself is gone.
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
    return b"", b""

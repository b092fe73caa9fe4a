"""The door to the machine that clusterctl runs on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import NoReturn

from clusterctl.model.errors import HostError
from clusterctl.plan.action import MACHINE
from clusterctl.plan.command import Command, Result

_GRACE = 2.0
"""Seconds between asking a process group to end and ending it."""

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

    @property
    def docker(self) -> NoReturn:
        """There is no Docker of ours on this machine."""
        raise HostError(self.host, "the Docker of this machine is not clusterctl's to use")

    @property
    def etcd(self) -> NoReturn:
        """There is no etcd of ours on this machine."""
        raise HostError(self.host, "the etcd of this machine is not clusterctl's to use")


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

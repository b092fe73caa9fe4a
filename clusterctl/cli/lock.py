"""Two runs on one lab exclude each other; the second says who holds the lock, since when and why."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING

from clusterctl.model.errors import Locked, Reason, Refused
from clusterctl.plan.action import MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ATTEMPTS = 100


@contextlib.contextmanager
def held(path: Path, lab: str, doing: str) -> Iterator[None]:
    """Hold the lab's lock. The kernel gives it back if we die; the file goes with us.

    Raises Locked when another run holds it, Refused where it cannot be written.
    """
    try:
        handle = _acquire(path, lab)
    except OSError as error:
        hint = "CLUSTERCTL_STATE names the folder that labs are kept in"
        raise Refused([Reason(MACHINE, f"{error.filename}: {error.strerror}", hint)]) from error
    try:
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "since": time.time(), "doing": doing}).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        # Leave no empty folder where there was none.
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _acquire(path: Path, lab: str) -> int:
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 4096).decode("utf-8", "replace")
            os.close(handle)
            raise Locked(f"lab {lab}: {_who(holder)}", hint="wait for it to end, then run this again") from None
        # The holder before us may have removed the file between our open and our lock.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)


def _open(path: Path) -> int:
    for attempt in range(_ATTEMPTS):
        # The holder before us may be removing the folder, empty as it is.
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, FileExistsError):
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _who(text: str) -> str:
    try:
        holder = json.loads(text)
        since = time.strftime("%H:%M:%S", time.localtime(holder["since"]))
        return f"another run works on it: clusterctl {holder['doing']} (process {holder['pid']}), since {since}"
    except (ValueError, KeyError, TypeError):
        return "another run works on it"

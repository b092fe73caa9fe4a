"""A host over one SSH connection: commands, as root where they must be, and what else rides on it."""

from __future__ import annotations

import contextlib
import io
import secrets
import shlex
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import paramiko
from invoke.exceptions import CommandTimedOut

from clusterctl.model.errors import HostError, TimedOut, Unreachable
from clusterctl.plan.command import Command, Result
from clusterctl.plan.patience import stretched
from clusterctl.remote.link import Unended, why

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterctl.plan.door import DockerDoor, EtcdDoor
    from clusterctl.remote.credentials import Credentials
    from clusterctl.remote.link import Link

SESSIONS = 4
"""Commands at once on one connection; sshd allows ten sessions (MaxSessions), the Docker API uses some."""

KILL_AFTER = 5
"""Seconds between the polite and the final signal to a remote command that is over its time."""

DIAL = ("docker", "system", "dial-stdio")

SILENT_FOR = 60.0
"""Seconds after which a copy that does not move counts as broken off."""

OUTPUT_LIMIT = 4 * 1024 * 1024
"""Characters kept of a command's output; a hostile host must not fill our memory."""


# Reads lines up to the one that is "$1", whether sudo took the password away or let it pass, then goes on.
_AFTER = 'm=$1; shift; while IFS= read -r l; do [ "$l" = "$m" ] && exec "$@"; done; exit 125'
_AFTER_ALONE = 'm=$1; shift; while IFS= read -r l; do [ "$l" = "$m" ] && exec "$@" </dev/null; done; exit 125'


class SshDoor:
    """A host over SSH. Opens on first use, stays open until `close`, is shared by all threads.

    Where sudo wants a password, it reads it as the first line of standard input, never from a command line;
    it is asked whether the password is right before anything else, once: a wrong one must not lock anybody out.
    """

    def __init__(self, link: Link, credentials: Credentials) -> None:
        self._host = link.name
        self._link = link
        self._credentials = credentials
        self.connection = link.connection
        self.failed: HostError | None = None
        """Why the host is not asked any more in this run."""
        self._mark = secrets.token_hex(8)
        self._opening = threading.Lock()
        self._slots = threading.BoundedSemaphore(SESSIONS)
        self._sudo_works = False
        self._docker: DockerDoor | None = None
        self._etcd: EtcdDoor | None = None
        self._closers: list[Callable[[], None]] = []
        self._begun: tuple[Command, float, Future[Result]] | None = None

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

    def open(self) -> None:
        """Connect, and check the password for sudo. Raises HostError with the cause and the next thing to type."""
        with self._opening:
            if self.failed:
                raise self.failed
            if self._link.is_open:
                return
            # What ran over a connection that broke has broken with it.
            self._close_riders()
            self._link.open()
            if self.needs_sudo and self._link.login.sudo_password and not self._sudo_works:
                try:
                    self._try_sudo()
                except HostError as error:
                    self.failed = error
                    raise

    def _try_sudo(self) -> None:
        # One line and an end: a second try would take the next line for a password.
        password = f"{self._link.login.sudo_password}\n".encode()
        done = self._send("head -n 1 | LC_ALL=C sudo -S -k -p '' true", Unended(password), 20)
        user, said = self.connection.user, done.stderr.strip()
        if done.return_code == 0:
            self._sudo_works = True
        elif "incorrect password" in said or "no password was provided" in said:
            source = self._link.login.sudo_source
            raise HostError(
                self._host,
                f"sudo refuses the password of {user!r} ({source}); it was tried once",
                hint=f"try it by hand: ssh -t {user}@{self.connection.host} sudo true",
            )
        else:
            raise self._refused(" ".join(said.split())[-300:])

    def _refused(self, said: str) -> HostError:
        user = self.connection.user
        if "password is required" in said or "terminal is required" in said:
            return HostError(
                self._host,
                f"sudo refused {user!r}: it wants a password",
                hint="name the variable that holds it with sudo_password_env in the inventory, or --ask-sudo-password; "
                f"or allow it without one: echo '{user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/clusterctl",
            )
        if "not found" in said:
            return HostError(self._host, "there is no sudo", hint="log in as root, or install sudo")
        return HostError(
            self._host,
            f"sudo refused {user!r}: {said}",
            hint=f"as root there: echo '{user} ALL=(ALL) ALL' > /etc/sudoers.d/clusterctl",
        )

    @property
    def needs_sudo(self) -> bool:
        """Whether the login user is another than root."""
        return bool(self.connection.user != "root")

    def words(self, command: Command) -> str:
        """Return the line that goes over: quoted once, ended on the host when it is over its time."""
        limit = ("timeout", "-k", str(KILL_AFTER), f"{stretched(command.within):g}")
        root = command.root and self.needs_sudo
        sudo = self._sudo(alone=not command.input) if root else ()
        line = shlex.join((*sudo, *limit, *command.argv))
        return line if command.input or (root and self._first) else f"{line} </dev/null"

    def _sudo(self, *, alone: bool) -> tuple[str, ...]:
        """Return what makes a command root's. alone: it has no standard input of its own."""
        if not self._first:
            return ("sudo", "-n")
        # -k: a password is asked for each time, so that it is never left over for the command to read.
        return ("sudo", "-S", "-k", "-p", "", "sh", "-c", _AFTER_ALONE if alone else _AFTER, "sh", self._mark)

    @property
    def _first(self) -> bytes:
        """What standard input begins with, for sudo."""
        password = self._link.login.sudo_password if self.needs_sudo else ""
        return f"{password}\n{self._mark}\n".encode() if password else b""

    def _input(self, command: Command) -> io.BytesIO | bool:
        first = self._first if command.root else b""
        if command.input:
            return io.BytesIO(first + command.input)
        return Unended(first) if first else False

    def _send(self, line: str, data: io.BytesIO | bool, within: float) -> Any:
        """Run a line over there and return what Fabric makes of it. Raises Unreachable, CommandTimedOut."""
        try:
            return self.connection.run(
                line, hide=True, warn=True, pty=False, encoding="utf-8", in_stream=data, timeout=within
            )
        except CommandTimedOut:
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise Unreachable(self._host, f"the SSH connection broke: {why(error)}") from error
        except Exception as error:  # invoke wraps what its threads raise in types of its own
            raise Unreachable(self._host, f"the SSH connection broke: {error}") from error

    def begin(self, command: Command) -> None:
        """Begin a command that only reads, before it is known whether it is asked for; the next `run` of it ends it."""
        answer: Future[Result] = Future()

        def carry_out() -> None:
            try:
                answer.set_result(self._run(command))
            except Exception as error:
                answer.set_exception(error)

        self._begun = (command, time.monotonic(), answer)
        threading.Thread(target=carry_out, name="begun", daemon=True).start()

    def forget(self) -> None:
        """Forget what was begun: something is about to change."""
        self._begun = None

    def run(self, command: Command) -> Result:
        """Run the command. Raises Unreachable when the connection is gone, TimedOut when it is over its time."""
        begun, self._begun = self._begun, None
        if begun and begun[0] == command:
            with contextlib.suppress(Unreachable):  # it may have come up meanwhile
                return replace(begun[2].result(), seconds=time.monotonic() - begun[1])
        return self._run(command)

    def _run(self, command: Command) -> Result:
        self.open()
        started, within = time.monotonic(), stretched(command.within)
        with self._slots:
            try:
                done = self._send(self.words(command), self._input(command), within + KILL_AFTER + 5)
            except CommandTimedOut as error:
                raise TimedOut(self._host, command.line(), within, error.result.stderr[-300:]) from error
        seconds = time.monotonic() - started
        result = Result(
            self._host, command, done.return_code, done.stdout[:OUTPUT_LIMIT], done.stderr[:OUTPUT_LIMIT], seconds
        )
        if result.exit_code in (124, 137) and seconds >= within:
            raise TimedOut(self._host, command.line(), within, result.tail())
        if command.root and self.needs_sudo and result.exit_code in {1, 127} and _from_sudo(result.stderr):
            raise self._refused(result.tail())
        return result

    def send(self, source: str, to: str, seen: Callable[[int, int], None]) -> None:
        """Copy a file over SFTP, as the login user. Raises Unreachable when the connection breaks or falls silent."""
        self.open()
        with self._slots:
            try:
                sftp = self.connection.sftp()
                sftp.get_channel().settimeout(SILENT_FOR)
                sftp.put(source, to, callback=seen)
            except PermissionError as error:
                raise HostError(self._host, f"{to} cannot be written to: {why(error)}") from error
            except (TimeoutError, paramiko.SSHException, EOFError) as error:
                raise Unreachable(
                    self._host, f"sending {source}: {why(error)}", hint=f"does SFTP work? sftp {self._host}"
                ) from error
            except OSError as error:
                raise HostError(self._host, f"sending {source}: {why(error)}") from error

    @property
    def docker(self) -> DockerDoor:
        """The Docker API, over `docker system dial-stdio` on this connection."""
        if self._docker is None:
            from clusterctl.remote.docker import SshDocker

            self.open()
            words = (*self._sudo(alone=False), *DIAL) if self.needs_sudo else DIAL
            door = SshDocker(self._host, self.connection.transport, shlex.join(words), first=self._first)
            self._closers.append(door.close)
            self._docker = door
        return self._docker

    @property
    def etcd(self) -> EtcdDoor:
        """The etcd of the host, through a tunnel. Raises HostError while there is no client certificate."""
        if self._etcd is None:
            from clusterctl.remote.etcd import TunnelledEtcd

            if not self._credentials.key.exists():
                raise HostError(self._host, "this controller has no client certificate for etcd", hint="clusterctl up")
            self.open()
            door = TunnelledEtcd(self._host, self.connection, self._credentials)
            self._closers.append(door.close)
            self._etcd = door
        return self._etcd

    def close(self) -> None:
        """Close everything that runs over the connection, then the connection. Never raises."""
        self._close_riders()
        with contextlib.suppress(Exception):
            self._link.close()

    def _close_riders(self) -> None:
        for close in reversed(self._closers):
            with contextlib.suppress(Exception):
                close()
        self._closers.clear()
        self._docker = self._etcd = None


def _from_sudo(text: str) -> bool:
    return text.startswith("sudo:") or "sudo: not found" in text or "sudo: command not found" in text

"""One SSH connection a host, by Fabric. The only module that imports fabric."""

from __future__ import annotations

import contextlib
import io
import logging
import shlex
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import fabric
import paramiko
from fabric.runners import Remote
from invoke.exceptions import CommandTimedOut

from clusterctl.model.errors import HostError, TimedOut, Unreachable
from clusterctl.plan.command import Command, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from clusterctl.plan.door import DockerDoor, EtcdDoor
    from clusterctl.remote.etcd import Credentials

SESSIONS = 4
"""Commands at once on one connection; sshd allows ten sessions (MaxSessions), the Docker API uses some."""

KILL_AFTER = 5
"""Seconds between the polite and the final signal to a remote command that is over its time."""

SILENT_FOR = 60.0

OUTPUT_LIMIT = 4 * 1024 * 1024
"""Characters kept of a command's output; a hostile host must not fill our memory."""


class _Piped(Remote):  # type: ignore[misc]  # fabric is not typed
    """Fabric's runner, but standard input goes over in one piece; the original sends a byte every 10 ms.

    Only commands with input have a stream to send: an end of file for a command that has ended already
    refers to a channel that is gone, and sshd then drops the whole connection.
    """

    input_sleep = 0.004

    def handle_stdin(self, input_: Any, output: Any, echo: bool = False) -> None:
        """Send everything there is to read, then close."""
        # A command may end before it has read everything; its exit code says more than our broken pipe.
        with contextlib.suppress(OSError):
            self.channel.sendall(input_.read())
            self.close_proc_stdin()


class SshDoor:
    """A host over SSH. Opens on first use, stays open until `close`, is shared by all threads.

    Only host keys in the lab's known_hosts (and those given besides) are accepted: Fabric by itself
    takes any key, even a changed one, so the policy is set before the connection opens.
    """

    def __init__(
        self,
        host: str,
        ssh_config: Path,
        known_hosts: Sequence[Path],
        credentials: Credentials,
        *,
        connect_within: float = 10.0,
    ) -> None:
        self._host = host
        self._credentials = credentials
        self._known_hosts = tuple(known_hosts)
        config = fabric.Config(
            overrides={"runners": {"remote": _Piped}, "load_ssh_configs": False},
            runtime_ssh_path=str(ssh_config),
        )
        self.connection = fabric.Connection(
            host,
            config=config,
            connect_timeout=connect_within,
            connect_kwargs={"banner_timeout": connect_within, "auth_timeout": connect_within},
        )
        self._opening = threading.Lock()
        self._slots = threading.BoundedSemaphore(SESSIONS)
        self._sudo: bool | None = None
        self._docker: DockerDoor | None = None
        self._etcd: EtcdDoor | None = None
        self._closers: list[Callable[[], None]] = []
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        logging.getLogger("invoke").setLevel(logging.WARNING)

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

    def open(self) -> None:
        """Connect and check the host's key. Raises Unreachable with the cause and the next thing to type."""
        with self._opening:
            if self.connection.is_connected:
                return
            # What ran over a connection that broke has broken with it.
            self._close_riders()
            self._connect()
            transport = self.connection.transport
            # A dead peer must be noticed: paramiko waits an hour for a channel by default.
            transport.channel_timeout = 15
            transport.set_keepalive(15)
            # Without this each new channel waits 40 ms: Nagle here meets delayed ACKs there.
            if isinstance(transport.sock, socket.socket):
                transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _connect(self) -> None:
        client = self.connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for path in self._known_hosts:
            if path.exists():
                client.load_system_host_keys(str(path))
        address = f"{self.connection.host}:{self.connection.port}"
        try:
            self.connection.open()
        except paramiko.BadHostKeyException as error:
            raise Unreachable(
                self._host,
                f"THE HOST KEY OF {address} HAS CHANGED: it is {error.key.fingerprint}, "
                f"expected {error.expected_key.fingerprint}; somebody may be in the middle",
                hint=f"if the host was set up anew: ssh-keygen -R {self.connection.host} -f {self._known_hosts[0]}",
            ) from error
        except paramiko.PasswordRequiredException as error:
            raise Unreachable(
                self._host, f"the SSH key for {address} has a passphrase", hint="ssh-add the key first"
            ) from error
        except paramiko.AuthenticationException as error:
            raise Unreachable(
                self._host,
                f"{address} refuses user {self.connection.user!r} with this key",
                hint=f"ssh-copy-id -p {self.connection.port} {self.connection.user}@{self.connection.host}",
            ) from error
        except (TimeoutError, socket.gaierror, paramiko.ssh_exception.NoValidConnectionsError, OSError) as error:
            raise Unreachable(
                self._host,
                f"no SSH connection to {address}: {_why(error)}",
                hint=f"ssh -p {self.connection.port} {self.connection.user}@{self.connection.host} true",
            ) from error
        except paramiko.SSHException as error:
            unknown = "not found in known_hosts" in str(error)
            raise Unreachable(
                self._host,
                f"the host key of {address} is not known" if unknown else f"SSH to {address}: {error}",
                hint=(
                    f"compare its fingerprint, then: ssh-keyscan -p {self.connection.port} "
                    f"{self.connection.host} >> {self._known_hosts[0]}"
                    if unknown
                    else ""
                ),
            ) from error

    @property
    def needs_sudo(self) -> bool:
        """Whether the login user is another than root."""
        return bool(self.connection.user != "root")

    def words(self, command: Command) -> str:
        """Return the line that goes over: quoted once, ended on the host when it is over its time."""
        limit = ("timeout", "-k", str(KILL_AFTER), f"{command.within:g}")
        sudo = ("sudo", "-n") if command.root and self.needs_sudo else ()
        line = shlex.join((*sudo, *limit, *command.argv))
        return line if command.input else f"{line} </dev/null"

    def run(self, command: Command) -> Result:
        """Run the command. Raises Unreachable when the connection is gone, TimedOut when it is over its time."""
        self.open()
        started = time.monotonic()
        with self._slots:
            try:
                done = self.connection.run(
                    self.words(command),
                    hide=True,
                    warn=True,
                    pty=False,
                    encoding="utf-8",
                    in_stream=io.BytesIO(command.input) if command.input else False,
                    timeout=command.within + KILL_AFTER + 5,
                )
            except CommandTimedOut as error:
                raise TimedOut(self._host, command.line(), command.within, error.result.stderr[-300:]) from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise Unreachable(self._host, f"the SSH connection broke: {_why(error)}") from error
            except Exception as error:  # invoke wraps what its threads raise in types of its own
                raise Unreachable(self._host, f"the SSH connection broke: {error}") from error
        seconds = time.monotonic() - started
        result = Result(
            self._host, command, done.return_code, done.stdout[:OUTPUT_LIMIT], done.stderr[:OUTPUT_LIMIT], seconds
        )
        if result.exit_code in (124, 137) and seconds >= command.within:
            raise TimedOut(self._host, command.line(), command.within, result.tail())
        if self.needs_sudo and result.exit_code == 1 and result.stderr.startswith("sudo:"):
            raise HostError(
                self._host,
                f"sudo refused {self.connection.user!r}: {result.tail()}",
                hint=f"allow it without a password: echo '{self.connection.user} ALL=(ALL) NOPASSWD: ALL' "
                f"| sudo tee /etc/sudoers.d/clusterctl",
            )
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
                raise HostError(self._host, f"{to} cannot be written to: {_why(error)}") from error
            except (TimeoutError, paramiko.SSHException, EOFError) as error:
                raise Unreachable(
                    self._host, f"sending {source}: {_why(error)}", hint=f"does SFTP work? sftp {self._host}"
                ) from error
            except OSError as error:
                raise HostError(self._host, f"sending {source}: {_why(error)}") from error

    @property
    def docker(self) -> DockerDoor:
        """The Docker API, over `docker system dial-stdio` on this connection."""
        if self._docker is None:
            from clusterctl.remote.docker import SshDocker

            self.open()
            door = SshDocker(self._host, self.connection.transport, sudo=self.needs_sudo)
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
            self.connection.close()

    def _close_riders(self) -> None:
        for close in reversed(self._closers):
            with contextlib.suppress(Exception):
                close()
        self._closers.clear()
        self._docker = self._etcd = None


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        return "; ".join(sorted({str(e.strerror or e) for e in error.errors.values()})).lower()
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()

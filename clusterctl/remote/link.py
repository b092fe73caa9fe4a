"""One SSH connection to one machine, by Fabric. The only module that imports fabric."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import re
import shlex
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import fabric
import paramiko
from fabric.runners import Remote

from clusterctl.model.errors import ChangedHostKey, HostError, HostKey, UnknownHostKey, Unreachable
from clusterctl.remote.login import KeyRing, Login, NotLetIn, Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Unended(io.BytesIO):
    """Standard input that is sent without an end: what reads it knows by itself where it ends."""


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
            if not isinstance(input_, Unended):
                self.close_proc_stdin()


class _Transport(paramiko.Transport):  # type: ignore[misc]
    """Prefers ciphers that authenticate by themselves: paramiko compares a MAC byte by byte, in Python."""

    _preferred_ciphers = (
        *(c for c in paramiko.Transport._preferred_ciphers if "gcm" in c),
        *(c for c in paramiko.Transport._preferred_ciphers if "gcm" not in c),
    )


class _NotKnown(paramiko.SSHException):  # type: ignore[misc]
    def __init__(self, name: str, key: paramiko.PKey) -> None:
        super().__init__("host key not known")
        self.name, self.key = name, key


class _Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuses a key that is not known, and hands it on."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _NotKnown(hostname, key)


class Link:
    """A connection that opens on first use, stays open until `close`, and is shared by all threads.

    Only host keys in the files of known hosts are accepted: Fabric by itself takes any key, even a changed
    one, so the policy is set before the connection opens.

    name: the section of the ssh_config that holds. gateway: the link that this one goes through.
    """

    def __init__(
        self,
        name: str,
        ssh_config: paramiko.SSHConfig,
        known_hosts: Sequence[Path],
        *,
        login: Login | None = None,
        ring: KeyRing | None = None,
        gateway: Link | None = None,
        within: float = 10.0,
    ) -> None:
        self.name, self.gateway, self.login = name, gateway, login or Login()
        self._known_hosts, self._within = tuple(known_hosts), within
        found = ssh_config.lookup(name)
        strategy = functools.partial(
            self._strategy,
            keys=found.get("identityfile", ()),
            only=found.get("identitiesonly") == "yes",
            ring=ring or KeyRing(),
        )
        config = fabric.Config(
            overrides={
                "runners": {"remote": _Piped},
                "load_ssh_configs": False,
                "authentication": {"strategy_class": strategy},
            },
            ssh_config=ssh_config,
        )
        self.connection: Any = fabric.Connection(
            name,
            config=config,
            gateway=gateway.connection if gateway else None,
            connect_timeout=within,
            connect_kwargs={"banner_timeout": within, "auth_timeout": within, "transport_factory": _Transport},
        )
        self._opening = threading.Lock()
        self._failed: tuple[float, Exception] | None = None
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        logging.getLogger("invoke").setLevel(logging.WARNING)

    def _strategy(self, *, keys: Sequence[str], only: bool, ring: KeyRing, username: str, **unused: Any) -> Strategy:
        return Strategy(self.name, username, keys, only=only, login=self.login, ring=ring)

    @property
    def address(self) -> str:
        """Where it leads, and through what, for messages."""
        through = f" through {self.gateway.name}" if self.gateway else ""
        return f"{self.connection.host}:{self.connection.port}{through}"

    @property
    def is_open(self) -> bool:
        """Whether the connection is open, as far as this side knows."""
        return bool(self.connection.is_connected)

    def open(self) -> None:
        """Connect and check the host's key. Raises Unreachable with the cause and the next thing to type."""
        if self.gateway:
            self.gateway.open()
        asked = time.monotonic()
        with self._opening:
            if self.is_open:
                return
            if self._failed and self._failed[0] > asked:
                # Somebody else has tried while we waited; ten hosts behind a dead one need not wait ten times.
                raise self._failed[1]
            try:
                self._connect()
            except Exception as error:
                self._failed = time.monotonic(), error
                raise
            transport = self.connection.transport
            # A dead peer must be noticed: paramiko waits an hour for a channel by default.
            transport.channel_timeout = 15
            transport.set_keepalive(15)
            # Without this each new channel waits 40 ms: Nagle here meets delayed ACKs there.
            if isinstance(transport.sock, socket.socket):
                transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the connection; what goes through it must be closed before."""
        # What a refused login left half open goes as well.
        self.connection.client.close()

    def _connect(self) -> None:
        client = self.connection.client
        client.set_missing_host_key_policy(_Refuse())
        for path in self._known_hosts:
            if path.exists():
                client.load_system_host_keys(str(path))
        try:
            self.connection.open()
        except BaseException as error:
            client.close()
            if isinstance(error, HostError | KeyboardInterrupt | SystemExit):
                raise
            raise self._explained(error) from error

    def _explained(self, error: BaseException) -> Exception:  # noqa: PLR0911  # a kind of failure each
        c = self.connection
        port = f"-p {c.port} "
        by_hand = f"ssh {port}{c.user}@{c.host} true"
        if self.gateway:
            g = self.gateway.connection
            by_hand = f"ssh -J {g.user}@{g.host}:{g.port} {port}{c.user}@{c.host} true"
        match error:
            case _NotKnown():
                return UnknownHostKey(self.name, _shown(error.name, self.address, error.key))
            case paramiko.BadHostKeyException():
                return self._changed(error)
            case NotLetIn():
                return self._not_let_in(error)
            case paramiko.ChannelException():
                through = self.gateway.name if self.gateway else "the jump host"
                if error.code == 1:
                    return Unreachable(
                        self.name,
                        f"{through} does not let anybody through to {c.host}:{c.port}",
                        hint="set AllowTcpForwarding yes in its sshd_config",
                    )
                return Unreachable(
                    self.name, f"{through} has no connection to {c.host}:{c.port}: {error.text}", hint=by_hand
                )
            case paramiko.ssh_exception.IncompatiblePeer():
                return Unreachable(self.name, f"SSH to {self.address}: no algorithm in common: {error}", hint=by_hand)
            case paramiko.SSHException() if re.search(
                "SSH protocol banner|Invalid SSH banner|protocol version", str(error)
            ):
                return Unreachable(
                    self.name,
                    f"what answers at {self.address} is no SSH server",
                    hint=f"is {c.port} the port of sshd? set port of {self.name} in the inventory",
                )
            case _:
                return Unreachable(
                    self.name, f"no SSH connection to {self.address}: {why(error, self._within)}", hint=by_hand
                )

    def _not_let_in(self, error: NotLetIn) -> Unreachable:
        c, login = self.connection, self.login
        tried = ", ".join(error.tried) or "nothing: there is no key, no agent and no password for it"
        takes = f"; it takes {', '.join(error.allowed)}" if error.allowed else ""
        hint = f"ssh-copy-id -p {c.port} {c.user}@{c.host}"
        if login.password:
            hint = f"is the password right ({login.password_source})?"
        elif "password" in error.allowed or "keyboard-interactive" in error.allowed:
            hint += "; or log in with a password: password_env in the inventory, or --ask-password"
        return Unreachable(self.name, f"{self.address} refuses user {c.user!r}; tried {tried}{takes}", hint=hint)

    def _changed(self, error: paramiko.BadHostKeyException) -> ChangedHostKey:
        c = self.connection
        name = c.host if c.port == 22 else f"[{c.host}]:{c.port}"
        files = [path for path in self._known_hosts if path.exists() and paramiko.HostKeys(str(path)).lookup(name)]
        forget = " && ".join(f"ssh-keygen -R {shlex.quote(name)} -f {shlex.quote(str(path))}" for path in files)
        return ChangedHostKey(
            self.name,
            f"THE HOST KEY OF {self.address} HAS CHANGED: it is {error.key.fingerprint}, "
            f"expected {error.expected_key.fingerprint}; somebody may be in the middle",
            hint=f"only if the host was set up anew: {forget}",
        )


def _shown(name: str, address: str, key: paramiko.PKey) -> HostKey:
    kind = {"ssh-rsa": "RSA", "ssh-ed25519": "ED25519"}.get(key.get_name(), "ECDSA")
    return HostKey(name, address, kind, key.fingerprint, f"{name} {key.get_name()} {key.get_base64()}\n")


def why(error: BaseException, within: float = 0) -> str:
    """Return in a few words why a connection failed or broke."""
    if isinstance(error, TimeoutError):
        return f"no answer within {within:g} s" if within else "no answer"
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        return "; ".join(sorted({str(e.strerror or e) for e in error.errors.values()})).lower()
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    text = str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
    return "".join(c if c.isprintable() else " " for c in text)[:300]

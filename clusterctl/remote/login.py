"""How we prove who we are: keys from files and the agent, passwords; each tried once, and said when refused."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey, Password

from clusterctl.model.errors import LockedKey, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

AGENT_KEYS = 4
"""Keys of the agent that are offered: after six refusals a server hangs up."""


@dataclass(frozen=True, slots=True)
class Login:
    """The secrets for one machine, none of which is ever shown; `source`: where the user gave them, to say so."""

    password: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    sudo_password: str = field(default="", repr=False)
    password_source: str = ""
    passphrase_source: str = ""
    sudo_source: str = ""


class KeyRing:
    """Private keys by their path, each read and unlocked once: unlocking is made to take long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, paramiko.PKey] = {}
        self._passphrases: dict[str, str] = {}

    def unlock(self, path: str, passphrase: str) -> None:
        """Use this passphrase for this key."""
        self._passphrases[path] = passphrase

    def load(self, host: str, path: str, login: Login) -> paramiko.PKey:
        """Return the key. Raises LockedKey, or Unreachable with what is wrong with the file."""
        with self._lock:
            if path not in self._keys:
                self._keys[path] = self._load(host, path, login)
            return self._keys[path]

    def _load(self, host: str, path: str, login: Login) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(path)
        except OSError as error:
            raise Unreachable(host, f"the key {path}: {(error.strerror or str(error)).lower()}") from error
        except (TypeError, paramiko.PasswordRequiredException):
            # cryptography says so where a key needs a passphrase.
            passphrase = self._passphrases.get(path) or login.passphrase
        except (ValueError, paramiko.SSHException) as error:
            raise Unreachable(host, f"the key {path} is no private key that can be read") from error
        if not passphrase:
            raise LockedKey(host, path)
        try:
            return paramiko.PKey.from_path(path, passphrase.encode())
        except (ValueError, TypeError, paramiko.SSHException) as error:
            self._passphrases.pop(path, None)
            where = f" in {login.passphrase_source}" if login.passphrase and login.passphrase_source else ""
            raise Unreachable(
                host, f"the passphrase{where} does not open the key {path}", hint=f"ssh-keygen -y -f {path} asks for it"
            ) from error


class NotLetIn(paramiko.AuthenticationException):  # type: ignore[misc]
    """The server refused everything. tried: what was offered. allowed: what it would take."""

    def __init__(self, tried: Sequence[str], allowed: Sequence[str]) -> None:
        super().__init__("not let in")
        self.tried, self.allowed = tuple(tried), tuple(allowed)


class Strategy(AuthStrategy):  # type: ignore[misc]  # paramiko is not typed
    """What is offered to one server, in order: the keys that are named, the agent's, the usual ones, the password.

    keys: those that are named. only: no other key is offered.
    """

    def __init__(self, host: str, user: str, keys: Sequence[str], *, only: bool, login: Login, ring: KeyRing) -> None:
        super().__init__(ssh_config=None)
        self._host, self._user, self._keys, self._only = host, user, tuple(keys), only
        self._login, self._ring = login, ring
        self._locked: LockedKey | None = None

    def get_sources(self) -> Iterator[tuple[str, AuthSource]]:
        """Yield what to offer, with its name for people."""
        if self._only or not self._login.password:
            yield from self._key_sources()
        if self._login.password:
            yield "the password", Password(self._user, lambda: self._login.password)

    def _key_sources(self) -> Iterator[tuple[str, AuthSource]]:
        for path in self._keys or USUAL:
            file = Path(path).expanduser()
            if not self._only and not file.exists():
                continue
            try:
                key = self._ring.load(self._host, str(file), self._login)
            except LockedKey as error:
                self._locked = self._locked or error
            except Unreachable:
                if self._only:
                    raise
            else:
                yield f"the key {path}", InMemoryPrivateKey(self._user, key)
        if not self._only or self._locked:
            yield from self._agent_sources()

    def _agent_sources(self) -> Iterator[tuple[str, AuthSource]]:
        agent = paramiko.Agent()
        try:
            keys = list(agent.get_keys())
            if self._only and self._locked and (public := _public(self._locked.path)):
                keys = [key for key in keys if key.get_base64() == public]
            for key in keys[:AGENT_KEYS]:
                yield f"the agent's key {key.comment or key.get_name()}", InMemoryPrivateKey(self._user, key)
        finally:
            agent.close()

    def authenticate(self, transport: Any) -> None:
        """Offer one after the other until the server lets us in. Raises NotLetIn or LockedKey."""
        tried: list[str] = []
        allowed: list[str] = []
        for name, source in self.get_sources():
            try:
                source.authenticate(transport)
            except paramiko.BadAuthenticationType as error:
                allowed = list(error.allowed_types)
            except paramiko.SSHException:
                tried.append(name)
            # A server may want a key and a password: then the key alone is no failure and no success.
            if transport.is_authenticated():
                return
            if not transport.is_active():
                break
        if self._locked:
            raise self._locked
        raise NotLetIn(tried, allowed)


def _public(path: str) -> str:
    """Return the public half of a key from the file beside it; "" where there is none."""
    try:
        words = Path(f"{path}.pub").read_text().split()
    except (OSError, UnicodeDecodeError):
        return ""
    return words[1] if len(words) > 1 else ""

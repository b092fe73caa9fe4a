"""Getting to the hosts of others: the secrets for them, and the first look at their host keys.

Whatever must be asked is asked here, one question after another, before anything is done.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.model.errors import (
    ChangedHostKey,
    HostError,
    HostsFailed,
    InputError,
    Interrupted,
    LockedKey,
    Refused,
    UnknownHostKey,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from clusterctl.model.errors import HostKey
    from clusterctl.providers.ways import Way
    from clusterctl.remote.login import Login


@dataclass(frozen=True, slots=True)
class Access:
    """What the command line says about getting to hosts."""

    accept_host_keys: bool = False
    ask_password: bool = False
    ask_sudo_password: bool = False


def terminal() -> bool:
    """Whether somebody can be asked: there is a terminal, though standard input may be a file."""
    if not sys.stderr.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Let Ctrl-C end a question in order, so that the terminal shows again what is typed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, EOFError):
        raise Interrupted("stopped at a question; nothing was changed") from None
    finally:
        signal.signal(signal.SIGINT, before)


def ask_secret(what: str, otherwise: str) -> str:
    """Ask for a secret on the terminal. Raises InputError where there is none; `otherwise`: what to do then."""
    if not terminal():
        raise InputError(f"{what} cannot be asked for: there is no terminal", hint=otherwise)
    with _asking():
        return getpass.getpass(f"{what}: ")


class Secrets:
    """The secrets of a lab: from the environment, else asked for, each once."""

    def __init__(self, access: Access, environ: Mapping[str, str]) -> None:
        self._access, self._environ = access, environ
        self._asked: dict[str, str] = {}

    def logins(self, ways: Sequence[Way], hosts: Collection[str]) -> dict[str, Login]:
        """Return the login for each way by its name. Raises InputError with every variable that is not set.

        What is asked for by a flag goes to hosts alone, never to a jump host.
        """
        from clusterctl.remote.login import Login

        self._check(ways, hosts)
        logins: dict[str, Login] = {}
        for way in ways:
            password = self._one(way.password_env, self._access.ask_password and way.name in hosts, "SSH password")
            passphrase = self._one(way.passphrase_env, False, "passphrase of the SSH key")
            sudo = self._one(
                way.sudo_password_env, self._access.ask_sudo_password and way.name in hosts, "sudo password"
            )
            logins[way.name] = Login(password[0], passphrase[0], sudo[0], password[1], passphrase[1], sudo[1])
        return logins

    def _check(self, ways: Sequence[Way], hosts: Collection[str]) -> None:
        if terminal():
            return
        missing: dict[tuple[str, str, str], list[str]] = {}
        for way in ways:
            asked = {"password_env": self._access.ask_password, "sudo_password_env": self._access.ask_sudo_password}
            for key in ("password_env", "passphrase_env", "sudo_password_env"):
                name, flag = getattr(way, key), asked.get(key, False) and way.name in hosts
                if name and not self._environ.get(name):
                    missing.setdefault((name, key, ""), []).append(way.name)
                elif flag and not name:
                    missing.setdefault(("", key, f"--ask-{key.removesuffix('_env').replace('_', '-')}"), []).append(
                        way.name
                    )
        if missing:
            told = [
                f"{', '.join(names)}: the environment variable {name} is not set ({key})"
                if name
                else f"{', '.join(names)}: {flag}: there is no terminal to ask on"
                for (name, key, flag), names in missing.items()
            ]
            variables = sorted({name for name, _, _ in missing if name})
            hint = "; ".join(f"export {name}=…" for name in variables) or f"name a variable: {next(iter(missing))[1]}"
            raise InputError("\n".join(told), hint=hint)

    def _one(self, name: str, flag: bool, what: str) -> tuple[str, str]:
        """Return a secret and where it came from; "" where there is none."""
        if name and (value := self._environ.get(name)):
            return value, f"${name}"
        if not name and not flag:
            return "", ""
        key = what if flag else name
        if key not in self._asked:
            question = what if flag else f"{what} (${name} is not set)"
            self._asked[key] = ask_secret(question, f"export {name}=…" if name else "")
        return self._asked[key], "as it was typed"


def greet(
    open_all: Callable[[], Mapping[str, HostError]],
    trust: Callable[[HostKey], None],
    unlock: Callable[[str, str], None],
    access: Access,
) -> Mapping[str, HostError]:
    """Connect to all hosts; ask about new host keys and locked private keys, then try again.

    Returns why others cannot be reached. Raises HostsFailed (nothing was changed) when a key is new and
    nobody vouches for it, or when one has changed, whatever the flags say.
    """
    asked: set[str] = set()
    while True:
        errors = open_all()
        if any(isinstance(error, ChangedHostKey) for error in errors.values()):
            raise _refused(errors)
        keys = {e.key.line: e.key for e in errors.values() if isinstance(e, UnknownHostKey)}
        if keys and not _vouched(list(keys.values()), trust, access):
            raise _refused(errors)
        paths = {e.path for e in errors.values() if isinstance(e, LockedKey)} - asked
        if paths and terminal():
            for path in sorted(paths):
                unlock(path, ask_secret(f"passphrase of {path}", ""))
            asked |= paths
        elif not keys:
            return errors


def _refused(errors: Mapping[str, HostError]) -> HostsFailed:
    failed = HostsFailed("Connect", {e.host: e for e in errors.values()}, [])
    failed.exit_code = Refused.exit_code
    return failed


def refuse(errors: Mapping[str, HostError]) -> None:
    """Raise HostsFailed with these errors, if there are any; nothing was changed yet."""
    if errors:
        raise _refused(errors)


def _vouched(keys: Sequence[HostKey], trust: Callable[[HostKey], None], access: Access) -> bool:
    """Have each new key vouched for. Returns whether all were."""
    if not access.accept_host_keys and not terminal():
        return False
    for key in keys:
        line = f"{key.address}: {key.kind} {key.fingerprint}"
        if access.accept_host_keys:
            print(f"accepted the new host key of {line}", file=sys.stderr)
            trust(key)
    if access.accept_host_keys:
        return True
    print("These host keys are new:", file=sys.stderr)
    for key in keys:
        print(f"  {key.address}  {key.kind} {key.fingerprint}", file=sys.stderr)
    kinds = sorted({key.kind.lower() for key in keys})
    for kind in kinds:
        print(f"compare on the host: ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub", file=sys.stderr)
    agreed = True
    for key in keys:
        if _yes(f"{key.address} has the key {key.fingerprint}: is it right? [y/N] "):
            trust(key)
        else:
            agreed = False
    return agreed


def _yes(question: str) -> bool:
    with _asking(), open("/dev/tty", "r+b", buffering=0) as tty:  # noqa: PTH123  # a terminal is no file
        tty.write(question.encode())
        answer = b""
        while not answer.endswith(b"\n"):
            more = tty.read(1)
            if not more:
                raise EOFError
            answer += more
    return answer.decode(errors="replace").strip().lower() in {"y", "yes"}

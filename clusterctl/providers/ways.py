"""The way to each machine: what the inventory says, then the user's ssh_config, then what is usual."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.model.errors import InputError
from clusterctl.model.reach import Reach, hop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from clusterctl.commands.ssh import Asked
    from clusterctl.model.inventory import Host, Inventory
    from clusterctl.model.reach import JumpHost

    Look = Callable[[str, str, int], Asked]

LONGEST = 8
"""Jump hosts one behind the other."""

_USERS_HOP = re.compile(r"(?:ssh://)?(?:([^@\s]+)@)?([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?")


@dataclass(frozen=True, slots=True)
class Way:
    """How SSH reaches one machine: a section of the lab's ssh_config.

    keys: private keys; none: the agent's, and what SSH finds by itself. only: no other keys are tried.
    jump: the name of the way that this one goes through. proxy: a command instead of a connection.
    The last three name environment variables.
    """

    name: str
    address: str
    user: str
    port: int
    keys: tuple[str, ...] = ()
    only: bool = False
    jump: str = ""
    proxy: str = ""
    password_env: str = ""
    passphrase_env: str = ""
    sudo_password_env: str = ""


class Ways:
    """Finds the ways of a lab; machines that several of them go through are found once.

    look: asks the user's ssh_config about an address, user and port ("" and 0 where they are open).
    """

    def __init__(self, inventory: Inventory, look: Look) -> None:
        self._inventory = inventory
        self._look = look
        self.answers: dict[tuple[str, str, int], Asked] = {}
        self._ways: dict[str, Way] = {}

    def find(self) -> tuple[Way, ...]:
        """Return the ways, each after those that it goes through. Raises InputError."""
        first = self._first_questions()
        with ThreadPoolExecutor(min(16, len(first)), thread_name_prefix="ssh -G") as pool:
            self.answers.update(zip(first, pool.map(lambda q: self._look(*q), first), strict=True))
        for name in self._inventory.hosts:
            self._host(name)
        return tuple(self._ways.values())

    @property
    def known(self) -> tuple[Path, ...]:
        """The files of known host keys that the user's settings name."""
        words = (word for asked in self.answers.values() for word in asked.known)
        return tuple(dict.fromkeys(Path(word).expanduser() for word in words))

    def _first_questions(self) -> list[tuple[str, str, int]]:
        entries: list[Host | JumpHost] = [*self._inventory.hosts.values(), *self._inventory.jump_hosts.values()]
        questions = [(e.address, *_given(e)) for e in entries]
        named = {*self._inventory.hosts, *self._inventory.jump_hosts}
        for word in (w for e in entries for w in e.jump if w not in named):
            found = hop(word)
            questions.append((found.address, found.user, found.port))
        return list(dict.fromkeys(questions))

    def _ask(self, address: str, user: str, port: int) -> Asked:
        question = (address, user, port)
        if question not in self.answers:
            self.answers[question] = self._look(*question)
        return self.answers[question]

    def _host(self, name: str) -> Way:
        if name in self._ways:
            return self._ways[name]
        host = self._inventory.hosts[name]
        user, port = _given(host)
        asked = self._ask(host.address, user, port)
        way = Way(
            name=name,
            address=asked.address,
            user=user or asked.user or host.user,
            port=port or asked.port,
            keys=(_absolute(host.key),) if host.key else tuple(_absolute(k) for k in asked.keys),
            only=bool(host.key),
            password_env=host.password_env,
            passphrase_env=host.passphrase_env,
            sudo_password_env=host.sudo_password_env,
        )
        if host.says("jump"):
            way = replace(way, jump=self._through(host.jump, way, 0))
        else:
            way = replace(way, jump=self._through(asked.jump, way, 0, users=True), proxy=asked.proxy)
        self._ways[name] = way
        return way

    def _through(self, words: Sequence[str], behind: Way, depth: int, *, users: bool = False) -> str:
        """Return the name of the last of these jump hosts, each found behind the one before it.

        users: the words come from the user's ssh_config, so names are aliases there.
        """
        if depth + len(words) > LONGEST:
            raise InputError(f"hosts: {behind.name}: more than {LONGEST} jump hosts, or a way that leads to itself")
        before = ""
        for word in words:
            if not users and not before and word in self._inventory.hosts:
                before = self._host(word).name
            else:
                before = self._jump(word, before, behind, depth, users=users)
        return before

    def _jump(self, word: str, before: str, behind: Way, depth: int, *, users: bool) -> str:
        hosts, jump_hosts = self._inventory.hosts, self._inventory.jump_hosts
        entry: Reach = Reach()
        if not users and (word in hosts or word in jump_hosts):
            named = hosts.get(word) or jump_hosts[word]
            entry, address = named, named.address
            user, port = _given(entry)
        else:
            address, user, port = _users_hop(word, behind) if users else _parts(word)
        asked = self._ask(address, user, port)
        if not before:
            # Only the first one may have a way of its own: the others are reached from the one before.
            own = entry.jump if "jump" in entry.model_fields_set else ()
            before = self._through(own or asked.jump, behind, depth + 1, users=not own)
        found = Way(
            name="",
            address=asked.address,
            user=user or asked.user or behind.user,
            port=port or asked.port,
            keys=tuple(_absolute(k) for k in ((entry.key,) if entry.key else asked.keys)),
            only=bool(entry.key),
            jump=before,
            proxy="" if before else asked.proxy,
            password_env=entry.password_env,
            passphrase_env=entry.passphrase_env or behind.passphrase_env,
        )
        if not found.keys:
            found = replace(found, keys=behind.keys, only=behind.only)
        for way in self._ways.values():
            if replace(way, name="", sudo_password_env="") == found:
                return way.name
        taken = {*self._ways, *hosts}
        name = word if word in jump_hosts and word not in taken else ""
        name = name or next(n for i in range(1, 1000) if (n := f"jump{i}.{address}") not in taken)
        self._ways[name] = replace(found, name=name)
        return name


def _given(entry: Reach) -> tuple[str, int]:
    said = entry.model_fields_set
    return entry.user if "user" in said else "", entry.port if "port" in said else 0


def _parts(word: str) -> tuple[str, str, int]:
    found = hop(word)
    return found.address, found.user, found.port


def _users_hop(word: str, behind: Way) -> tuple[str, str, int]:
    found = _USERS_HOP.fullmatch(word)
    if found is None:
        raise InputError(f"hosts: {behind.name}: ProxyJump {word} in your ssh_config is not [user@]host[:port]")
    return found[2], found[1] or "", int(found[3] or 0)


def _absolute(key: str) -> str:
    path = Path(key).expanduser()
    # What begins with a token is for SSH to put together.
    return key if key.startswith("%") else str(path.absolute())


def config(ways: Iterable[Way], known: Iterable[Path]) -> str:
    """Return an ssh_config of these ways, which trusts the keys in these files and no others."""
    files = " ".join(_quoted(str(path)) for path in known)
    sections = []
    for way in ways:
        lines = [f"Host {way.name}", f"HostName {way.address}", f"User {way.user}", f"Port {way.port}"]
        lines += [f'IdentityFile "{key}"' for key in way.keys]
        lines += ["IdentitiesOnly yes"] if way.only else []
        lines += [f"ProxyJump {way.jump}"] if way.jump else []
        lines += [f"ProxyCommand {way.proxy}"] if way.proxy and not way.jump else []
        lines += [f"UserKnownHostsFile {files}", "GlobalKnownHostsFile none", "StrictHostKeyChecking yes"]
        sections.append("\n  ".join(lines) + "\n")
    return "\n".join(sections)


def _quoted(path: str) -> str:
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'

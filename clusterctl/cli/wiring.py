"""Puts the parts together: the one place where doors, readers, providers and phases meet."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.cli import playbooks
from clusterctl.cli.access import Access, Secrets
from clusterctl.cli.lock import held
from clusterctl.model.errors import HostError, InputError, Problem, Unreachable
from clusterctl.model.inventory import load_inventory
from clusterctl.model.lab import Lab
from clusterctl.model.playbook import Playbook, check_together, load_playbook
from clusterctl.plan.action import MACHINE
from clusterctl.plan.journal import Journal, Tee
from clusterctl.plan.patience import stretched
from clusterctl.plan.runner import Runner
from clusterctl.providers.access import CONFIG
from clusterctl.providers.registry import provider as find_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from clusterctl.model.errors import HostKey
    from clusterctl.plan.command import Command
    from clusterctl.plan.door import Door
    from clusterctl.plan.runner import Listener
    from clusterctl.providers import Provider
    from clusterctl.remote.link import Link
    from clusterctl.remote.login import KeyRing, Login
    from clusterctl.remote.reader import FactsReader
    from clusterctl.remote.settings import SSHConfig
    from clusterctl.remote.ssh import SshDoor
    from clusterctl.stores.certificates import Authority

PLAYBOOK = "playbook.yml"
CONNECT_WITHIN = 10.0


def state_base() -> Path:
    """Return the folder that holds each lab's folder on the controller."""
    if chosen := os.environ.get("CLUSTERCTL_STATE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "clusterctl"


def _lock(lab: Lab) -> Path:
    return state_base() / f"{lab.name}.lock"


def read_text(path: Path, what: str, hint: str = "") -> str:
    """Return a file that the user named; "-" is standard input. Raises InputError."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{what} {path}: {why}", hint=hint) from error


def load_hosts(inventory_file: Path) -> Lab:
    """Read and check the inventory alone: enough for what does not depend on a playbook. Raises InputError."""
    text = read_text(inventory_file, "inventory", "name one with -i; inventory/local.yml is an example")
    name = "<stdin>" if str(inventory_file) == "-" else str(inventory_file)
    inventory = load_inventory(text, name, os.environ)
    return Lab(inventory, Playbook(name="none"), playbook_text="", state=state_base() / inventory.name)


def load(inventory_file: Path, playbook_file: Path | None, early: Early | None = None) -> Lab:
    """Read and check both files. Without a playbook, the one that the lab was brought up with is taken.

    early: what can begin once the hosts are known. Raises InputError with the problems of both.
    """
    lab, problems = None, list[Problem]()
    try:
        lab = load_hosts(inventory_file)
        if early:
            early.begin(lab)
    except InputError as error:
        if not error.problems:
            raise
        problems += error.problems
    if playbook_file is None:
        kept = lab.state / PLAYBOOK if lab else playbooks.DEFAULT
        # An empty one is left where the lesson was taken away and the cluster was not.
        playbook_file = kept if kept.exists() and kept.stat().st_size else playbooks.DEFAULT
    from clusterctl.checks import KINDS

    playbook_file = playbooks.find(playbook_file)
    text = read_text(playbook_file, "playbook", "clusterctl lessons lists those that there are")
    playbook = None
    try:
        playbook = load_playbook(text, str(playbook_file), KINDS)
    except InputError as error:
        problems += error.problems
    if lab is None or playbook is None:
        raise InputError(problems)
    playbook = check_together(lab.inventory, playbook, text, str(playbook_file))
    return replace(lab, playbook=playbook, playbook_text=text)


def load_standing(inventory_file: Path, playbook_file: Path | None, early: Early | None = None) -> Lab:
    """Read both files as `load` does, but take no playbook where only the cluster stands: its lesson was taken away."""
    if playbook_file is None:
        lab = load_hosts(inventory_file)
        kept = lab.state / PLAYBOOK
        if kept.exists() and not kept.stat().st_size:
            return lab
    return load(inventory_file, playbook_file, early)


class Early:
    """What a command begins before it has read all: where it costs nothing to know which hosts run, to ask them.

    first: gives what each host is asked first.
    """

    def __init__(self, access: Access, first: Callable[[], Command]) -> None:
        self._access, self._first = access, first
        self.doors: Doors | None = None

    def begin(self, lab: Lab) -> None:
        """Begin, now that the hosts are known; not while another run works on them: what they say would be old."""
        if _lock(lab).exists():
            return
        provider = find_provider(lab.inventory.provider)
        if provider.sees_at_once and (lab.state / CONFIG).exists():
            warm_up(api=True)
            self.doors = Doors(lab, provider, Secrets(self._access, os.environ))
            for name in self.doors.known(provider.present(lab)):
                self.doors.ssh(name).begin(self._first())


class Doors:
    """The doors of a lab: opened when first used, closed together.

    logins: gives the secrets for ways that the provider finds.
    """

    def __init__(self, lab: Lab, provider: Provider, secrets: Secrets) -> None:
        self._lab, self._provider, self._secrets = lab, provider, secrets
        self._lock = threading.RLock()
        self._ssh: dict[str, SshDoor] = {}
        self._links: dict[str, Link] = {}
        self._settings: tuple[SSHConfig, Mapping[str, Login]] | None = None
        self._ring: KeyRing | None = None
        self._machine: Door | None = None

    def __call__(self, name: str) -> Door:
        """Return the door of a host, or of this machine."""
        with self._lock:
            if name == MACHINE:
                # What is done here may change hosts.
                for door in self._ssh.values():
                    door.forget()
                self._machine = self._machine or self._provider.door()
                return self._machine
            return self.ssh(name)

    def ssh(self, name: str) -> SshDoor:
        """Return the door of a host."""
        with self._lock:
            if name not in self._ssh:
                from clusterctl.remote.credentials import Credentials
                from clusterctl.remote.ssh import SshDoor
                from clusterctl.stores.etcd import FORMER

                pki = self._lab.state / "pki"
                self._ssh[name] = SshDoor(
                    self._link(name),
                    Credentials(pki / "ca.crt", pki / "client.crt", pki / "client.key", self._lab.state / FORMER),
                )
            return self._ssh[name]

    def known(self, names: Collection[str]) -> list[str]:
        """Return those that the SSH settings here lead to: a host that runs may be new to them."""
        with self._lock:
            there = self._settings_for("")[0].get_hostnames()
            return [name for name in names if name in there]

    def _settings_for(self, name: str) -> tuple[SSHConfig, Mapping[str, Login]]:
        """Return the SSH settings, read again for a host that this run has made."""
        if self._settings is None or (name and name not in self._settings[0].get_hostnames()):
            self._settings = self._read_settings(name)
        return self._settings

    def _link(self, name: str) -> Link:
        """Return the link to a host or a jump host, those before it made first and shared."""
        from clusterctl.providers.access import KNOWN_HOSTS
        from clusterctl.remote.link import Link
        from clusterctl.remote.login import KeyRing

        if name not in self._links:
            self._ring = self._ring or KeyRing()
            config, logins = self._settings_for(name)
            jump = config.lookup(name).get("proxyjump", "")
            self._links[name] = Link(
                name,
                config,
                (self._lab.state / KNOWN_HOSTS, *self._provider.trusted),
                login=logins.get(name),
                ring=self._ring,
                gateway=self._link(jump) if jump else None,
                within=stretched(CONNECT_WITHIN),
            )
        return self._links[name]

    def _read_settings(self, name: str) -> tuple[SSHConfig, Mapping[str, Login]]:
        from clusterctl.providers import Finds
        from clusterctl.remote import settings

        if isinstance(self._provider, Finds):
            logins = self._secrets.logins(self._provider.ways(self._lab), self._lab.inventory.hosts)
            return settings.read(self._provider.ssh_config(self._lab)), logins
        path = self._lab.state / CONFIG
        if not path.exists():
            raise Unreachable(name, "this machine has no SSH settings of the lab", hint="clusterctl up")
        return settings.read(path.read_text()), {}

    def greet(self, access: Access, *, strict: bool) -> None:
        """Connect to every host of others, side by side; what must be asked about them is asked now.

        strict: every host must be reached. Otherwise those that are not are not tried again in this run.
        Raises InputError, HostsFailed (nothing was changed).
        """
        from clusterctl.cli.access import greet, refuse
        from clusterctl.providers import Finds
        from clusterctl.providers.access import KNOWN_HOSTS

        if not isinstance(self._provider, Finds):
            return
        for name in self._lab.inventory.hosts:
            self(name)

        def trust(key: HostKey) -> None:
            path = self._lab.state / KNOWN_HOSTS
            write_private(path, (path.read_text() if path.exists() else "") + key.line)

        def unlock(path: str, passphrase: str) -> None:
            if self._ring:
                self._ring.unlock(path, passphrase)

        errors = greet(self._open_all, trust, unlock, access)
        if strict:
            refuse(errors)
        for name, error in errors.items():
            self._ssh[name].failed = error

    def _open_all(self) -> dict[str, HostError]:
        def opened(door: SshDoor) -> HostError | None:
            try:
                door.open()
            except HostError as error:
                return error
            return None

        with ThreadPoolExecutor(min(16, len(self._ssh)), thread_name_prefix="connect") as pool:
            found = dict(zip(self._ssh, pool.map(opened, self._ssh.values()), strict=True))
        return {name: error for name, error in found.items() if error}

    def close(self) -> None:
        """Close every connection, side by side: each waits for its own threads. Jump hosts come last."""
        if self._ssh:
            with ThreadPoolExecutor(min(16, len(self._ssh))) as pool:
                list(pool.map(lambda door: door.close(), self._ssh.values()))
            self._ssh.clear()
        # A link was made after those that it goes through.
        for link in reversed(self._links.values()):
            with contextlib.suppress(Exception):
                link.close()
        self._links.clear()


@dataclass
class Session:
    """A lab, ready to be worked on."""

    lab: Lab
    provider: Provider
    doors: Doors
    keep: bool
    stop: threading.Event = field(default_factory=threading.Event)
    transcript: Path | None = None
    _listeners: list[Listener] = field(default_factory=list)

    def runner(self, listener: Listener, *, parallel: int = 16, tolerant: bool = False) -> Runner[Lab]:
        """Return a runner for the lab that `listener` and the transcript hear."""
        return Runner(
            wanted=self.lab,
            reader=self.reader(tolerant=tolerant),
            doors=self.doors,
            listener=Tee([listener, *self._listeners]),
            parallel=parallel,
            stop=self.stop,
        )

    def reader(self, *, tolerant: bool = False, devices: Sequence[str] = ()) -> FactsReader:
        """Return a reader of the lab's facts; a tolerant one notes hosts that are not there or do not answer.

        devices: what the kernels are asked for besides what the playbook needs.
        """
        from clusterctl.networks import devices_of
        from clusterctl.phases import HOST_FILES, HOST_UNITS, MEMBER_UNIT
        from clusterctl.phases.docker import kept
        from clusterctl.remote.reader import FactsReader

        return FactsReader(
            tuple(self.lab.inventory.hosts),
            self.doors,
            lambda: self.provider.facts(self.lab),
            HOST_FILES,
            HOST_UNITS,
            present=(lambda: self.provider.present(self.lab)) if tolerant else None,
            tolerant=tolerant,
            member_unit=MEMBER_UNIT,
            kept=kept,
            devices=tuple(dict.fromkeys((*devices_of(self.lab.playbook), *devices))),
        )

    @functools.cached_property
    def authority(self) -> Callable[[], Authority]:
        """Return a function that gives the lab's CA: read from the lab's folder, made there when there is none.

        While a plan is only shown the CA is made in memory and thrown away.
        """
        return functools.cache(self._authority)

    def _authority(self) -> Authority:
        from clusterctl.stores.certificates import Authority, Pair, create_authority

        now = datetime.datetime.now(datetime.UTC)
        folder = self.lab.state / "pki"
        crt, key = folder / "ca.crt", folder / "ca.key"
        if crt.exists() and key.exists():
            authority = Authority(Pair(crt.read_text(), key.read_text()))
        else:
            authority = Authority(create_authority(self.lab.name, now))
            if self.keep:
                write_private(key, authority.pair.key)
                write_private(crt, authority.pair.certificate)
        client, client_key = folder / "client.crt", folder / "client.key"
        held_now = client.read_text() if client.exists() and client_key.exists() else ""
        if self.keep and authority.unfit(held_now, [], server=False, now=now):
            pair = authority.issue("clusterctl controller", [], server=False, now=now)
            write_private(client_key, pair.key)
            write_private(client, pair.certificate)
        return authority


def facts() -> Command:
    """Return what a reader of facts asks a host first, where the playbook needs nothing special of its kernel."""
    from clusterctl.commands.facts import read_host
    from clusterctl.phases import HOST_FILES, HOST_UNITS

    return read_host(HOST_FILES, HOST_UNITS)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)
    part.replace(path)


def write_whole(path: Path, text: str) -> None:
    """Write a file that others may read at any time, whole or not at all. Raises InputError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="name a file in a folder that you may write to") from error


def warm_up(*, api: bool) -> None:
    """Import what talks to Docker while the first connections open.

    Fabric first, and here: two threads that import paramiko at once trip over each other.
    """
    import clusterctl.remote.ssh  # noqa: F401

    def load_docker() -> None:
        # The last one shows the result.
        for name in ("clusterctl.remote.docker", "clusterctl.remote.etcd", "rich.table"):
            importlib.import_module(name)

    if api:
        threading.Thread(target=load_docker, name="warm-up", daemon=True).start()


@contextlib.contextmanager
def session(
    lab: Lab,
    doing: str,
    *,
    changes: bool,
    access: Access | None = None,
    strict: bool = False,
    connect: bool = True,
    api: bool = True,
    early: Early | None = None,
) -> Iterator[Session]:
    """Open a lab for one command; whatever happens, connections close and the lock goes back.

    changes: whether the command changes anything: then it holds the lab's lock and keeps a transcript.
    access: what the command line says about getting to hosts. strict: every host of others must be reached.
    connect: whether hosts are asked at all. api: whether Docker's API or etcd is asked; both take long to import.
    early: what was begun already.
    """
    provider = find_provider(lab.inventory.provider)
    access = access or Access()
    doors = (early and early.doors) or Doors(lab, provider, Secrets(access, os.environ))
    with contextlib.ExitStack() as stack:
        if changes:
            stack.enter_context(held(_lock(lab), lab.name, doing))
        stack.callback(doors.close)
        opened = Session(lab, provider, doors, keep=changes)
        if not (early and early.doors):
            warm_up(api=api)
        if connect:
            doors.greet(access, strict=strict)
        # A lab that is gone is not given a folder only to note that it is taken away.
        if changes and (doing != "down" or lab.state.exists()):
            folder = lab.state / "transcripts"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lab.state.chmod(0o700)
            opened.transcript = (
                folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{doing.split(maxsplit=1)[0]}-{os.getpid()}.log"
            )
            out = stack.enter_context(opened.transcript.open("w", encoding="utf-8"))
            opened._listeners.append(Journal(out))
        yield opened

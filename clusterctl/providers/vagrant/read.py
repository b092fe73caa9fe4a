"""Reading what Vagrant has of a lab. A question to Vagrant takes seconds, so none is asked that files answer."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.commands.vagrant import HOSTS, Project, Way, complaint, parse_status, parse_ways
from clusterctl.model.errors import Reason, Refused
from clusterctl.plan.action import MACHINE
from clusterctl.providers import access
from clusterctl.providers.machine import MachineDoor
from clusterctl.providers.vagrant.facts import (
    DEFAULT_RANGES,
    NOT_CREATED,
    RUNNING,
    Mark,
    VagrantFacts,
    Vm,
    parse_networks_conf,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.model.lab import Lab
    from clusterctl.plan.command import Command, Result

NETWORKS_CONF = Path("/etc/vbox/networks.conf")
BANNER_WITHIN = 3.0
LOCKED = 30.0
"""Seconds to wait for another Vagrant."""


def project(lab: Lab) -> Project:
    """Return the lab's project: its folder, and its hosts with those that it made and has no more."""
    settings = lab.inventory.vagrant
    folder = Path(settings.folder).expanduser().absolute()
    dotfile = settings.env.get("VAGRANT_DOTFILE_PATH") or os.environ.get("VAGRANT_DOTFILE_PATH") or ".vagrant"
    bare = Project(str(folder), (), str(folder / Path(dotfile).expanduser()))
    hosts = {name: mark.address for name, mark in _marks(bare).items() if mark.lab == lab.name}
    hosts |= {h.name: h.address for h in lab.inventory.hosts.values()}
    named = ",".join(f"{name}={address}" for name, address in hosts.items())
    return Project(bare.folder, ((HOSTS, named), *settings.env.items()), bare.dotfile)


def read(lab: Lab) -> VagrantFacts:
    """Read how the lab's machines are and how they are reached."""
    where = project(lab)
    marks = _marks(where)
    names = dict.fromkeys((*lab.inventory.hosts, *(n for n, m in marks.items() if m.lab == lab.name)))
    ids = {name: _id(where, name) for name in names}
    vagrantfile = Path(where.folder, "Vagrantfile").is_file()
    installed = shutil.which("vagrant") is not None
    states: dict[str, tuple[str, str]] = {}
    ways: dict[str, Way] = {}
    problem = ""
    if installed and vagrantfile:
        result = ask(where.status())
        states = parse_status(result.stdout) if result.ok else {}
        problem = "" if result.ok else complaint(result.stdout or result.stderr)
        up = [name for name in names if states.get(name, ("", ""))[0] == RUNNING]
        ways = _ways(where, up)
        for name in up:
            # Vagrant stops at a machine that has no address yet; those after it are asked one by one.
            if name not in ways:
                ways |= _ways(where, [name])
    config = _text(lab.state / access.KNOWN_HOSTS)
    pins = dict(_pins(config))
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        said = dict(zip(names, pool.map(lambda n: _banner(ways.get(n)), names), strict=True))
    vms = {
        name: Vm(
            name=name,
            state=states.get(name, ("", ""))[0],
            id=ids[name],
            mark=marks.get(name),
            way=ways.get(name),
            answers=said[name],
            key=pins.get(ids[name], "") if ids[name] else "",
        )
        for name in names
    }
    return VagrantFacts(
        lab=lab.name,
        project=where,
        installed=installed,
        vagrantfile=vagrantfile,
        problem=problem,
        provider=next((provider for _, provider in states.values() if provider), ""),
        defined=tuple(states),
        vms=vms,
        ranges=parse_networks_conf(_text(NETWORKS_CONF)) if NETWORKS_CONF.exists() else DEFAULT_RANGES,
        system=platform.system(),
        arch=platform.machine(),
        files={name: _text(lab.state / name) for name in (access.CONFIG, access.KNOWN_HOSTS)},
        owner=f"{os.getuid()}:{os.getgid()}",
        state=lab.state.exists(),
    )


def running(lab: Lab) -> frozenset[str]:
    """Return the hosts that run. Where Vagrant has made none it is not asked. Raises Refused when it cannot say."""
    where = project(lab)
    if not any(_id(where, name) for name in lab.inventory.hosts) or not shutil.which("vagrant"):
        return frozenset()
    result = ask(where.status())
    if not result.ok:
        said = complaint(result.stdout or result.stderr)
        raise Refused([Reason(MACHINE, f"vagrant does not work in {where.folder}: {said}", where.line("status"))])
    states = parse_status(result.stdout)
    return frozenset(h for h in lab.inventory.hosts if states.get(h, (NOT_CREATED, ""))[0] == RUNNING)


def machine_id(where: Project, host: str) -> str:
    """Return Vagrant's id of a machine, "" where there is none."""
    return _id(where, host)


def _id(where: Project, host: str) -> str:
    found = sorted(Path(where.dotfile, "machines", host).glob("*/id"))
    return _text(found[0]).strip() if found else ""


def _marks(where: Project) -> dict[str, Mark]:
    folder = Path(where.dotfile, "clusterctl")
    if not folder.is_dir():
        return {}
    found = {p.name: Mark.parse(_text(p)) for p in sorted(folder.iterdir()) if not p.name.endswith(".part")}
    return {name: mark for name, mark in found.items() if mark}


def ask(question: Command) -> Result:
    """Ask Vagrant; while another Vagrant holds a machine, which is a matter of seconds, ask again."""
    deadline = time.monotonic() + LOCKED
    while True:
        result = MachineDoor().run(question)
        if result.ok or "is locked" not in result.stdout + result.stderr or time.monotonic() > deadline:
            return result
        time.sleep(1)


def _ways(where: Project, names: list[str]) -> dict[str, Way]:
    return parse_ways(ask(where.ssh_config(*names)).stdout) if names else {}


def _pins(text: str) -> Iterable[tuple[str, str]]:
    """Give the id of each machine whose host key is pinned, and the key."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4:
            yield words[3], f"{words[1]} {words[2]}"


def _banner(way: Way | None) -> str:
    if way is None:
        return ""
    if way.proxy:
        return "behind a proxy"
    try:
        with socket.create_connection((way.address, way.port), BANNER_WITHIN) as connection:
            connection.settimeout(BANNER_WITHIN)
            return connection.recv(64).decode(errors="replace").strip()
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

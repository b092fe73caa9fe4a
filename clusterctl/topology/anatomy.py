"""What a host is made of, as values: its network namespaces, processes, disks, logs and containers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clusterctl.commands.bridge import is_of
from clusterctl.topology import links
from clusterctl.topology.links import Forward, Link, Neighbour, sections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOST = "-"
"""The path of the host's own network namespace."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace of a host. path: under /run/docker/netns, HOST for the host's own.

    routes: destination by destination, "blackhole 10.1.1.2" where packets are thrown away.
    rules, nft: as `iptables-save -c` and `nft list ruleset` print them.
    sysctls: below /proc/sys/net, by name.
    """

    path: str
    links: tuple[Link, ...] = ()
    routes: tuple[str, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    forwards: tuple[Forward, ...] = ()
    rules: tuple[str, ...] = ()
    nft: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)

    def link(self, name: str) -> Link | None:
        """Return the interface of that name."""
        return next((x for x in self.links if x.name == name), None)

    def with_address(self, ip: str) -> Link | None:
        """Return the interface that has this address."""
        return next((x for x in self.links if ip in x.ips), None)

    def with_mac(self, mac: str) -> Link | None:
        """Return the interface that has this MAC."""
        return next((x for x in self.links if mac and x.mac == mac), None)

    @property
    def vxlan(self) -> Link | None:
        """The VXLAN device, None where there is none."""
        return next((x for x in self.links if x.kind == "vxlan"), None)

    def towards(self, mac: str) -> tuple[str, ...]:
        """Return the addresses of the hosts that VXLAN devices send frames for this MAC to."""
        return tuple(f.towards for f in self.forwards if f.mac == mac and f.towards)

    def resolved(self, ip: str) -> str:
        """Return the MAC that the namespace answers for an address, "" where it has none."""
        return next((n.mac for n in self.neighbours if n.ip == ip and n.mac), "")


@dataclass(frozen=True, slots=True)
class Process:
    """The main process of a service. state: the kernel's letter ("T": stopped), "" where none runs.

    sub, result: systemd's own words for how it is and how it ended.
    """

    pid: int = 0
    state: str = ""
    frozen: bool = False
    sub: str = ""
    result: str = ""

    @property
    def halted(self) -> bool:
        """Whether it is there and cannot run."""
        return self.pid > 0 and (self.frozen or self.state.upper() == "T")


@dataclass(frozen=True, slots=True)
class Disk:
    """A filesystem by a place in it. free: KiB. used, inodes: of a hundred."""

    place: str
    free: int
    used: int
    inodes: int = 0


@dataclass(frozen=True, slots=True)
class Inside:
    """A container as `docker inspect` shows it. sandbox: the path of its network namespace.

    networks: address, MAC and gateway by network's name. ended: Docker's word on why it does not run.
    """

    id: str
    name: str
    status: str
    pid: int = 0
    exit_code: int = 0
    ended: str = ""
    out_of_memory: bool = False
    sandbox: str = ""
    networks: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Everything of one host. paths: how the kernel goes to each peer's address, in `ip route get`'s words.

    logs, starts: the lines by unit that may tell something: the latest ones, and those of its last start.
    containers: None where Docker did not say within its time. pids: of every process that was there.
    """

    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, Process] = field(default_factory=dict)
    disks: tuple[Disk, ...] = ()
    readonly: tuple[str, ...] = ()
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    containers: Mapping[str, Inside] | None = None
    pids: frozenset[int] = frozenset()

    @property
    def host(self) -> Namespace:
        """The host's own namespace."""
        return self.namespaces.get(HOST, Namespace(HOST))

    def process(self, unit: str) -> Process:
        """Return a service's process."""
        return self.processes.get(unit, Process())

    def log(self, unit: str) -> tuple[str, ...]:
        """Return the lines of a service's log that may tell something, the latest last."""
        return self.logs.get(unit, ())

    def overlay(self, network_id: str) -> Namespace | None:
        """Return the namespace of an overlay network; Docker names it by a number and the id's start."""
        numbered = {int(p.rpartition("/")[2].partition("-")[0]): p for p in self.namespaces if is_of(p, network_id)}
        return self.namespaces[numbered[max(numbered)]] if numbered else None

    def sandbox(self, container: str) -> Namespace | None:
        """Return the network namespace of a container, None where it has none."""
        inside = (self.containers or {}).get(container)
        path = inside.sandbox.replace("/var/run/", "/run/") if inside else ""
        return self.namespaces.get(path) if path else None


def parse(text: str) -> Anatomy:
    """Turn what `clusterctl.commands.anatomy.read_anatomy` printed into a value. Raises ValueError where it is cut."""
    _, *parts = text.split("\x01 namespace ")
    if not parts:
        raise ValueError("the host did not answer in full")
    # What is of the host as a whole stands behind its last namespace.
    last = sections("\x01 " + "\x01 namespace ".join(parts))
    if "end" not in last:
        raise ValueError("the host did not answer in full")
    spaces = [_namespace(part) for part in parts]
    try:
        containers = _containers(last.get("containers", ()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"docker inspect printed something unexpected: {error!r}") from error
    return Anatomy(
        namespaces={n.path: n for n in spaces},
        paths=dict(line.split(" ", 1) for line in last.get("paths", ()) if " " in line),
        processes=dict(map(_process, last.get("processes", ()))),
        disks=tuple(_disks(last.get("disks", ()), last.get("inodes", ()))),
        readonly=tuple(last.get("readonly", ())),
        logs={name[4:]: tuple(lines) for name, lines in last.items() if name.startswith("log ")},
        starts={name[6:]: tuple(lines) for name, lines in last.items() if name.startswith("start ")},
        containers=containers,
        pids=frozenset(int(p) for line in last.get("pids", ()) for p in line.split() if p.isdigit()),
    )


def _namespace(part: str) -> Namespace:
    path, _, body = part.partition("\n")
    found = sections(body)
    read = links.read([line for name in ("links", "neighbours", "forwards") for line in found.get(name, ())])
    try:
        routes = tuple(map(_route, links.rows("\n".join(found.get("routes", ())))))
    except ValueError:
        routes = ()
    return Namespace(
        path=path.strip(),
        links=read.links,
        routes=routes,
        neighbours=read.neighbours,
        forwards=read.forwards,
        rules=tuple(found.get("rules", ())),
        nft=tuple(found.get("nft", ())),
        sysctls={k: v for k, _, v in (line.partition(":") for line in found.get("sysctl", ()))},
    )


def _route(row: dict[str, Any]) -> str:
    way = f" via {row['gateway']}" if "gateway" in row else ""
    return f"{row.get('type', '')} {row.get('dst', '')}{way} dev {row.get('dev', '-')}".strip()


def _process(line: str) -> tuple[str, Process]:
    unit, pid, state, frozen, sub, result = (*line.split(), "", "", "", "", "")[:6]
    return unit, Process(int(pid) if pid.isdigit() else 0, state.strip("-"), frozen == "1", sub, result)


def _disks(disks: Sequence[str], inodes: Sequence[str]) -> list[Disk]:
    found: dict[str, Disk] = {}
    filled = {w[5]: w[4].rstrip("%") for w in (line.split() for line in inodes) if len(w) > 5}
    for words in (line.split() for line in disks):
        if len(words) > 5 and words[3].isdigit():
            full, used = filled.get(words[5], ""), words[4].rstrip("%")
            found[words[5]] = Disk(
                words[5], int(words[3]), int(used) if used.isdigit() else 0, int(full) if full.isdigit() else 0
            )
    return list(found.values())


def _containers(lines: Sequence[str]) -> dict[str, Inside] | None:
    text = "\n".join(lines).strip()
    if not text:
        return None
    try:
        listed = json.loads(text)
    except ValueError:
        return None
    return {c.name: c for c in map(_inside, listed)}


def _inside(raw: Mapping[str, Any]) -> Inside:
    state, settings = raw["State"], raw.get("NetworkSettings") or {}
    return Inside(
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        status=state.get("Status", ""),
        pid=int(state.get("Pid") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        ended=state.get("Error", ""),
        out_of_memory=bool(state.get("OOMKilled")),
        sandbox=settings.get("SandboxKey", ""),
        networks={
            n: (v.get("IPAddress", ""), v.get("MacAddress", ""), v.get("Gateway", ""))
            for n, v in (settings.get("Networks") or {}).items()
        },
        dns=tuple((raw.get("HostConfig") or {}).get("Dns") or ()),
        labels=(raw.get("Config") or {}).get("Labels") or {},
    )

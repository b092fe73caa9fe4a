"""The map of all hosts, read in one round trip each, the hosts side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clusterctl.commands.links import read_links
from clusterctl.model.errors import ClusterctlError
from clusterctl.plan.together import side_by_side
from clusterctl.topology import links
from clusterctl.topology.host import Container, DockerNetwork, Endpoint, HostMap, Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from clusterctl.plan.door import Door

WITHIN = 15.0
"""Seconds for all that one host says; then the map is drawn without it."""


@dataclass(frozen=True, slots=True)
class Topology:
    """What was read. missing: the hosts that did not answer, and why. addresses: for cluster traffic, of all hosts."""

    hosts: Mapping[str, HostMap] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> list[tuple[HostMap, Container]]:
        """Return the containers of this name, on whatever host; `HOST:NAME` means the one there."""
        return [
            (host, container)
            for host in self.hosts.values()
            for container in host.containers
            if name in (container.name, f"{host.name}:{container.name}")
        ]

    def at(self, address: str) -> HostMap | None:
        """Return the host whose own links have this address."""
        return next((h for h in self.hosts.values() if address in h.itself.ips), None)


def look(hosts: Mapping[str, str], doors: Callable[[str], Door], absent: Iterable[str] = ()) -> Topology:
    """Read the hosts, by name with the address for cluster traffic; one that does not answer is noted, not raised.

    absent: those that are not there to be asked.
    """
    gone = dict.fromkeys(absent, "the host is not there")

    def ask(name: str) -> HostMap:
        result = doors(name).run(read_links()).expect("read its links")
        try:
            return parse(name, hosts[name], result.stdout)
        except ValueError as error:
            raise ClusterctlError(f"read its links: {error}") from error

    jobs = {name: lambda name=name: ask(name) for name in hosts if name not in gone}
    found = side_by_side(jobs, WITHIN)
    return Topology(
        {name: answer for name, answer in found.items() if isinstance(answer, HostMap)},
        {name: answer for name, answer in {**gone, **found}.items() if isinstance(answer, str)},
        hosts,
    )


def parse(name: str, address: str, text: str) -> HostMap:
    """Turn what the script of `read_links` printed into the map of a host.

    Raises ValueError where it is cut short or where the host's iproute2 does not print JSON.
    """
    parts = links.sections(text)
    if "end" not in parts or not parts.get("own"):
        raise ValueError("the host did not answer in full")
    spaces, processes = dict[int, Namespace](), dict[int, int]()
    for head, lines in parts.items():
        match head.split():
            case ["links", inode, *path]:
                spaces[int(inode)] = Namespace(int(inode), "".join(path), links.read(lines))
            case ["process", pid, inode]:
                processes[int(pid)] = int(inode)
    return HostMap(
        name=name,
        address=address,
        own=int(parts["own"][0]),
        namespaces=spaces,
        containers=tuple(_containers(parts.get("containers", ()), processes)),
        networks=tuple(_networks(parts.get("networks", ()))),
        forwards=parts.get("forwards") == ["1"],
        bridged=parts.get("bridged") == ["1"],
        rules=tuple(parts.get("rules", ())),
        trouble="; ".join(parts.get("trouble", ())),
    )


def _containers(lines: Iterable[str], processes: Mapping[int, int]) -> Iterator[Container]:
    try:
        for row in links.rows("\n".join(lines)):
            yield Container(
                name=row["name"].lstrip("/"),
                id=row["id"],
                image=row["image"],
                state=row["state"],
                mode=row["mode"],
                pid=row["pid"],
                namespace=processes.get(row["pid"], 0),
                endpoints=tuple(_endpoint(n, e) for n, e in sorted((row["networks"] or {}).items())),
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"docker inspect printed something unexpected: {error!r}") from error


def _endpoint(network: str, row: dict[str, Any]) -> Endpoint:
    return Endpoint(
        network=network,
        network_id=row.get("NetworkID", ""),
        ip=row.get("IPAddress", ""),
        prefix=row.get("IPPrefixLen", 0),
        mac=row.get("MacAddress", ""),
        gateway=row.get("Gateway", ""),
    )


def _networks(lines: Iterable[str]) -> Iterator[DockerNetwork]:
    for line in lines:
        row = json.loads(line)
        yield DockerNetwork(row["Name"], row["ID"], row["Driver"], row["Scope"])

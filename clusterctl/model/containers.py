"""What is wrong with the containers of a playbook: where they are, whom they lean on, what two would share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.model.lan import CLUSTER
from clusterctl.model.names import ALL, choices, inside, shown
from clusterctl.model.source import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from clusterctl.model.playbook import Container, NetworkEntry
    from clusterctl.model.source import Document, Path


def check_containers(
    containers: Mapping[str, Container], networks: Mapping[str, NetworkEntry], document: Document
) -> None:
    """Note what is wrong with the containers, by themselves and together."""
    for name, container in containers.items():
        place = ("containers", name)
        for network, where in _where(container, (*place, "networks"), document):
            check_known("network", network, document.names("networks"), where, document)
        if container.command and (not container.command[0] or container.command[0].startswith("-")):
            document.add((*place, "command", 0), f"{shown(container.command[0])} is not a program")
        _check_leaning(container, containers, document)
    _check_addresses(containers, networks, document)
    _check_ports(containers, document)


def check_known(what: str, name: str, known: Iterable[str], place: Path, document: Document) -> None:
    """Note a name under `expect` or `containers` that is not declared."""
    known = tuple(known)
    if name not in known:
        document.add(place, f"there is no {what} {shown(name)}{meant(name, known)}", choices(known) or f"no {what}s")


def _where(container: Container, place: Path, document: Document) -> Iterator[tuple[str, Path]]:
    """Return the networks of a container, each with its place in the file."""
    listed = not any((*place, name) in document.lines for name in container.networks)
    for i, name in enumerate(container.networks):
        yield name, (*place, i if listed else name)


def _check_leaning(container: Container, known: Mapping[str, Container], document: Document) -> None:
    """Note containers that one leans on which are not there for it."""
    key = "network_mode" if container.shares else "links"
    for name in container.leans_on:
        place: Path = ("containers", container.name, key)
        if key == "links":
            place = (*place, list(container.linked).index(name))
        other = known.get(name)
        if other is None:
            check_known("container", name, document.names("containers"), place, document)
        elif name == container.name:
            document.add(place, "must be another container, not itself")
        elif other.host != container.host:
            document.add(place, f"{name} is on {other.host}: both must be on one host")
        elif key == "links" and not other.on_bridge:
            document.add(place, f"{name} is not on the default bridge: it needs network_mode bridge")
        elif key == "network_mode" and other.shares:
            document.add(place, f"{name} has no network of its own either")
    if circle := _circle(container.name, known):
        document.add(("containers", container.name, key), f"each must run before the other: {' → '.join(circle)}")


def _circle(name: str, known: Mapping[str, Container]) -> tuple[str, ...]:
    """Return the way from a container over those that it leans on back to itself, () where there is none."""
    ways: list[tuple[str, ...]] = [(name,)]
    seen = set[str]()
    while ways:
        way = ways.pop()
        for other in known[way[-1]].linked if way[-1] in known else ():
            if other == name and len(way) > 1:
                return (*way, name)
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()


def _check_addresses(
    containers: Mapping[str, Container], networks: Mapping[str, NetworkEntry], document: Document
) -> None:
    """Note addresses that a network does not have, or that two containers would have."""
    taken: dict[tuple[str, str, str], str] = {}
    for name, container in containers.items():
        for network, attachment in container.networks.items():
            declared, address = networks.get(network), attachment.address
            if not declared or not address:
                continue
            place = ("containers", name, "networks", network, "address")
            if declared.subnet != CLUSTER and (why := inside(address, declared.subnet)):
                document.add(place, f"{why} (networks.{network}.subnet)")
            elif address == declared.gateway:
                document.add(place, f"{shown(address)} is the gateway of {network}")
            # A bridge is each host's own; any other network may join the hosts.
            reach = ALL if declared.spans else container.host
            first = taken.setdefault((network, reach, address), name)
            if first != name:
                document.add(place, f"{shown(address)} is the address of {first}")


def _check_ports(containers: Mapping[str, Container], document: Document) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, container in containers.items():
        for i, ports in enumerate(container.publish):
            first = taken.setdefault((container.host, ports.partition(":")[0]), name)
            if first != name:
                document.add(("containers", name, "publish", i), f"the port of {container.host} leads to {first}")

"""Which link on the host belongs to which container: the map of all hosts as rows and as a document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clusterctl.commands.links import find, show
from clusterctl.topology.host import overlays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.topology.host import Attachment, Container, HostMap
    from clusterctl.topology.links import Link
    from clusterctl.topology.topology import Topology

OUT_OF_SIGHT = "its other end is not to be seen"


@dataclass(frozen=True, slots=True)
class Row:
    """One interface of a container in words, from the inside out; what a container without any has instead."""

    container: str
    state: str
    interface: str = ""
    address: str = ""
    network: str = ""
    joined: str = ""
    behind: str = ""


def rows(host: HostMap) -> Iterator[Row]:
    """Return a host's containers, by name, and their interfaces."""
    for container in sorted(host.containers, key=lambda c: c.name):
        instead = _instead(host, container)
        if instead:
            network = container.mode if container.mode in ("host", "none") else ""
            yield Row(container.name, container.state, network=network, joined=instead)
        for found in () if instead else host.attachments(container):
            yield Row(
                container.name,
                container.state,
                numbered(found.interface),
                ", ".join(found.interface.addresses),
                found.network or found.driver,
                _joined(host, found),
                _behind(found),
            )


def _instead(host: HostMap, container: Container) -> str:
    shared = host.shares(container)
    if not container.namespace:
        return "-"
    if shared:
        return f"shares {shared.name}'s links"
    if container.namespace == host.own:
        return "the host's own links"
    return "" if host.attachments(container) else "lo alone"


def numbered(link: Link) -> str:
    """Return a link's name and index, and what is off with it."""
    off = "" if link.up and link.carrier else " DOWN" if not link.up else " no carrier"
    return f"{link.name} #{link.index}{off}"


def _joined(host: HostMap, found: Attachment) -> str:
    if found.parent:
        return f"rides on {numbered(found.parent)}"
    if found.port is None or found.outside is None:
        return OUT_OF_SIGHT
    return numbered(found.port) + ("" if found.outside.inode == host.own else f" in {found.outside.name}")


def _behind(found: Attachment) -> str:
    if found.parent:
        return f"{found.interface.kind} {found.interface.mode}".strip()
    tunnels = "".join(f", VXLAN {t.vni}" for t in found.tunnels)
    return f"{found.bridge.name}{tunnels}" if found.bridge else ""


def commands(host: HostMap, found: Attachment) -> tuple[str, ...]:
    """Return what a person types on the host to find the same: first inside, then outside."""
    inside = host.enter(found.inside) + show(found.interface.name)
    end = found.port or found.parent
    return (inside, host.enter(found.outside) + find(end.index)) if end and found.outside else (inside,)


def document(lab: str, found: Topology) -> dict[str, Any]:
    """Return the map as one JSON-able document."""
    return {"lab": lab, "hosts": [_host(h, found) for h in found.hosts.values()], "missing": dict(found.missing)}


def _host(host: HostMap, found: Topology) -> dict[str, Any]:
    bridges = [
        {**described(link), "namespace": space.path, "ports": [p.name for p in space.ports(link.name)]}
        for space in host.namespaces.values()
        for link in space.links
        if link.kind == "bridge"
    ]
    return {
        "name": host.name,
        "address": host.address,
        "trouble": host.trouble,
        "forwards": host.forwards,
        "cards": [described(link) for link in host.cards],
        "bridges": bridges,
        "tunnels": list(_tunnels(host, found)),
        "containers": [_container(host, c) for c in sorted(host.containers, key=lambda c: c.name)],
    }


def _tunnels(host: HostMap, found: Topology) -> Iterator[dict[str, Any]]:
    for space, network in overlays(host):
        for link in space.vxlans:
            entries = [
                {"mac": f.mac, "towards": f.towards, "host": peer.name if (peer := found.at(f.towards)) else ""}
                for f in space.forwards(link.name)
            ]
            name = network.name if network else ""
            yield {**described(link), "namespace": space.path, "network": name, "forwards": entries}


def _container(host: HostMap, container: Container) -> dict[str, Any]:
    space, shared = host.inside(container), host.shares(container)
    return {
        "name": container.name,
        "id": container.id[:12],
        "image": container.image,
        "state": container.state,
        "mode": container.mode,
        "shares": shared.name if shared else "",
        "namespace": space.path if space else "",
        "interfaces": [_interface(host, a) for a in host.attachments(container)],
    }


def _interface(host: HostMap, found: Attachment) -> dict[str, Any]:
    return {
        **described(found.interface),
        "network": found.network,
        "driver": found.driver,
        "port": described(found.port) if found.port else None,
        "bridge": found.bridge.name if found.bridge else "",
        "parent": described(found.parent) if found.parent else None,
        "outside": found.outside.path if found.outside else "",
        "tunnels": [{"name": t.name, "vni": t.vni} for t in found.tunnels],
        "commands": list(commands(host, found)),
    }


def described(link: Link) -> dict[str, Any]:
    """Return a link as a JSON-able document."""
    return {**asdict(link), "addresses": list(link.addresses)}

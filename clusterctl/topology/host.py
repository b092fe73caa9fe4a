"""One host as its kernel and its Docker show it: namespaces with their links, containers, and what joins the two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clusterctl.commands.bridge import is_of
from clusterctl.commands.links import enter
from clusterctl.topology.links import Link, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.topology.links import Forward, Route

CARRIED = frozenset({"macvlan", "ipvlan", "vlan"})
"""Kinds of links that ride on another one, their parent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a Docker network, by Docker's word. prefix: the length of its subnet's."""

    network: str
    network_id: str = ""
    ip: str = ""
    prefix: int = 0
    mac: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container. namespace: the inode of its network namespace, 0 while it does not run.

    mode: Docker's network mode: a network's name, `host`, `none`, or `container:ID` where it shares another's.
    """

    name: str
    id: str
    image: str = ""
    state: str = "running"
    mode: str = "default"
    pid: int = 0
    namespace: int = 0
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerNetwork:
    """A network that a host's Docker lists."""

    name: str
    id: str
    driver: str
    scope: str = "local"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace. path: where to enter it, "" for the host's own; its name is the last part of it."""

    inode: int
    path: str = ""
    tables: Tables = field(default_factory=Tables)

    @property
    def links(self) -> tuple[Link, ...]:
        """Its links."""
        return self.tables.links

    @property
    def name(self) -> str:
        """The name of Docker's file for it, "" for the host's own."""
        return self.path.rpartition("/")[2]

    @property
    def ips(self) -> frozenset[str]:
        """All of its own addresses."""
        return frozenset(ip for link in self.links for ip in link.ips)

    @property
    def vxlans(self) -> tuple[Link, ...]:
        """Its VXLAN devices."""
        return tuple(link for link in self.links if link.kind == "vxlan")

    def link(self, name: str) -> Link | None:
        """Return the link of this name."""
        return next((link for link in self.links if link.name == name), None)

    def at(self, index: int) -> Link | None:
        """Return the link of this index."""
        return next((link for link in self.links if link.index == index), None)

    def holder(self, ip: str) -> Link | None:
        """Return the link that has this address."""
        return next((link for link in self.links if ip in link.ips), None)

    def ports(self, bridge: str) -> tuple[Link, ...]:
        """Return a bridge's ports."""
        return tuple(link for link in self.links if link.master == bridge)

    def route(self, ip: str) -> Route | None:
        """Return the route for an address: the longest prefix; of equal ones the kernel lists the better first."""
        up = {link.name for link in self.links if link.up}
        fits = [r for r in self.tables.routes if r.device in up and r.covers(ip)]
        return max(fits, key=lambda r: r.prefix, default=None)

    def forwards(self, device: str, mac: str = "") -> tuple[Forward, ...]:
        """Return where a VXLAN device sends frames: to this MAC, or to every one that it knows of."""
        return tuple(f for f in self.tables.forwards if f.device == device and f.towards and (not mac or f.mac == mac))


@dataclass(frozen=True, slots=True)
class Attachment:
    """How one interface of a container is joined to its host.

    network: Docker's network, as far as it can be told; driver: its kind.
    inside: the namespace of the interface. outside: that of what it is joined to.
    port: the other end of a veth. bridge: what that is a port of. parent: what a macvlan or ipvlan rides on.
    """

    container: str
    interface: Link
    inside: Namespace
    network: str = ""
    driver: str = ""
    outside: Namespace | None = None
    port: Link | None = None
    bridge: Link | None = None
    parent: Link | None = None

    @property
    def tunnels(self) -> tuple[Link, ...]:
        """The VXLAN devices on the same bridge."""
        if self.outside is None or self.bridge is None:
            return ()
        return tuple(p for p in self.outside.ports(self.bridge.name) if p.kind == "vxlan")


@dataclass(frozen=True, slots=True)
class HostMap:
    """One host. address: the one that cluster traffic uses. own: the inode of its own namespace.

    forwards: whether it routes between its links. bridged: whether its rules see what crosses a bridge as well.
    rules: the filter table as `iptables-save` prints it. trouble: what could not be asked of Docker.
    """

    name: str
    address: str = ""
    own: int = 0
    namespaces: Mapping[int, Namespace] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    networks: tuple[DockerNetwork, ...] = ()
    forwards: bool = True
    bridged: bool = False
    rules: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def itself(self) -> Namespace:
        """The host's own namespace."""
        return self.namespaces.get(self.own, Namespace(self.own))

    @property
    def cards(self) -> tuple[Link, ...]:
        """The links that lead out of the host: network cards, bonds, and veths whose other end is elsewhere."""
        made = {"bridge", "vxlan", "dummy", "ifb", *CARRIED}
        return tuple(
            link
            for link in self.itself.links
            if link.name != "lo" and link.kind not in made and not self.other_end(self.itself, link)
        )

    def container(self, name: str) -> Container | None:
        """Return the container of this name."""
        return next((c for c in self.containers if c.name == name), None)

    def inside(self, container: Container) -> Namespace | None:
        """Return the namespace that a container is in, None while it does not run."""
        return self.namespaces.get(container.namespace)

    def owners(self, inode: int) -> tuple[Container, ...]:
        """Return the containers in a namespace, the one that it was made for first."""
        found = [c for c in self.containers if c.namespace == inode]
        return tuple(sorted(found, key=lambda c: c.mode.startswith("container:")))

    def shares(self, container: Container) -> Container | None:
        """Return the container whose network another one shares (`container:`), None where it has its own."""
        known = container.mode.partition(":")[2]
        return next((c for c in self.containers if known and known in (c.id, c.name)), None)

    def enter(self, space: Namespace) -> str:
        """Return what a person puts before a command to run it in a namespace, "" for the host's own."""
        if space.inode == self.own:
            return ""
        owner = next(iter(self.owners(space.inode)), None)
        return enter(container=owner.name) if owner else enter(space.path)

    def attachments(self, container: Container) -> tuple[Attachment, ...]:
        """Return how a container's interfaces are joined to the host; none where it has the host's own or only lo."""
        inside = self.inside(container)
        if inside is None or inside.inode == self.own:
            return ()
        owner = next(iter(self.owners(inside.inode)), container)
        return tuple(self._attach(container.name, owner, inside, link) for link in inside.links if link.name != "lo")

    def _attach(self, name: str, owner: Container, inside: Namespace, link: Link) -> Attachment:
        end = self.other_end(inside, link)
        outside, far = end or (None, None)
        bridge = outside.link(far.master) if outside and far and far.master else None
        tunnelled = bool(outside and bridge and outside.inode != self.own and outside.vxlans)
        kind = "overlay" if tunnelled else "bridge" if bridge else link.kind
        network = self._network(owner, link, bridge, kind)
        return Attachment(
            container=name,
            interface=link,
            inside=inside,
            network=network.name if network else "",
            driver=network.driver if network else link.kind,
            outside=outside,
            port=far if link.kind == "veth" else None,
            bridge=bridge,
            parent=far if link.kind in CARRIED else None,
        )

    def other_end(self, here: Namespace, link: Link) -> tuple[Namespace, Link] | None:
        """Return the other end of a veth, or what a macvlan, ipvlan or VLAN rides on, with its namespace.

        The kernel tells the other's index but not in words which namespace it counts in. The two ends of a veth
        name each other; should more than one pair fit, the end whose bridge is in the link's subnet is the one.
        """
        if link.kind in CARRIED:
            there = self.itself if link.away else here
            found = there.at(link.peer)
            return (there, found) if found else None
        if link.kind != "veth" or not link.peer:
            return None
        fits = [
            (space, far)
            for space in self.namespaces.values()
            if (space is here) is not link.away
            and (far := space.at(link.peer))
            and far.kind == "veth"
            and far.peer == link.index
        ]
        return max(fits, key=lambda end: _akin(here, link, *end), default=None)

    def _network(self, owner: Container, link: Link, bridge: Link | None, kind: str) -> DockerNetwork | None:
        """Return the network of an interface: Docker says it for its own, the bridge's name for the gateway's.

        kind: the driver by the look of the links, for a network that Docker does not list while its store is down.
        """
        by_name = {n.name: n for n in self.networks}
        for e in owner.endpoints:
            if (e.ip and e.ip in link.ips) or (e.mac and e.mac == link.mac):
                return by_name.get(e.network, DockerNetwork(e.network, e.network_id, kind))
        if bridge is None:
            return None
        return next((n for n in self.networks if bridge.name in (n.name, f"br-{n.id[:12]}")), None)


def _akin(here: Namespace, link: Link, there: Namespace, far: Link) -> bool:
    """Whether the bridge at one end of a veth has an address in the subnet of the other end."""
    pairs = ((there.link(far.master), link), (here.link(link.master), far))
    return any(bridge is not None and any(map(bridge.reaches, end.ips)) for bridge, end in pairs)


def overlays(host: HostMap) -> Iterator[tuple[Namespace, DockerNetwork | None]]:
    """Return the namespaces that hold an overlay's bridge and VXLAN device, with Docker's network.

    Docker names such a namespace after the beginning of the network's id.
    """
    joined = (e for c in host.containers for e in c.endpoints)
    known = {e.network_id: DockerNetwork(e.network, e.network_id, "overlay", "global") for e in joined}
    known |= {n.id: n for n in host.networks}
    for space in host.namespaces.values():
        if space.vxlans:
            yield space, next((n for id_, n in known.items() if is_of(space.name, id_)), None)

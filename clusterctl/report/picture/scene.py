"""What there is to draw of a lab: hosts, containers, bridges, cards, and what joins them. Nothing is placed yet."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.topology.host import overlays

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.topology.host import Attachment, Container, HostMap, Namespace
    from clusterctl.topology.links import Link
    from clusterctl.topology.topology import Topology

OVERLAY, BRIDGE, VLAN, CARD = "overlay", "bridge", "vlan", "card"
DEFAULT = "bridge"
"""Docker's own bridge, which containers without a network are on."""


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of a container. bar: what it is joined to, "" where that is not to be seen. via: the link between.

    rides: whether it is a macvlan or an ipvlan on the bar rather than a veth into it.
    """

    name: str
    addresses: tuple[str, ...]
    network: str
    mtu: int
    mac: str
    bar: str = ""
    via: str = ""
    rides: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A container. note: what stands for ports where it has none of its own."""

    name: str
    image: str
    state: str
    ports: tuple[Port, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that interfaces are joined to: a bridge or a card.

    id: unique in the scene. row: what is the same on every host. network: Docker's. routed: whether the host routes
    what comes from it. tunnel: the VXLAN device on it, with vni. below: the card that a VLAN rides on, with its tag.
    """

    id: str
    row: str
    kind: str
    name: str
    network: str = ""
    addresses: tuple[str, ...] = ()
    mtu: int = 0
    routed: bool = False
    tunnel: str = ""
    vni: int = 0
    below: str = ""
    tag: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """A host. trouble: what could not be learnt of it."""

    name: str
    address: str
    boxes: tuple[Box, ...] = ()
    bars: tuple[Bar, ...] = ()
    trouble: str = ""

    def bar(self, row: str) -> Bar | None:
        """Return the host's bar in a row."""
        return next((b for b in self.bars if b.row == row), None)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A VXLAN between two bars of one overlay."""

    one: str
    other: str
    network: str
    vni: int


@dataclass(frozen=True, slots=True)
class Wire:
    """A network between hosts: the cards that are in one subnet."""

    subnet: str
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is drawn. networks: the Docker networks, in the order that colours are given in."""

    lab: str
    machines: tuple[Machine, ...]
    tunnels: tuple[Tunnel, ...] = ()
    wires: tuple[Wire, ...] = ()
    networks: tuple[str, ...] = ()
    bars: Mapping[str, Bar] = field(default_factory=dict)


def scene(lab: str, found: Topology) -> Scene:
    """Return what there is to draw."""
    machines = tuple(_machine(h) for h in found.hosts.values()) + tuple(
        Machine(name, found.addresses.get(name, ""), trouble=why.removeprefix(f"{name}: "))
        for name, why in found.missing.items()
    )
    order = list(found.addresses)
    machines = tuple(sorted(machines, key=lambda m: order.index(m.name) if m.name in order else len(order)))
    networks = dict.fromkeys(b.network for m in machines for b in m.bars if b.network)
    networks |= dict.fromkeys(p.network for m in machines for x in m.boxes for p in x.ports if p.network)
    return Scene(
        lab=lab,
        machines=machines,
        tunnels=tuple(_tunnels(machines)),
        wires=tuple(_wires(machines)),
        networks=tuple(sorted(networks, key=lambda n: n in (GATEWAY_BRIDGE, DEFAULT))),
        bars={b.id: b for m in machines for b in m.bars},
    )


def _machine(host: HostMap) -> Machine:
    boxes = tuple(_box(host, c) for c in sorted(host.containers, key=lambda c: c.name))
    bars = sorted((*_overlays(host), *_bridges(host), *_vlans(host), *_cards(host)), key=_place)
    return Machine(host.name, host.address, boxes, tuple(bars), host.trouble)


def _place(bar: Bar) -> tuple[int, bool, str]:
    kinds = (OVERLAY, BRIDGE, VLAN, CARD)
    return kinds.index(bar.kind), bar.network in (GATEWAY_BRIDGE, DEFAULT), bar.row


def _id(host: HostMap, space: Namespace, link: Link) -> str:
    return f"{host.name}/{'' if space.inode == host.own else space.name}/{link.name}"


def _overlays(host: HostMap) -> Iterator[Bar]:
    for space, network in overlays(host):
        name = network.name if network else space.name
        for tunnel in space.vxlans:
            bridge = space.link(tunnel.master) or tunnel
            yield Bar(
                _id(host, space, bridge),
                f"overlay {name}",
                OVERLAY,
                bridge.name,
                name,
                bridge.addresses,
                bridge.mtu,
                tunnel=tunnel.name,
                vni=tunnel.vni,
            )


def _bridges(host: HostMap) -> Iterator[Bar]:
    for link in host.itself.links:
        if link.kind == "bridge":
            known = (n.name for n in host.networks if link.name in (n.name, f"br-{n.id[:12]}"))
            network = DEFAULT if link.name == "docker0" else next(known, "")
            routed = host.forwards and bool(link.addresses)
            row = f"bridge {network or link.name}"
            own = _id(host, host.itself, link)
            yield Bar(own, row, BRIDGE, link.name, network, link.addresses, link.mtu, routed)


def _vlans(host: HostMap) -> Iterator[Bar]:
    for link in host.itself.links:
        if link.kind == "vlan":
            below = host.other_end(host.itself, link)
            under = _id(host, *below) if below else ""
            own = _id(host, host.itself, link)
            yield Bar(
                own, f"vlan {link.name}", VLAN, link.name, "", link.addresses, link.mtu, below=under, tag=link.tag
            )


def _cards(host: HostMap) -> Iterator[Bar]:
    for link in host.cards:
        yield Bar(_id(host, host.itself, link), f"card {link.name}", CARD, link.name, "", link.addresses, link.mtu)


def _box(host: HostMap, container: Container) -> Box:
    ports = tuple(_port(host, a) for a in host.attachments(container))
    shared = host.shares(container)
    note = ""
    if shared:
        ports, note = (), f"shares the links of {shared.name}"
    elif not container.namespace:
        note = container.state
    elif container.namespace == host.own:
        note = "has the host's own links"
    elif not ports:
        note = "has lo alone"
    return Box(container.name, container.image, container.state, ports, note)


def _port(host: HostMap, found: Attachment) -> Port:
    link, far, bar = found.interface, found.port or found.parent, ""
    if found.outside is not None:
        joined = found.bridge or found.parent
        bar = _id(host, found.outside, joined) if joined else ""
    rides = f"{link.kind} {link.mode}".strip() if found.parent else ""
    via = f"{far.name} #{far.index}" if far else ""
    network = found.network or found.driver
    return Port(link.name, link.addresses, network, link.mtu, link.mac, bar, via, rides)


def _tunnels(machines: tuple[Machine, ...]) -> Iterator[Tunnel]:
    rows = dict.fromkeys(b.row for m in machines for b in m.bars if b.kind == OVERLAY)
    for row in rows:
        bars = [b for m in machines if (b := m.bar(row))]
        for one, other in pairwise(bars):
            yield Tunnel(one.id, other.id, one.network, one.vni)


def _wires(machines: tuple[Machine, ...]) -> Iterator[Wire]:
    cards: dict[str, dict[str, None]] = {}
    for machine in machines:
        for bar in machine.bars:
            for address in bar.addresses if bar.kind == CARD else ():
                subnet = str(ipaddress.ip_interface(address).network)
                cards.setdefault(subnet, {})[bar.id] = None
    for subnet, joined in cards.items():
        if len(joined) > 1:
            yield Wire(subnet, tuple(joined))

"""Walking a packet through the map: at each station the same question that the kernel asks of the same table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import links as by_hand
from clusterctl.topology.host import CARRIED
from clusterctl.topology.path import VXLAN_HEADERS, Broken, Hop
from clusterctl.topology.rules import WAYS_IN, WAYS_OUT, WAYS_THROUGH, Packet, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.topology.host import HostMap, Namespace
    from clusterctl.topology.links import Link
    from clusterctl.topology.path import End
    from clusterctl.topology.topology import Topology

MOST = 40
"""Stations after which a packet goes in circles."""


class Walk:
    """One packet on its way. Each step adds hops and names the next step, until the packet arrives or Broken is raised.

    source: the packet's sender address, known once its first route is.
    """

    def __init__(self, topology: Topology, start: End, target: End, address: str) -> None:
        self.topology, self.start, self.target, self.address = topology, start, target, address
        self.hops: list[Hop] = []
        self.warnings: list[str] = []
        self.source = ""
        self.mtu = 0
        self._limit = 0
        self._outer = ""

    def go(self) -> None:
        """Walk from the start. Raises Broken."""
        self._route(self.start.host, self.start.space, None)

    # Stations

    def _hop(self, host: HostMap, space: Namespace, link: Link, does: str, *commands: str) -> None:
        enter = host.enter(space)
        lines = tuple(enter + line for line in commands or (by_hand.show(link.name),))
        self.hops.append(Hop(host.name, place(host, space), link, does, lines, self._outer))
        if len(self.hops) > MOST:
            raise Broken("the packet goes in circles")
        if not link.up:
            raise Broken(_down(host, space, link))
        if not link.carrier:
            end = host.other_end(space, link)
            why = f": {_down(host, *end)}" if end and not end[1].up else ", as if nothing were at its other end"
            raise Broken(f"{link.name} of {where(host, space)} has no carrier{why}")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            self.hops[-1] = replace(self.hops[-1], trouble=text)

    def _fits(self, link: Link, room: int = 0) -> None:
        """Note a link that takes smaller packets than the last sender makes. room: what is put around them."""
        least = link.mtu - room
        self.mtu = min(self.mtu, least)
        if least < self._limit:
            self._warn(
                f"{link.name} takes {link.mtu} bytes{f', {room} of them for VXLAN' if room else ''}: packets over "
                f"{least} are lost, though the sender's link allows {self._limit}"
            )

    def _judge(self, host: HostMap, ways: Sequence[tuple[str, str]], packet: Packet) -> None:
        """Ask a host's rules; one whose matches are not all understood is not held against the packet."""
        ended = Rules.read(host.rules).ends(packet, ways)
        if ended and ended.sure:
            raise Broken(f"{host.name}'s firewall drops it: {ended.rule}")

    def _ping(self, way_in: str = "", way_out: str = "") -> Packet:
        return Packet("icmp", 0, self.source, self.address, way_in, way_out)

    # The IP layer

    def _route(self, host: HostMap, space: Namespace, came: Link | None) -> None:
        """Decide in a namespace where the packet goes. came: by which link it came in, None for its sender."""
        if self.address in space.ips:
            self._arrive(host, space, came)
            return
        if came and space.inode != host.own:
            raise Broken(f"{place(host, space)} has not the address {self.address} and does not pass it on")
        if came and not host.forwards:
            raise Broken(f"{host.name} does not forward packets: sysctl -w net.ipv4.ip_forward=1")
        route = space.route(self.address)
        link = space.link(route.device) if route else None
        if route is None or link is None:
            raise Broken(f"{where(host, space)} has no route to {self.address}{_those_down(space)}")
        if not came:
            self.source = route.source or next(iter(link.ips), "")
        elif space.inode == host.own:
            self._judge(host, WAYS_THROUGH, self._ping(came.name, link.name))
        self._limit = min(link.mtu, self._limit) if came else link.mtu
        self.mtu = min(self.mtu or link.mtu, link.mtu)
        self._send(host, space, link, route.gateway or self.address)

    def _arrive(self, host: HostMap, space: Namespace, came: Link | None) -> None:
        if space.inode != self.target.space.inode:
            raise Broken(f"{self.address} is an address of {where(host, space)} itself: the packet goes no further")
        if came is None:
            lo = space.link("lo")
            if lo:
                self.mtu = lo.mtu
                self._hop(host, space, lo, "both are in this namespace: the packet never leaves it")
        elif space.inode == host.own:
            self._judge(host, WAYS_IN, self._ping(came.name))

    # Links

    def _send(self, host: HostMap, space: Namespace, link: Link, to: str) -> None:
        """Send the packet out of a link, to the neighbour that has the address `to`."""
        lines = (by_hand.show(link.name), by_hand.route(self.address))
        via = f" through {to}" if to != self.address else ""
        self._hop(host, space, link, f"{self.source or 'it'} → {self.address}{via}", *lines)
        if link.kind == "bridge":
            self._bridge(host, space, link, None, to)
        elif link.kind in ("macvlan", "ipvlan"):
            self._carried(host, space, link, to)
        elif end := host.other_end(space, link):
            if link.kind == "vlan":
                self._hop(host, end[0], end[1], f"carries VLAN {link.tag}")
                self._wire(host, end[1], link.tag, to)
            else:
                self._enter(host, *end, to)
        elif link.kind == "vxlan":
            self._tunnel(host, space, link, to, self._mac(space, to))
        elif space.inode == host.own:
            self._wire(host, link, 0, to)
        else:
            raise Broken(f"the other end of {link.name} is not to be seen on {host.name}", sure=False)

    def _enter(self, host: HostMap, space: Namespace, port: Link, to: str) -> None:
        """Come out of a veth's other end: into a bridge, or into the namespace itself."""
        does = f"other end of #{port.peer}; port of {port.master}" if port.master else f"other end of #{port.peer}"
        self._hop(host, space, port, f"{does}, {port.state}" if port.state else does)
        self._fits(port)
        bridge = space.link(port.master) if port.master else None
        if bridge:
            self._bridge(host, space, bridge, port, to)
        elif space.inode not in {c.namespace for c in host.containers if c.namespace != host.own} and not port.ips:
            raise Broken(f"{port.name} of {where(host, space)} is no port of a bridge and has no address")
        else:
            self._route(host, space, port)

    def _bridge(self, host: HostMap, space: Namespace, bridge: Link, came: Link | None, to: str) -> None:
        """Cross a bridge to whoever has the address: the bridge itself, a port's other end, or beyond a VXLAN."""
        if came:
            self._hop(host, space, bridge, _addressed(bridge) or "bridge", by_hand.ports(bridge.name))
            if came.state and came.state != "forwarding":
                raise Broken(f"{came.name} is {came.state} as a port of {bridge.name}")
        if to in bridge.ips:
            self._route(host, space, bridge)
            return
        ports = [p for p in space.ports(bridge.name) if p is not came]
        for port in ports:
            end = host.other_end(space, port)
            if end and to in end[1].ips:
                self._deliver(host, space, bridge, port, came, end, to)
                return
        if tunnel := next((p for p in ports if p.kind == "vxlan"), None):
            self._tunnel(host, space, tunnel, to, self._mac(space, to))
            return
        cards = [p for p in ports if host.other_end(space, p) is None and space.inode == host.own]
        if cards:
            self._hop(host, space, cards[0], f"port of {bridge.name}")
            self._wire(host, cards[0], 0, to)
            return
        raise Broken(f"nobody on {bridge.name} of {host.name} has {to}")

    def _deliver(
        self,
        host: HostMap,
        space: Namespace,
        bridge: Link,
        port: Link,
        came: Link | None,
        end: tuple[Namespace, Link],
        to: str,
    ) -> None:
        inside, link = end
        if came and host.bridged and space.inode == host.own:
            self._judge(host, WAYS_THROUGH, self._ping(bridge.name, bridge.name))
        taken = self._taken_for(to)
        if taken and taken != link.mac and inside.inode == self.target.space.inode:
            raise Broken(f"{self.start.name} takes {to} for {taken}, but {place(host, inside)} has {link.mac}")
        self._hop(host, space, port, f"port of {bridge.name}, to #{port.peer}")
        if port.state and port.state != "forwarding":
            raise Broken(f"{port.name} is {port.state} as a port of {bridge.name}")
        self._fits(port)
        self._hop(host, inside, link, _addressed(link))
        self._fits(link)
        self._route(host, inside, link)

    def _taken_for(self, ip: str) -> str:
        """Return the MAC that the sender takes an address for, "" where it would ask."""
        found = (n for n in self.start.space.tables.neighbours if n.ip == ip and n.mac and n.state != "FAILED")
        return next((n.mac for n in found), "")

    def _mac(self, space: Namespace, ip: str) -> str:
        """Return the MAC for an address beyond a VXLAN: the sender's answer, the overlay's, else the target's own."""
        if mac := self._taken_for(ip):
            return mac
        if mac := next((n.mac for n in space.tables.neighbours if n.ip == ip and n.mac), ""):
            return mac
        holder = self.target.space.holder(ip)
        return holder.mac if holder else ""

    def _tunnel(self, host: HostMap, space: Namespace, tunnel: Link, to: str, mac: str) -> None:
        """Put the packet into VXLAN, carry it to the host that the forwarding entry names, and take it out."""
        entries = space.forwards(tunnel.name, mac) or space.forwards(tunnel.name, "00:00:00:00:00:00")
        found = f"{mac} → {entries[0].towards}" if entries else f"no entry for {mac}"
        self._hop(host, space, tunnel, f"VNI {tunnel.vni}: {found}", by_hand.forwards(tunnel.name, mac))
        if not entries:
            raise Broken(
                f"{tunnel.name} on {host.name} has no forwarding entry for {mac}: nothing says which host has {to}"
            )
        remote = entries[0].towards
        card = self._underlay(host, tunnel, remote)
        peer = self.topology.at(remote)
        if peer is None:
            self._nobody(remote)
            return
        self._fits(card, VXLAN_HEADERS)
        self._come_out(peer, tunnel, remote, to)

    def _underlay(self, host: HostMap, tunnel: Link, remote: str) -> Link:
        """Send the outer packet on its way."""
        route = host.itself.route(remote)
        card = host.itself.link(route.device) if route else None
        if route is None or card is None:
            raise Broken(f"{host.name} has no route to {remote}{_those_down(host.itself)}")
        source = route.source or next(iter(card.ips), "")
        self._outer = f"{source} → {remote}, VNI {tunnel.vni}"
        does = f"{source} → {remote}, UDP {tunnel.udp_port}"
        self._hop(host, host.itself, card, does, by_hand.show(card.name), by_hand.route(remote))
        self._judge(host, WAYS_OUT, Packet("udp", tunnel.udp_port, source, remote, way_out=card.name))
        return card

    def _come_out(self, peer: HostMap, tunnel: Link, remote: str, to: str) -> None:
        card = peer.itself.holder(remote)
        if card is None:
            raise Broken(f"no link of {peer.name} has {remote}")
        self._hop(peer, peer.itself, card, _addressed(card))
        self._fits(card, VXLAN_HEADERS)
        source = self._outer.partition(" ")[0]
        self._judge(peer, WAYS_IN, Packet("udp", tunnel.udp_port, source, remote, way_in=card.name))
        ends = [(s, x) for s in peer.namespaces.values() for x in s.vxlans if x.vni == tunnel.vni]
        if not ends:
            raise Broken(f"{peer.name} has no VXLAN of VNI {tunnel.vni}: does a container of the network run there?")
        space, link = ends[0]
        self._outer = ""
        self._hop(peer, space, link, f"VNI {link.vni}: taken out; port of {link.master}")
        self._fits(link)
        bridge = space.link(link.master)
        if bridge is None:
            raise Broken(f"{link.name} on {peer.name} is no port of any bridge")
        self._bridge(peer, space, bridge, link, to)

    # The network between the hosts

    def _carried(self, host: HostMap, space: Namespace, link: Link, to: str) -> None:
        """Leave a macvlan or ipvlan: to another one on the same parent, or by the parent to the wire."""
        parent = host.other_end(space, link)
        if parent is None:
            raise Broken(f"what {link.name} rides on is not to be seen on {host.name}", sure=False)
        card, tag = self._ride(host, *parent, f"carries {link.kind} {link.mode}".strip())
        if to in parent[1].ips:
            raise Broken(_kept_apart(parent[1], link))
        self._wire(host, card, tag, to, carried=True)

    def _ride(self, host: HostMap, space: Namespace, link: Link, does: str) -> tuple[Link, int]:
        """Go down to the card under a link. Returns it, and the VLAN on the way, 0 for none."""
        self._hop(host, space, link, does)
        self._fits(link)
        if link.kind != "vlan":
            return link, 0
        below = host.other_end(space, link)
        if below is None:
            raise Broken(f"what {link.name} rides on is not to be seen on {host.name}", sure=False)
        self._hop(host, *below, f"carries VLAN {link.tag}")
        return below[1], link.tag

    def _wire(self, host: HostMap, card: Link, tag: int, to: str, *, carried: bool = False) -> None:
        """Cross the network between the hosts, to whose card or macvlan has the address.

        carried: whether the packet comes from a macvlan or an ipvlan on the card rather than from the host itself.
        """
        for peer in self.topology.hosts.values():
            for space in peer.namespaces.values():
                link = space.holder(to)
                if link is None or (space.inode != peer.own and link.kind not in CARRIED):
                    continue
                if link.kind == "bridge":
                    continue
                if space.inode != peer.own and peer is host and not carried:
                    raise Broken(_kept_apart(card, link))
                self._land(host, card, tag, peer, space, link, to)
                return
        self._nobody(to)

    def _land(self, host: HostMap, card: Link, tag: int, peer: HostMap, space: Namespace, link: Link, to: str) -> None:
        """Come in from the wire by a host's card, and from there to what rides on it."""
        chain = [(space, link)]
        while chain[0][1].kind in CARRIED:
            below = peer.other_end(*chain[0])
            if below is None:
                raise Broken(f"what {chain[0][1].name} rides on is not to be seen on {peer.name}", sure=False)
            chain.insert(0, below)
        theirs = next((x.tag for _, x in chain if x.kind == "vlan"), 0)
        if theirs != tag:
            raise Broken(f"{to} is in {_vlan(theirs)}, the packet in {_vlan(tag)}: the wire keeps them apart")
        if peer is host and chain[0][1] is card:
            chain = chain[1:]  # siblings on one card: it never reaches the wire
        for at, each in chain:
            self._hop(peer, at, each, _addressed(each) or each.kind)
            self._fits(each)
        self._route(peer, space, link)

    def _nobody(self, address: str) -> None:
        silent = self.topology.missing
        host = next((h for h in silent if self.topology.addresses.get(h) == address), "")
        if host:
            raise Broken(f"what {host} does with it is not known: {silent[host].removeprefix(f'{host}: ')}", sure=False)
        if silent:
            raise Broken(f"who has {address} is not known: {', '.join(silent)} did not answer", sure=False)
        gateway = "" if address == self.address else f", the gateway on the way to {self.address}"
        why = f"no host and no container that is known here has {address}{gateway}: the packet leaves the lab"
        raise Broken(why + _those_down(self.start.space))


def place(host: HostMap, space: Namespace) -> str:
    """Return whose namespace it is: a container's name, the file's name of an overlay's, "" for the host's own."""
    if space.inode == host.own:
        return ""
    owner = next(iter(host.owners(space.inode)), None)
    return owner.name if owner else space.name


def where(host: HostMap, space: Namespace) -> str:
    """Return a namespace in words."""
    inside = place(host, space)
    return f"{inside} on {host.name}" if inside else host.name


def _addressed(link: Link) -> str:
    return ", ".join(link.addresses)


def _those_down(space: Namespace) -> str:
    down = [x.name for x in space.links if not x.up and x.name != "lo"]
    return f"; down there: {', '.join(down)}" if down else ""


def _vlan(tag: int) -> str:
    return f"VLAN {tag}" if tag else "no VLAN"


def _down(host: HostMap, space: Namespace, link: Link) -> str:
    return f"{link.name} is down; on {host.name}: {host.enter(space)}ip link set {link.name} up"


def _kept_apart(parent: Link, link: Link) -> str:
    return f"{link.kind}: a parent ({parent.name}) and what rides on it do not talk to each other"

"""Networks on an interface of the hosts themselves, without a bridge of their own: macvlan and ipvlan. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from clusterctl.model.inventory import ProviderName, Role
from clusterctl.model.names import OrEmpty, Shape, Subnet, as_ipv4, check_subnet, inside, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from clusterctl.model.inventory import Inventory
    from clusterctl.model.playbook import Container, ContainerEntry, Network, NetworkEntry
    from clusterctl.model.source import Document

CLUSTER = "cluster"
"""Stands for what is the hosts' own: the interface of their cluster addresses, the subnet that these are in."""

MODES: Mapping[str, tuple[str, ...]] = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3"),
}
"""The drivers that are meant here, and the modes of each; the first one is Docker's own choice."""

LONGEST_NAME = 15
"""Characters of an interface's name (IFNAMSIZ without its end)."""

SHARES = 4
"""Into how many parts a range is cut at least, so that a third and a fourth host move nobody's part."""

KEYS = ("parent", "vlan", "range", "mode")

InterfaceName = Annotated[
    str,
    Shape(
        "the name of an interface",
        "[A-Za-z0-9][A-Za-z0-9_.-]*",
        f"letters, digits, '_', '.' and '-', or `{CLUSTER}` for the one with the host's cluster address",
        LONGEST_NAME,
    ),
]


def _subnet_or_cluster(text: str) -> str:
    return text if text == CLUSTER else check_subnet(text)


SubnetOrCluster = Annotated[
    str,
    AfterValidator(_subnet_or_cluster),
    WithJsonSchema({"type": "string", "pattern": f"^(?:[0-9]+(?:\\.[0-9]+){{3}}/[0-9]+|{CLUSTER})$"}),
]


Parent = Annotated[
    InterfaceName,
    Field(
        description="macvlan, ipvlan: the hosts' interface that it is on; `cluster`: the one of the cluster address."
    ),
]
Vlan = Annotated[
    Annotated[int, Field(ge=1, le=4094)] | None,
    Field(description="macvlan, ipvlan: the 802.1Q VLAN, on a sub-interface such as eth0.10."),
]
Range = Annotated[
    Subnet,
    OrEmpty,
    Field(
        description="macvlan, ipvlan: the part of the subnet that containers get addresses from, a share for each "
        "host; the upper half unless given."
    ),
]
Mode = Annotated[
    Literal["", "bridge", "private", "vepa", "passthru", "l2", "l3"],
    Field(
        description="macvlan: bridge, private, vepa or passthru; ipvlan: l2 or l3. Unless given, the first of them.",
        json_schema_extra={"enum": [mode for modes in MODES.values() for mode in modes]},
    ),
]


def on_the_wire(network: NetworkEntry) -> bool:
    """Whether a network has no bridge of its own but is on an interface of the hosts."""
    return network.driver in MODES


def check_entries(
    networks: Mapping[str, NetworkEntry], containers: Mapping[str, ContainerEntry], document: Document
) -> None:
    """Note what does not fit in the networks as they are written."""
    for name, network in networks.items():
        place = ("networks", name)
        if not on_the_wire(network):
            for key in KEYS:
                if key in network.model_fields_set:
                    message = f"means nothing with the driver {network.driver}: it is for {' and '.join(MODES)}"
                    document.add((*place, key), message)
            if network.subnet == CLUSTER:
                document.add((*place, "subnet"), f"`{CLUSTER}` is for {' and '.join(MODES)}: choose a subnet")
            continue
        for key, where in {"parent": "`parent` and `vlan`", f"{network.driver}_mode": "`mode`"}.items():
            if key in network.options:
                document.add((*place, "options", key), f"is said by {where}")
        if network.mode and network.mode not in MODES[network.driver]:
            message = f"{shown(network.mode)} is no mode of {network.driver}"
            document.add((*place, "mode"), message, ", ".join(MODES[network.driver]))
        if network.vlan and len(f"{network.parent}.{network.vlan}") > LONGEST_NAME:
            message = f"{network.parent}.{network.vlan} is too long for the name of an interface"
            document.add((*place, "parent"), message, f"{LONGEST_NAME} characters")
        if network.vlan and network.subnet == CLUSTER:
            document.add((*place, "subnet"), f"`{CLUSTER}` is not in a VLAN: choose a subnet of its own")
        if network.range and network.subnet != CLUSTER:
            _check_range(network.range, network.subnet, place, document)
    for one, other in combinations((n for n in networks if on_the_wire(networks[n])), 2):
        _check_apart(one, other, networks, containers, document)


def _check_range(range: str, subnet: str, place: tuple[str, str], document: Document) -> None:
    if not IPv4Network(range).subnet_of(IPv4Network(subnet)):
        document.add((*place, "range"), f"{range} is not in {subnet}")


def _check_apart(
    one: str,
    other: str,
    networks: Mapping[str, NetworkEntry],
    containers: Mapping[str, ContainerEntry],
    document: Document,
) -> None:
    """Docker lets one network of a host have an interface."""
    hosts = [{c.host for c in containers.values() if n in c.networks} for n in (one, other)]
    a, b = networks[one], networks[other]
    if (a.parent, a.vlan) == (b.parent, b.vlan) and hosts[0] & hosts[1]:
        message = f"network {one} has that interface already on {', '.join(sorted(hosts[0] & hosts[1]))}"
        document.add(("networks", other, "parent"), message, "another parent, or another vlan")


def settled(networks: Mapping[str, Network], inventory: Inventory, document: Document) -> dict[str, Network]:
    """Return the networks with the hosts' own subnet and gateway in them, and with a range each.

    What they still lack is noted in the document.
    """
    return {n: _settled(v, inventory, document) if on_the_wire(v) else v for n, v in networks.items()}


def _settled(network: Network, inventory: Inventory, document: Document) -> Network:
    place = ("networks", network.name)
    subnet = network.subnet
    if subnet == CLUSTER:
        subnet = inventory.underlay
        if not subnet:
            hint = "write it here, or as cluster.subnet in the inventory"
            document.add((*place, "subnet"), f"the subnet that the hosts are in is not known: {hint}")
            return network
        if network.range:
            _check_range(network.range, subnet, place, document)
        if network.gateway and (why := inside(network.gateway, subnet)):
            document.add((*place, "gateway"), f"{why}, where the hosts are")
    hosts = _hosts_in(subnet, inventory)
    part = network.range or (inventory.cluster.range if subnet == inventory.underlay else "")
    if part and not network.range:
        _check_range(part, subnet, place, document)
    if hosts and network.vlan:
        message = f"contains {hosts[0]}, an address of a host, which is not in VLAN {network.vlan}"
        document.add((*place, "subnet"), message)
    if hosts and not part and inventory.provider is ProviderName.SSH:
        message = f"is missing: which addresses of {subnet} are free, only you know"
        document.add((*place, "range"), message, "a part of it, here or as cluster.range in the inventory")
    whole = IPv4Network(subnet)
    return network.model_copy(
        update={
            "subnet": subnet,
            "gateway": network.gateway or _gateway(whole, inventory),
            "range": part or str(list(whole.subnets())[1]),
        }
    )


def _hosts_in(subnet: str, inventory: Inventory) -> list[str]:
    addresses = [a for h in inventory.hosts.values() for a in (h.address, h.cluster_address)]
    return [a for a in addresses if (ip := as_ipv4(a)) and ip in IPv4Network(subnet)]


def _gateway(subnet: IPv4Network, inventory: Inventory) -> str:
    """Return the hosts' own gateway where it is known, else the first address that no host has."""
    if inventory.provider is ProviderName.LOCAL and IPv4Address(inventory.local.gateway) in subnet:
        return inventory.local.gateway
    taken = _hosts_in(str(subnet), inventory)
    return next(str(a) for a in subnet.hosts() if str(a) not in taken)


def check_shares(
    networks: Iterable[Network], containers: Mapping[str, Container], inventory: Inventory, document: Document
) -> None:
    """Note ranges whose shares are too small for the containers that are to be there."""
    for network in networks:
        if not on_the_wire(network) or not document.sound("networks", network.name):
            continue
        for host in daemons(inventory):
            wanted = sum(c.host == host and network.name in c.networks for c in containers.values())
            room = len(list(_free(network, host, inventory)))
            if wanted > room:
                message = f"{network.range} has {room} addresses for {host}, where {wanted} containers are to be"
                document.add(("networks", network.name, "range"), message, "a larger range")
                break


def _free(network: Network, host: str, inventory: Inventory) -> Iterator[IPv4Address]:
    whole = IPv4Network(network.subnet)
    never = {network.gateway, str(whole.network_address), str(whole.broadcast_address)}
    never |= set(_hosts_in(network.subnet, inventory))
    part = share(network, host, inventory)
    return (a for a in part if str(a) not in never) if part else iter(())


def daemons(inventory: Inventory) -> tuple[str, ...]:
    """Return the hosts that run Docker, in the inventory's order."""
    return tuple(h.name for h in inventory.hosts.values() if Role.DOCKER in h.roles)


def share(network: Network, host: str, inventory: Inventory) -> IPv4Network | None:
    """Return the part of a network's range that one host's Docker gives addresses from; None where there is none.

    Each daemon counts for itself: with the whole range on each, two would give the same address.
    """
    hosts, whole = daemons(inventory), IPv4Network(network.range)
    for parts in (max(SHARES, len(hosts)), len(hosts)):
        bits = (parts - 1).bit_length()
        if whole.prefixlen + bits <= (30 if parts > len(hosts) else 32):
            return list(whole.subnets(prefixlen_diff=bits))[hosts.index(host)] if bits else whole
    return None


def reserved(network: Network, inventory: Inventory) -> dict[str, str]:
    """Return the addresses of the subnet that no container may get, by whose they are."""
    found = {h.name: h.cluster_address for h in inventory.hosts.values()}
    if inventory.provider is ProviderName.LOCAL and inventory.local.gateway != network.gateway:
        found["gateway"] = inventory.local.gateway
    inner = IPv4Network(network.subnet)
    return {name: address for name, address in found.items() if IPv4Address(address) in inner}

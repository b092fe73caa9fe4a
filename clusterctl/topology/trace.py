"""From two names to the path between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.model.errors import InputError
from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.topology.path import Broken, End, Path
from clusterctl.topology.walk import Walk

if TYPE_CHECKING:
    from clusterctl.topology.host import Attachment, Container
    from clusterctl.topology.topology import Topology

ACROSS = ("overlay", "macvlan", "ipvlan")
"""Drivers whose networks may join containers of different hosts."""


def end(topology: Topology, name: str) -> End:
    """Return the container of this name (`HOST:NAME` where several hosts have one), or the host itself.

    Raises InputError where there is none, more than one, or one that does not run.
    """
    found = topology.find(name)
    if len(found) > 1:
        choices = ", ".join(f"{h.name}:{c.name}" for h, c in found)
        raise InputError(f"there are {len(found)} containers {name}", hint=f"say which: {choices}")
    if not found:
        if host := topology.hosts.get(name):
            return End(name, host, host.itself)
        raise InputError(_nobody(topology, name), hint="clusterctl net map shows all there are")
    ((host, container),) = found
    space = host.inside(container)
    if space is None:
        raise InputError(
            f"container {container.name} is {container.state} on {host.name}: it has no links",
            hint=f"on {host.name}: docker start {container.name}",
        )
    return End(container.name, host, space, container)


def _nobody(topology: Topology, name: str) -> str:
    silent = "; ".join(f"{h} did not answer: {why}" for h, why in topology.missing.items())
    deaf = "; ".join(f"{h.name}: {h.trouble}" for h in topology.hosts.values() if h.trouble)
    known = ", ".join(topology.hosts) or "any host"
    return "; ".join(filter(None, (f"there is no container {name} on {known}", silent, deaf)))


def trace(topology: Topology, start: End, target: End) -> Path:
    """Return the hops of a packet from one end to the other, as far as it gets."""
    network, address = destination(start, target)
    if not address:
        why = f"{target.name} has no address at all" + (": its network is none" if _is_none(target.container) else "")
        return Path(start, target, "", broken=why)
    walk = Walk(topology, start, target, address)
    broken = None
    try:
        walk.go()
    except Broken as error:
        broken = error
    return Path(
        source=start,
        target=target,
        address=address,
        network=network,
        hops=tuple(walk.hops),
        broken=broken.why if broken else "",
        sure=broken.sure if broken else True,
        warnings=tuple(walk.warnings),
        mtu=walk.mtu,
    )


def _is_none(container: Container | None) -> bool:
    return bool(container and container.mode == "none")


def destination(start: End, target: End) -> tuple[str, str]:
    """Return the network that joins two ends and the target's address on it; without one, its likeliest address."""
    if target.space.inode == target.host.own:
        return "", target.host.address
    attached = [a for a in _attached(target) if a.network and a.interface.ips]
    theirs, drivers = {a.network: a.interface.ips[0] for a in attached}, {a.network: a.driver for a in attached}
    mine = {a.network for a in _attached(start)}
    shared = [n for n in theirs if n in mine and (start.host.name == target.host.name or drivers[n] in ACROSS)]
    # An overlay's containers are on docker_gwbridge besides, which keeps them apart.
    shared.sort(key=lambda n: (n == GATEWAY_BRIDGE, drivers[n] not in ACROSS))
    if shared:
        return shared[0], theirs[shared[0]]
    return "", next((ip for n, ip in theirs.items() if n != GATEWAY_BRIDGE), next(iter(_ips(target)), ""))


def _attached(end: End) -> tuple[Attachment, ...]:
    return end.host.attachments(end.container) if end.container else ()


def _ips(end: End) -> list[str]:
    return [ip for link in end.space.links if link.name != "lo" for ip in link.ips]

"""The cluster's ports: free, or held by what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok, warning
from clusterctl.model.finding import Finding
from clusterctl.model.inventory import Role
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import HostFacts, Listener
    from clusterctl.model.inventory import Host

RUNS = frozenset({"active", "activating", "reloading", "deactivating"})
PORTS = {
    Role.ETCD: (f"tcp {etcd.CLIENT_PORT}", f"tcp {etcd.PEER_PORT}"),
    Role.DOCKER: (f"tcp {etcd.GOSSIP_PORT}", f"udp {etcd.GOSSIP_PORT}", f"udp {etcd.VXLAN_PORT}"),
}
"""The ports of each role, as "udp 4789"."""

GOSSIP = PORTS[Role.DOCKER][:2]
VXLAN = PORTS[Role.DOCKER][2]


def of(host: Host) -> tuple[str, ...]:
    """Return the ports that others must reach on this host."""
    return tuple(port for role in Role if role in host.roles for port in PORTS[role])


def holder(port: str, host: Host, facts: HostFacts) -> Listener | None:
    """Return what listens on a port ("udp 4789") where our own would."""
    proto, _, number = port.partition(" ")
    there = {"0.0.0.0", "::", "*", "127.0.0.1", host.cluster_address}  # noqa: S104
    if proto == "udp" or int(number) == etcd.GOSSIP_PORT:
        there -= {"127.0.0.1"}
    return next((x for x in facts.listeners if x.proto == proto and str(x.port) == number and x.ip in there), None)


def proper(port: str, host: Host, facts: HostFacts) -> str:
    """Return what holds the port and is what the port is for, "" where it is free or a stranger has it."""
    found = holder(port, host, facts)
    if found is None:
        return ""
    if port in PORTS[Role.ETCD]:
        return "etcd" if facts.unit(etcd.UNIT).active in RUNS else ""
    if port in GOSSIP:
        # The kernel gives the first 15 characters of the file's name; a wrapped daemon has an ending to its own.
        return "dockerd" if found.process.partition(".")[0] == "dockerd" else ""
    return "" if found.process else "the kernel"


def judge(host: Host, facts: HostFacts) -> Iterator[Finding]:
    """Judge the ports of one host."""
    ports = of(host)
    expected = f"{', '.join(ports)} are free, or held by etcd, Docker and the kernel's VXLAN"
    wrong, seen = list[Finding](), list[str]()
    for port in ports:
        found = holder(port, host, facts)
        if found is None:
            seen.append(f"{port} free")
        elif who := proper(port, host, facts):
            seen.append(f"{port} held by {who}")
        else:
            wrong.append(_taken(port, found, host, facts, expected))
    yield from wrong
    overlay = facts.docker and any(n.driver == "overlay" for n in facts.docker.networks.values())
    if not wrong and VXLAN in ports and proper(VXLAN, host, facts) and not overlay:
        hint = f"on {host.name}: ip -d link show type vxlan"
        yield warning("ports", host.name, expected, f"{VXLAN} held by a VXLAN that is not Docker's", hint)
    elif not wrong:
        yield ok("ports", host.name, expected, ", ".join(seen))


def _taken(port: str, found: Listener, host: Host, facts: HostFacts, expected: str) -> Finding:
    proto, _, number = port.partition(" ")
    name = number if port in PORTS[Role.ETCD] else f"{number}/{proto}"
    own = found.process == "etcd" and port in PORTS[Role.ETCD]
    hint = "systemctl stop etcd" if own else f"ss -ln{proto[0]}p 'sport = :{number}'"
    seen = f"port {name} is in use by {found.process or 'another process'}"
    return failed("ports", host.name, expected, seen, hint)

"""Look before anything on a host is changed: every reason of every host at once."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from clusterctl.model.errors import ClusterctlError, Reason, Refused
from clusterctl.model.inventory import Role
from clusterctl.phases import packages
from clusterctl.plan.phase import Section
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop

DISK_MB = 300
"""Free space under /var/lib that images, containers and the store need at least."""

CLOCK_SKEW = 30.0
"""Seconds between two hosts' clocks from which certificates and leases cannot be relied on."""


class Preflight:
    """Check that every host can carry the lab."""

    title = "Check the hosts"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused with every reason; nothing is ever to be done."""
        reasons = [
            Reason(host, facts.missing.get(host, "it was not asked").removeprefix(f"{host}: "))
            for host in lab.inventory.hosts
            if host not in facts.hosts
        ]
        reasons += [
            reason
            for host in lab.inventory.hosts.values()
            if host.name in facts.hosts
            for reason in _reasons(lab, host, facts.hosts[host.name])
        ]
        reasons += _clocks(facts)
        if reasons:
            raise Refused(reasons)
        yield from ()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(p) for p in text.split(".")[:2] if p.isdigit())


def _reasons(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Reason]:
    def no(message: str, hint: str = "") -> Reason:
        return Reason(host.name, message, hint)

    if not facts.root:
        yield no(f"{host.user} may not use sudo", "log in as root, or allow sudo without a password")
    if not facts.systemd:
        yield no("it does not run systemd", "clusterctl manages its services through systemd")
    if facts.disk_free_mb and facts.disk_free_mb < DISK_MB:
        yield no(f"{facts.disk_free_mb} MB free under /var/lib, {DISK_MB} MB are needed", "docker system prune")
    if facts.addresses and not facts.interface(host.cluster_address):
        has = ", ".join(a.ip for a in facts.addresses if a.interface != "lo")
        yield no(
            f"its cluster address {host.cluster_address} is on none of its interfaces (it has {has})",
            f"set cluster_address of {host.name} in the inventory",
        )
    yield from packages.reasons(lab, host, facts)
    yield from _overlaps(lab, host, facts)
    if Role.ETCD in host.roles:
        yield from _etcd(host, facts)
    if Role.DOCKER in host.roles:
        yield from _docker(lab, host, facts)


def _overlaps(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Reason]:
    """A network of the playbook must not cover what the host reaches outside of Docker."""
    own = {n.subnet for n in facts.docker.networks.values()} if facts.docker else set()
    for network in lab.playbook.networks.values():
        wanted = ipaddress.ip_network(network.subnet)
        existing = facts.docker.networks.get(network.name) if facts.docker else None
        for route in facts.routes:
            if route == "default":
                continue
            try:
                other = ipaddress.ip_network(route, strict=False)
            except ValueError:
                continue
            if wanted.overlaps(other) and str(other) not in own and existing is None:
                yield Reason(
                    host.name,
                    f"subnet {network.subnet} of network {network.name} overlaps its route {route}",
                    f"choose another subnet for {network.name} in the playbook",
                )


def _etcd(host: Host, facts: HostFacts) -> Iterator[Reason]:
    version = facts.versions.get("etcd", "")
    if version and _version(version) > etcd.LAST_ETCD:
        yield Reason(
            host.name,
            f"etcd {version} has no v2 API, and Docker's cluster store needs it",
            f"install etcd {'.'.join(map(str, etcd.LAST_ETCD))} or older",
        )
    ours = facts.unit(etcd.UNIT).active in {"active", "activating", "reloading", "deactivating"}
    if ours:
        return
    for listener in facts.listeners:
        taken = listener.proto == "tcp" and listener.port in {etcd.CLIENT_PORT, etcd.PEER_PORT}
        if taken and listener.ip in {"0.0.0.0", "::", "*", "127.0.0.1", host.cluster_address}:  # noqa: S104
            who = listener.process or "another process"
            unit = "systemctl stop etcd" if listener.process == "etcd" else f"ss -lntp 'sport = :{listener.port}'"
            yield Reason(host.name, f"port {listener.port} is in use by {who}", unit)


def _docker(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Reason]:
    version = facts.docker.version if facts.docker else facts.versions.get("docker", "")
    if version and _version(version) > etcd.LAST_DOCKER:
        yield Reason(
            host.name,
            f"Docker {version.partition('+')[0]} has no cluster store (it was removed after 20.10)",
            "install Docker 20.10 (Debian 12's docker.io), or take another host",
        )
    if facts.docker and facts.docker.swarm not in {"inactive", ""}:
        yield Reason(
            host.name,
            f"Docker is in swarm mode ({facts.docker.swarm}), which excludes a cluster store",
            "docker swarm leave --force",
        )
    try:
        theirs = etcd.read_daemon_json(facts.content(etcd.DAEMON_JSON), host.name)
    except ClusterctlError as error:
        yield Reason(host.name, error.message.removeprefix(f"{host.name}: "), error.hint)
        return
    recorded = f"files{etcd.DAEMON_JSON}" in facts.records or f"files{etcd.DAEMON_JSON}.absent" in facts.records
    if "cluster-store" in theirs and not recorded:
        yield Reason(
            host.name,
            f"{etcd.DAEMON_JSON} already names the cluster store {theirs['cluster-store']}",
            "that daemon belongs to another cluster: take it out there first",
        )
    yield from _strangers(lab, host, facts)


def _strangers(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Reason]:
    """Only what clusterctl marked as its own is ever changed or removed."""
    from clusterctl.model.lab import LABEL

    if facts.docker is None:
        return
    for container in lab.playbook.containers.values():
        found = facts.docker.containers.get(container.name)
        if container.host == host.name and found and found.labels.get(LABEL) != lab.name:
            owner = found.labels.get(LABEL)
            whose = f"of lab {owner}" if owner else "not made by clusterctl"
            yield Reason(
                host.name,
                f"a container named {container.name} exists there, {whose}",
                f"docker rename {container.name} NEW, or name the playbook's container otherwise",
            )
    for network in lab.playbook.networks.values():
        seen = facts.docker.networks.get(network.name)
        if seen and seen.labels.get(LABEL) != lab.name:
            yield Reason(
                host.name,
                f"a network named {network.name} exists there, not made by this lab",
                f"docker network rm {network.name}, or name the playbook's network otherwise",
            )


def _clocks(facts: Facts) -> list[Reason]:
    clocks = sorted(h.clock for h in facts.hosts.values())
    if not clocks:
        return []
    median = clocks[len(clocks) // 2]
    return [
        Reason(name, f"its clock is {h.clock - median:+.0f} s off the other hosts'", "timedatectl set-ntp true")
        for name, h in facts.hosts.items()
        if abs(h.clock - median) > CLOCK_SKEW
    ]

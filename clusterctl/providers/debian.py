"""What a Debian machine is like on which nothing was installed yet."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from clusterctl.model.facts import Address, File, HostFacts, Listener

if TYPE_CHECKING:
    from clusterctl.model.inventory import Host


def bare(host: Host, hostname: str = "debian", user: str = "root") -> HostFacts:
    """Return what a plan takes such a machine for: Debian 12 with sshd and its own /etc/hosts."""
    return HostFacts(
        name=host.name,
        hostname=hostname,
        user=user,
        os_id="debian",
        os_version="12",
        os_name="Debian GNU/Linux 12 (bookworm)",
        addresses=(Address("lo", "127.0.0.1", 8, 65536), Address("eth1", host.cluster_address, 24)),
        routes=("default", str(IPv4Network(f"{host.cluster_address}/24", strict=False))),
        listeners=(Listener("tcp", "0.0.0.0", 22, "sshd"),),  # noqa: S104  sshd does
        tools=frozenset({"nsenter", "bridge", "hostnamectl", "apt-get", "sysctl"}),
        files={"/etc/hosts": File("127.0.0.1\tlocalhost\n"), "/etc/hostname": File(f"{hostname}\n")},
    )

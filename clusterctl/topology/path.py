"""The hops of a packet from one container to another, by what the kernels have in their tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterctl.topology.host import Container, HostMap, Namespace
    from clusterctl.topology.links import Link

VXLAN_HEADERS = 50
"""Bytes that VXLAN over IPv4 puts around a packet: Ethernet 14, IP 20, UDP 8, VXLAN 8."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a path starts or ends: a container, or a host itself."""

    name: str
    host: HostMap
    space: Namespace
    container: Container | None = None

    @property
    def label(self) -> str:
        """Its name, with its host's."""
        return f"{self.name} ({self.host.name})" if self.container else self.name


@dataclass(frozen=True, slots=True)
class Hop:
    """One station of a packet.

    host: where it is. place: whose namespace: a container's name, the name of an overlay's, "" for the host's own.
    link: what the packet passes there. does: what happens to it. commands: what a person types on the host to see it.
    outer: the addresses and the VNI around the packet, "" outside of a tunnel. trouble: what is wrong here.
    """

    host: str
    place: str
    link: Link
    does: str
    commands: tuple[str, ...] = ()
    outer: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """The hops from a source to a target's address; where it breaks, the last hop is the last one it reaches.

    network: the Docker network that carries it, "" where that is none. broken: why it does not get there, "" where it
    does; sure is false where that is only not known. warnings: what harms it without stopping it.
    mtu: the largest packet in bytes that passes.
    """

    source: End
    target: End
    address: str
    network: str = ""
    hops: tuple[Hop, ...] = ()
    broken: str = ""
    sure: bool = True
    warnings: tuple[str, ...] = ()
    mtu: int = 0


class Broken(Exception):
    """Why a packet gets no further. Raised and caught in this package alone."""

    def __init__(self, why: str, *, sure: bool = True) -> None:
        super().__init__(why)
        self.why, self.sure = why, sure

"""An overlay network on one host: the bridge, its ports, the VXLAN device and where that sends frames."""

from __future__ import annotations

from dataclasses import dataclass

from clusterctl.topology import links
from clusterctl.topology.links import Forward, Link, Neighbour


@dataclass(frozen=True, slots=True)
class Overlay:
    """One overlay on one host. vni and vxlan are 0 and "" where it has no VXLAN device."""

    namespace: str
    vni: int = 0
    vxlan: str = ""
    udp_port: int = 0
    ports: tuple[Link, ...] = ()
    forwards: tuple[Forward, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()

    def towards(self, mac: str) -> tuple[str, ...]:
        """Return the hosts' addresses that the VXLAN device sends frames for this MAC to."""
        return tuple(f.towards for f in self.forwards if f.mac == mac and f.device == self.vxlan and f.towards)

    def port_of(self, index: int) -> Link | None:
        """Return the bridge port of this index in the namespace, None where there is none."""
        return next((p for p in self.ports if p.index == index and p.master), None)


def parse(text: str) -> Overlay:
    """Turn what `clusterctl.commands.bridge.read_overlay` printed into an overlay.

    Raises ValueError where it is cut short or where the host's iproute2 does not print JSON.
    """
    parts = links.sections(text)
    if "end" not in parts or not parts.get("namespace"):
        raise ValueError("the host did not answer in full")
    found = links.read([line for name in ("links", "forwards", "neighbours") for line in parts.get(name, ())])
    vxlan = next((x for x in found.links if x.kind == "vxlan"), Link(""))
    return Overlay(
        namespace=parts["namespace"][0],
        vni=vxlan.vni,
        vxlan=vxlan.name,
        udp_port=vxlan.udp_port,
        ports=found.links,
        forwards=found.forwards,
        neighbours=found.neighbours,
    )

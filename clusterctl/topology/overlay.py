"""An overlay network on one host: the bridge, its ports, the VXLAN device and where that sends frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Port:
    """A link in the overlay's namespace. peer: the index of a veth's other end, 0 where there is none."""

    name: str
    index: int
    kind: str
    master: str
    mac: str
    up: bool
    state: str = ""
    peer: int = 0


@dataclass(frozen=True, slots=True)
class Forward:
    """A forwarding entry: frames to `mac` leave by `device`, to the host `towards` where that is a VXLAN."""

    mac: str
    device: str
    towards: str = ""
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An ARP answer that the namespace gives for a container elsewhere."""

    ip: str
    mac: str
    device: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """One overlay on one host. vni and vxlan are 0 and "" where it has no VXLAN device."""

    namespace: str
    vni: int = 0
    vxlan: str = ""
    udp_port: int = 0
    ports: tuple[Port, ...] = ()
    forwards: tuple[Forward, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()

    def towards(self, mac: str) -> tuple[str, ...]:
        """Return the hosts' addresses that the VXLAN device sends frames for this MAC to."""
        return tuple(f.towards for f in self.forwards if f.mac == mac and f.device == self.vxlan and f.towards)

    def port_of(self, index: int) -> Port | None:
        """Return the bridge port of this index in the namespace, None where there is none."""
        return next((p for p in self.ports if p.index == index and p.master), None)


def parse(text: str) -> Overlay:
    """Turn what `clusterctl.commands.bridge.read_overlay` printed into an overlay.

    Raises ValueError where it is cut short or where the host's iproute2 does not print JSON.
    """
    parts = _sections(text)
    if "end" not in parts or not parts.get("namespace"):
        raise ValueError("the host did not answer in full")
    links = _rows(parts.get("links", ()), "ip -d -j link")
    forwards = _rows(parts.get("forwards", ()), "bridge -j fdb show")
    neighbours = _rows(parts.get("neighbours", ()), "ip -j neigh")
    try:
        vxlan = next((x for x in links if _kind(x) == "vxlan"), None)
        data = vxlan["linkinfo"].get("info_data", {}) if vxlan else {}
        return Overlay(
            namespace=parts["namespace"][0],
            vni=int(data.get("id", 0)),
            vxlan=vxlan["ifname"] if vxlan else "",
            udp_port=int(data.get("port", 0)),
            ports=tuple(map(_port, links)),
            forwards=tuple(_forward(x) for x in forwards if "mac" in x),
            neighbours=tuple(
                Neighbour(x.get("dst", ""), x.get("lladdr", ""), x.get("dev", "")) for x in neighbours if "dst" in x
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"iproute2 printed something unexpected: {error!r}") from error


def _sections(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("\x01 "):
            current = parts.setdefault(line[2:], [])
        elif line.strip():
            current.append(line)
    return parts


def _rows(lines: Sequence[str], command: str) -> list[dict[str, Any]]:
    text = "\n".join(lines)
    if not text:  # some versions print nothing where there is nothing
        return []
    try:
        rows = json.loads(text)
    except ValueError:
        raise ValueError(f"`{command}` does not print JSON here; iproute2 4.14 or newer is needed") from None
    # `ip -j` leaves empty objects in the list for rows that it filtered out.
    return [r for r in rows if isinstance(r, dict) and r] if isinstance(rows, list) else []


def _kind(link: dict[str, Any]) -> str:
    return str((link.get("linkinfo") or {}).get("info_kind", ""))


def _port(link: dict[str, Any]) -> Port:
    info = link.get("linkinfo") or {}
    return Port(
        name=link["ifname"],
        index=int(link["ifindex"]),
        kind=_kind(link),
        master=link.get("master", ""),
        mac=link.get("address", ""),
        up="UP" in link.get("flags", ()),
        state=(info.get("info_slave_data") or {}).get("state", ""),
        peer=int(link.get("link_index") or 0),
    )


def _forward(row: dict[str, Any]) -> Forward:
    return Forward(row["mac"], row.get("ifname", ""), row.get("dst", ""), row.get("state") == "permanent")


def vnis(overlays: Iterable[Overlay]) -> tuple[int, ...]:
    """Return the different VNIs among the overlays, in order."""
    return tuple(sorted({o.vni for o in overlays}))

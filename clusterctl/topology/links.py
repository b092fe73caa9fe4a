"""Links, routes and forwarding entries of one network namespace, as iproute2 prints them in JSON."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface.

    kind: in the kernel's words (`veth`, `bridge`, `vxlan`, `macvlan`, …); "" for a network card.
    mtu: in bytes. up: whether it is switched on; carrier: whether something is at its other end.
    addresses: IPv4 with prefix. master: the bridge that it is a port of, "" for none; state: as a port there.
    peer: the index of a veth's other end or of the link that it rides on (macvlan, VLAN), 0 where there is none.
    away: whether that other link is in another namespace.
    vni, udp_port: of a VXLAN. tag: of a VLAN. mode: of a macvlan or an ipvlan.
    """

    name: str
    index: int = 0
    kind: str = ""
    mac: str = ""
    mtu: int = 1500
    up: bool = True
    carrier: bool = True
    addresses: tuple[str, ...] = ()
    master: str = ""
    state: str = ""
    peer: int = 0
    away: bool = False
    vni: int = 0
    udp_port: int = 0
    tag: int = 0
    mode: str = ""

    @property
    def ips(self) -> tuple[str, ...]:
        """Its addresses without their prefixes."""
        return tuple(a.partition("/")[0] for a in self.addresses)

    def reaches(self, ip: str) -> bool:
        """Whether an address is in one of its subnets."""
        return any(ipaddress.ip_address(ip) in ipaddress.ip_interface(a).network for a in self.addresses)


@dataclass(frozen=True, slots=True)
class Route:
    """A route: `to` a subnet by a device, through a gateway or, where that is "", directly."""

    to: str
    device: str
    gateway: str = ""
    source: str = ""

    @property
    def prefix(self) -> int:
        """How much of an address it fixes: the longest wins."""
        return ipaddress.ip_network(self.to).prefixlen

    def covers(self, ip: str) -> bool:
        """Whether it is for this address."""
        return ipaddress.ip_address(ip) in ipaddress.ip_network(self.to)


@dataclass(frozen=True, slots=True)
class Forward:
    """A forwarding entry: frames to `mac` leave by `device`, to the host `towards` where that is a VXLAN."""

    mac: str
    device: str
    towards: str = ""
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Which MAC a namespace takes an address for. state: in the kernel's words, such as `REACHABLE`."""

    ip: str
    mac: str
    device: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Tables:
    """All that iproute2 says of one namespace."""

    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    forwards: tuple[Forward, ...] = ()


def sections(text: str) -> dict[str, list[str]]:
    """Take apart what a script printed: a section starts with the line `\\x01 name`, empty lines do not count."""
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("\x01 "):
            current = parts.setdefault(line[2:], [])
        elif line.strip():
            current.append(line)
    return parts


def read(lines: Sequence[str]) -> Tables:
    """Read the JSON lists of `ip -d -j address`, `link`, `route`, `neighbour` and `bridge -j fdb`, in any order.

    Each row says by its keys what it is. Raises ValueError where it is not JSON or not theirs.
    """
    links, routes, neighbours, forwards = [], [], [], []
    try:
        for row in rows("\n".join(lines)):
            if "ifindex" in row:
                links.append(_link(row))
            elif "mac" in row:
                forwards.append(
                    Forward(row["mac"], row.get("ifname", ""), row.get("dst", ""), row.get("state") == "permanent")
                )
            elif isinstance(row.get("state"), list):
                state = " ".join(row["state"])
                neighbours.append(Neighbour(row["dst"], row.get("lladdr", ""), row.get("dev", ""), state))
            elif "dst" in row and row.get("type", "unicast") == "unicast":
                routes.append(_route(row))
    except json.JSONDecodeError:
        raise ValueError("`ip -j` does not print JSON here; iproute2 4.14 or newer is needed") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"iproute2 printed something unexpected: {error!r}") from error
    return Tables(tuple(links), tuple(routes), tuple(neighbours), tuple(forwards))


def rows(text: str) -> Iterator[dict[str, Any]]:
    """Return the objects in JSON texts one after another, those in lists as well. Raises ValueError."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        found, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        # `ip -j` leaves empty objects in the list for rows that it filtered out.
        yield from (r for r in (found if isinstance(found, list) else [found]) if isinstance(r, dict) and r)


def _link(row: dict[str, Any]) -> Link:
    info = row.get("linkinfo") or {}
    kind, data = str(info.get("info_kind", "")), info.get("info_data") or {}
    index, flags = int(row["ifindex"]), row.get("flags", ())
    peer = int(row.get("link_index") or 0)
    return Link(
        name=row["ifname"],
        index=index,
        kind=kind,
        mac=row.get("address", ""),
        mtu=int(row.get("mtu") or 0),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        addresses=tuple(_addresses(row.get("addr_info", ()))),
        master=row.get("master", ""),
        state=(info.get("info_slave_data") or {}).get("state", ""),
        peer=0 if kind == "vxlan" else peer,  # a VXLAN that rides on no link in particular names itself
        away="link_netnsid" in row,
        vni=int(data.get("id", 0)) if kind == "vxlan" else 0,
        udp_port=int(data.get("port", 0)) if kind == "vxlan" else 0,
        tag=int(data.get("id", 0)) if kind == "vlan" else 0,
        mode=str(data.get("mode", "")),
    )


def _addresses(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row.get("family") == "inet":
            yield f"{row['local']}/{row['prefixlen']}"


def _route(row: dict[str, Any]) -> Route:
    to = "0.0.0.0/0" if row["dst"] == "default" else row["dst"]
    to = to if "/" in to else f"{to}/32"
    way = next(iter(row.get("nexthops", ())), row)  # of several ways the first
    return Route(to, way.get("dev", ""), way.get("gateway", ""), row.get("prefsrc", ""))

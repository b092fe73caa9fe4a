"""What a network namespace says of itself, by `ip` as busybox and iproute2 print it alike."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINKS = ("ip", "-o", "link")
ADDRESSES = ("ip", "-o", "-4", "addr")
ROUTES = ("ip", "route")
ENDS = ("sh", "-c", "grep . /sys/class/net/*/address /sys/class/net/*/iflink")
"""Prints the MAC of each interface, and the index of its other end."""


@dataclass(frozen=True, slots=True)
class Held:
    """An IPv4 address with its prefix, and the interface that has it."""

    interface: str
    address: str

    @property
    def ip(self) -> str:
        """The address without its prefix."""
        return self.address.partition("/")[0]


def interfaces(text: str) -> dict[str, str]:
    """Return the MAC of each interface by its name, "" where it has none."""
    found = {}
    for line in text.splitlines():
        if head := re.match(r"\d+: ([^:@\s]+)", line):
            mac = re.search(r"link/\w+ ([0-9a-f:]{17})\b", line)
            found[head[1]] = mac[1] if mac else ""
    return found


def addresses(text: str) -> tuple[Held, ...]:
    """Return the IPv4 addresses, in order."""
    return tuple(Held(m[1], m[2]) for m in re.finditer(r"^\d+: (\S+)\s+inet (\S+)", text, re.MULTILINE))


def default_route(text: str) -> tuple[str, str]:
    """Return the gateway and the interface of the default route, ("", "") where there is none."""
    found = re.search(r"^default via (\S+) dev (\S+)", text, re.MULTILINE)
    return (found[1], found[2]) if found else ("", "")


def ends(text: str) -> dict[str, tuple[str, int]]:
    """Return of each interface by its MAC its name, and the index of its other end."""
    macs = dict(re.findall(r"^/sys/class/net/([^/]+)/address:(\S+)$", text, re.MULTILINE))
    peers = dict(re.findall(r"^/sys/class/net/([^/]+)/iflink:(\d+)$", text, re.MULTILINE))
    return {mac: (name, int(peers[name])) for name, mac in macs.items() if name in peers}

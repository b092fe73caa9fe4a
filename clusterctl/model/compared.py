"""Kinds of Docker networks side by side, as measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Compared(StrEnum):
    """A kind of network that is compared, in the order in which they are shown."""

    BRIDGE = "bridge"
    USER_BRIDGE = "user-bridge"
    HOST = "host"
    NONE = "none"
    OVERLAY = "overlay"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that was measured, and what was seen. value: None where there is nothing to measure."""

    value: bool | float | int | None = None
    seen: str = ""


@dataclass(frozen=True, slots=True)
class NearFar:
    """The same for a peer on the same host and for one on another host."""

    near: Cell = field(default_factory=Cell)
    far: Cell = field(default_factory=Cell)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of network.

    missing: why it could not be had here, "" where it was measured. name, address: whether a peer is reached by it.
    by_host, by_outsider: whether the container is reached by its own host, and by a container of another network
    there. mtu: of the container's interface, bytes. payload: the largest of an echo request that passes in one piece,
    bytes. milliseconds: a packet's way there and back. megabits: a second, over TCP.
    """

    network: Compared
    missing: str = ""
    name: NearFar = field(default_factory=NearFar)
    address: NearFar = field(default_factory=NearFar)
    by_host: Cell = field(default_factory=Cell)
    by_outsider: Cell = field(default_factory=Cell)
    mtu: Cell = field(default_factory=Cell)
    payload: Cell = field(default_factory=Cell)
    milliseconds: NearFar = field(default_factory=NearFar)
    megabits: NearFar = field(default_factory=NearFar)

    def document(self) -> dict[str, Any]:
        """Return the row as a JSON-able dict."""
        return asdict(self)

"""How a network is made on one host: what its driver is told there, and what the host must have for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Making:
    """What `docker network create` is told on one host, besides name, driver and subnet.

    range: the part of the subnet that this host's Docker gives addresses from, "" for all of it.
    reserved: addresses that it must not give, by whose they are.
    """

    gateway: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    range: str = ""
    reserved: Mapping[str, str] = field(default_factory=dict)

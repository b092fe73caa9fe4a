"""What Docker has on a host, by name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be cleared; in this order, as each holds on to the next."""

    CONTAINERS = "containers"
    NETWORKS = "networks"
    IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that Docker has. name: how Docker is told of it. what: what it is, for people to recognize it by."""

    host: str
    kind: Kind
    name: str
    what: str
    owner: str = ""

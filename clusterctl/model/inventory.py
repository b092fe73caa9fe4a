"""The hosts and the cluster they are to become, as the user wrote them down."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Role(StrEnum):
    """What a host is for."""

    ETCD = "etcd"
    DOCKER = "docker"


class Host(BaseModel):
    """One machine.

    name: its hostname. address: where SSH reaches it. cluster_address: the IPv4 address that the
    cluster's traffic uses (etcd, gossip, VXLAN); the SSH address unless given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    address: str
    cluster_address: str
    port: int = 22
    user: str = "root"
    key: str = ""
    roles: tuple[Role, ...] = (Role.ETCD, Role.DOCKER)


class Local(BaseModel):
    """How the local provider lays its hosts out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subnet: str = "10.1.1.0/24"
    gateway: str = "10.1.1.254"
    suite: str = "bookworm"
    internet: bool = False


class Cluster(BaseModel):
    """How the daemons become one cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = "etcd"


class Inventory(BaseModel):
    """The whole inventory, every default filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    provider: str
    cluster: Cluster = Cluster()
    hosts: dict[str, Host]
    local: Local = Local()

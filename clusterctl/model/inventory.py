"""The hosts and the cluster they are to become, as the user wrote them down."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from clusterctl.model.names import (
    Address,
    FilePath,
    HostName,
    IPv4,
    LabName,
    Listed,
    OrEmpty,
    Port,
    Subnet,
    Suite,
    UserName,
    Value,
    as_ipv4,
    inside,
    shown,
)
from clusterctl.model.source import Document, parse

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What a host is for."""

    ETCD = "etcd"
    DOCKER = "docker"


class ProviderName(StrEnum):
    """Where hosts come from: made on this machine, or there already."""

    LOCAL = "local"
    SSH = "ssh"


class Store(StrEnum):
    """What makes single daemons one cluster."""

    ETCD = "etcd"


class HostDefaults(Value):
    """What hosts have in common unless they say otherwise."""

    port: Port = Field(default=22, description="The port of the SSH server.")
    user: UserName = Field(
        default="root", description="Who logs in; root, or someone who may use sudo without a password."
    )
    key: Annotated[FilePath, OrEmpty] = Field(
        default="", description="The private key's path; without it, what SSH finds by itself."
    )
    roles: Annotated[tuple[Role, ...], Listed] = Field(
        default=(Role.ETCD, Role.DOCKER), description="What the host is for; both unless given."
    )


class HostEntry(HostDefaults):
    """One machine, as it is written below its name."""

    address: Address = Field(description="Where SSH reaches it: an IPv4 address or a DNS name.")
    cluster_address: Annotated[IPv4, OrEmpty] = Field(
        default="",
        description="The IPv4 address for the cluster's traffic (etcd, gossip, VXLAN); `address` unless set.",
    )


class Host(HostEntry):
    """One machine.

    name: its hostname. address: where SSH reaches it. cluster_address: the IPv4 address that the
    cluster's traffic uses (etcd, gossip, VXLAN); the SSH address unless given.
    """

    name: HostName
    cluster_address: IPv4


class Local(Value):
    """How the local provider lays its hosts out."""

    subnet: Subnet = Field(default="10.1.1.0/24", description="The subnet that the hosts are in.")
    gateway: IPv4 = Field(
        default="10.1.1.254", description="This machine's own address in the subnet; its last one unless given."
    )
    suite: Suite = Field(default="bookworm", description="The Debian release that the hosts run.")
    internet: bool = Field(default=False, description="Whether the hosts reach the internet.")


class Cluster(Value):
    """How the daemons become one cluster."""

    store: Store = Field(default=Store.ETCD, description="What keeps the cluster's shared state.")


class _Common(Value):
    name: LabName = Field(description="The lab's name: lower case, at most 20 characters.")
    provider: ProviderName = Field(
        description="Where the hosts come from: `local` makes them on this machine, `ssh` finds them there."
    )
    cluster: Cluster = Field(default=Cluster(), description="How the daemons become one cluster.")
    local: Local = Field(default=Local(), description="How the local provider lays its hosts out.")


class InventoryFile(_Common):
    """Which hosts there are, and what they are to become."""

    defaults: HostDefaults = Field(default=HostDefaults(), description="What hosts have in common.")
    hosts: dict[HostName, HostEntry] = Field(description="The hosts by name; each a mapping, or just an address.")


class Inventory(_Common):
    """The whole inventory, every default filled in."""

    hosts: dict[str, Host]


def load_inventory(text: str, file: str) -> Inventory:
    """Read an inventory. `file` is its name for messages. Raises InputError with every problem."""
    document = parse(text, file)
    hosts = document.value.get("hosts")
    if isinstance(hosts, dict):
        short = {name for name, entry in hosts.items() if isinstance(entry, str) and document.sound("hosts", name)}
        hosts.update({name: {"address": hosts[name]} for name in short})
    written = document.salvage(InventoryFile, {"name": "lab", "provider": "ssh", "hosts": {}})
    found = _hosts(written, document)
    local = _with_gateway(written.local)
    _check_twins(found, document)
    if document.sound("hosts") and document.sound("defaults"):
        _check_roles(found, document)
    if written.provider is ProviderName.LOCAL and document.sound("local"):
        _check_local(local, found, document)
    document.finish()
    return Inventory(
        name=written.name,
        provider=written.provider,
        cluster=written.cluster,
        hosts=found,
        local=local,
    )


def _with_gateway(local: Local) -> Local:
    """Return the layout with the last address of its subnet as the gateway, unless another one was given."""
    if "gateway" in local.model_fields_set:
        return local
    return local.model_copy(update={"gateway": str(IPv4Network(local.subnet)[-2])})


def _hosts(written: InventoryFile, document: Document) -> dict[str, Host]:
    shared = written.defaults.model_dump(exclude_unset=True)
    hosts: dict[str, Host] = {}
    for name, entry in written.hosts.items():
        fields = {**shared, **entry.model_dump(exclude_unset=True)}
        if not entry.cluster_address:
            reached = as_ipv4(entry.address)
            if reached is None or reached.is_loopback:
                document.add(
                    ("hosts", name, "cluster_address"),
                    f"is missing: other hosts need an IPv4 address, and {shown(entry.address)} "
                    + ("is a name" if reached is None else "reaches only this machine itself"),
                )
                continue
            fields["cluster_address"] = entry.address
        hosts[name] = Host(name=name, **fields)
    return hosts


def _check_twins(hosts: Mapping[str, Host], document: Document) -> None:
    reached: dict[tuple[str, int], str] = {}
    clustered: dict[str, str] = {}
    for name, host in hosts.items():
        twin = reached.setdefault((host.address, host.port), name)
        if twin != name:
            document.add(("hosts", name, "address"), f"{host.address} port {host.port} is {twin} already")
            continue
        twin = clustered.setdefault(host.cluster_address, name)
        if twin != name:
            place = ("hosts", name, "cluster_address")
            document.add(place, f"{host.cluster_address} is the cluster address of {twin} already")


def _check_roles(hosts: Mapping[str, Host], document: Document) -> None:
    for role in Role:
        if not any(role in host.roles for host in hosts.values()):
            document.add(("hosts",), f"at least one host must have the role {role}")


def _check_local(local: Local, hosts: Mapping[str, Host], document: Document) -> None:
    if why := inside(local.gateway, local.subnet):
        document.add(("local", "gateway"), f"{why} (local.subnet)")
    for name, host in hosts.items():
        place = ("hosts", name, "address")
        if as_ipv4(host.address) is None:
            document.add(place, f"must be an IPv4 address in {local.subnet}: the local provider gives it to the host")
        elif why := inside(host.address, local.subnet):
            document.add(place, f"{why} (local.subnet)")
        elif host.address == local.gateway:
            document.add(place, f"{shown(host.address)} is the gateway of {local.subnet} (local.gateway)")
        elif host.cluster_address != host.address:
            document.add(("hosts", name, "cluster_address"), "must be the address: a local host has only one")


def inventory_schema() -> dict[str, Any]:
    """Return the JSON Schema of an inventory as users write it."""
    schema = InventoryFile.model_json_schema()
    address = schema["$defs"]["HostEntry"]["properties"]["address"]
    entries = schema["properties"]["hosts"]["patternProperties"]
    for pattern, entry in entries.items():
        entries[pattern] = {"anyOf": [entry, address]}
    return schema

"""The hosts and the cluster they are to become, as the user wrote them down."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from clusterctl.model.names import (
    Address,
    FilePath,
    HostName,
    IPv4,
    LabName,
    Listed,
    OrEmpty,
    Sha256,
    Subnet,
    Suite,
    Url,
    Value,
    as_ipv4,
    choices,
    inside,
    shown,
    wrong,
)
from clusterctl.model.reach import FOR_SECRETS, EnvName, JumpHost, Reach, check_secrets, check_ways
from clusterctl.model.source import Document, meant, parse
from clusterctl.model.vagrant import Vagrant, check_vagrant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


FROM_ENVIRONMENT = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
"""A value with ${NAME} in it, for the schema."""


class Role(StrEnum):
    """What a host is for."""

    ETCD = "etcd"
    DOCKER = "docker"


class ProviderName(StrEnum):
    """Where hosts come from: made on this machine, or there already."""

    LOCAL = "local"
    SSH = "ssh"
    VAGRANT = "vagrant"


class Store(StrEnum):
    """What makes single daemons one cluster."""

    ETCD = "etcd"


class HostDefaults(Reach):
    """What hosts have in common unless they say otherwise."""

    sudo_password_env: Annotated[EnvName, OrEmpty] = Field(
        default="", description="The environment variable that holds the password for sudo, where it wants one."
    )
    roles: Annotated[tuple[Role, ...], Listed] = Field(
        default=(Role.ETCD, Role.DOCKER), description="What the host is for; both unless given."
    )


class Group(HostDefaults):
    """What some of the hosts have in common; it wins over the defaults, a host wins over it."""

    hosts: Annotated[tuple[HostName, ...], Listed] = Field(description="The hosts in the group, by name.")


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

    def says(self, key: str) -> bool:
        """Whether the inventory gives a value for this key, be it for the host, its group or all hosts."""
        return key in self.model_fields_set


class Local(Value):
    """How the local provider lays its hosts out."""

    subnet: Subnet = Field(default="10.1.1.0/24", description="The subnet that the hosts are in.")
    gateway: IPv4 = Field(
        default="10.1.1.254", description="This machine's own address in the subnet; its last one unless given."
    )
    suite: Suite = Field(default="bookworm", description="The Debian release that the hosts run.")
    internet: bool = Field(default=False, description="Whether the hosts reach the internet.")
    bare: bool = Field(default=False, description="Whether the hosts start without Docker and etcd.")


class Tarball(Value):
    """A release tarball for hosts whose packages do not fit; from a url or a file."""

    url: Annotated[Url, OrEmpty] = Field(default="", description="Downloaded to this machine, once, and kept.")
    file: Annotated[FilePath, OrEmpty] = Field(default="", description="A file on this machine.")
    sha256: Sha256 = Field(description="The checksum that it must have.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.url) == bool(self.file):
            raise wrong("must say where the tarball comes from, once", "one of url, file")
        return self

    @property
    def source(self) -> str:
        """Where it comes from, as the user wrote it."""
        return self.url or self.file

    @property
    def name(self) -> str:
        """Its name without a folder."""
        return self.source.partition("?")[0].rpartition("/")[2] or "tarball"


class Cluster(Value):
    """How the daemons become one cluster."""

    store: Store = Field(default=Store.ETCD, description="What keeps the cluster's shared state.")
    subnet: Annotated[Subnet, OrEmpty] = Field(
        default="",
        description="The subnet that the cluster addresses are in, for networks that share it; known unless `ssh`.",
    )
    range: Annotated[Subnet, OrEmpty] = Field(
        default="",
        description="The part of that subnet that nothing else uses, for containers that share it; must be said with "
        "`ssh`, the upper half elsewhere.",
    )
    etcd: Tarball | None = Field(
        default=None, description="etcd 3.4 or 3.5 as released, for hosts that have no etcd; otherwise a package."
    )
    docker: Tarball | None = Field(
        default=None, description="Docker 20.10's static build, for hosts that have no Docker; otherwise a package."
    )


class _Common(Value):
    name: LabName = Field(description="The lab's name: lower case, at most 20 characters.")
    provider: ProviderName = Field(
        description="Where the hosts come from: `local` makes them on this machine, `vagrant` makes VMs, "
        "`ssh` finds them there."
    )
    cluster: Cluster = Field(default=Cluster(), description="How the daemons become one cluster.")
    local: Local = Field(default=Local(), description="How the local provider lays its hosts out.")
    vagrant: Vagrant = Field(default=Vagrant(), description="How the provider vagrant calls Vagrant.")


class InventoryFile(_Common):
    """Which hosts there are, and what they are to become."""

    defaults: HostDefaults = Field(default=HostDefaults(), description="What hosts have in common.")
    groups: dict[HostName, Group] = Field(default={}, description="Settings for some of the hosts, by any name.")
    jump_hosts: dict[HostName, JumpHost] = Field(
        default={}, description="Machines on the way to hosts, by name; what one does not say is as for the host."
    )
    hosts: dict[HostName, HostEntry] = Field(description="The hosts by name; each a mapping, or just an address.")


class Inventory(_Common):
    """The whole inventory, every default filled in."""

    hosts: dict[str, Host]
    jump_hosts: dict[str, JumpHost] = Field(default={})

    @property
    def underlay(self) -> str:
        """The subnet that the cluster addresses are in, "" where nothing tells."""
        if self.provider is ProviderName.LOCAL:
            return self.local.subnet
        if self.provider is ProviderName.VAGRANT and not self.cluster.subnet:
            # Vagrant's private networks have 24 bits unless a Vagrantfile says otherwise.
            return str(IPv4Network(f"{next(iter(self.hosts.values())).cluster_address}/24", strict=False))
        return self.cluster.subnet


def load_inventory(text: str, file: str, environ: Mapping[str, str] | None = None) -> Inventory:
    """Read an inventory. Raises InputError with every problem.

    file: its name for messages. environ: what ${NAME} in a value stands for.
    """
    document = parse(text, file)
    document.expand(environ or {}, numbers=("port",), never=FOR_SECRETS)
    check_secrets(document)
    hosts = document.value.get("hosts")
    if isinstance(hosts, dict):
        short = {name for name, entry in hosts.items() if isinstance(entry, str) and document.sound("hosts", name)}
        hosts.update({name: {"address": hosts[name]} for name in short})
    written = document.salvage(InventoryFile, {"name": "lab", "provider": "ssh", "hosts": {}})
    found = _hosts(written, document)
    local = _with_gateway(written.local)
    _check_twins(found, document)
    check_ways(
        {
            "hosts": {name: host.jump for name, host in found.items()},
            "jump_hosts": {name: entry.jump for name, entry in written.jump_hosts.items()},
        },
        document,
    )
    if document.sound("hosts") and document.sound("defaults"):
        _check_roles(found, document)
    if document.sound("hosts") and document.sound("cluster"):
        _check_underlay(written, found, document)
    if written.provider is ProviderName.LOCAL and document.sound("local"):
        _check_local(local, found, document)
    if written.provider is ProviderName.VAGRANT:
        check_vagrant(found.values(), document)
    document.finish()
    return Inventory(
        name=written.name,
        provider=written.provider,
        cluster=written.cluster,
        hosts=found,
        jump_hosts=written.jump_hosts,
        local=local,
        vagrant=written.vagrant.seen_from(file),
    )


def _with_gateway(local: Local) -> Local:
    """Return the layout with the last address of its subnet as the gateway, unless another one was given."""
    if "gateway" in local.model_fields_set:
        return local
    return local.model_copy(update={"gateway": str(IPv4Network(local.subnet)[-2])})


def _hosts(written: InventoryFile, document: Document) -> dict[str, Host]:
    shared = written.defaults.model_dump(exclude_unset=True)
    grouped = _grouped(written, document)
    hosts: dict[str, Host] = {}
    for name, entry in written.hosts.items():
        fields = {**shared, **grouped.get(name, {}), **entry.model_dump(exclude_unset=True)}
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


def _grouped(written: InventoryFile, document: Document) -> dict[str, dict[str, Any]]:
    """Return what the groups say for each host. Two groups may not say different things of one."""
    found: dict[str, dict[str, Any]] = {}
    said_by: dict[tuple[str, str], str] = {}
    for group, entry in written.groups.items():
        said = entry.model_dump(exclude_unset=True, exclude={"hosts"})
        for number, host in enumerate(entry.hosts):
            if host not in document.names("hosts"):
                known = document.names("hosts")
                message = f"{shown(host)} is not in hosts{meant(host, known)}"
                document.add(("groups", group, "hosts", number), message, choices(known))
                continue
            for key, value in said.items():
                other = said_by.setdefault((host, key), group)
                if found.setdefault(host, {}).setdefault(key, value) != value:
                    document.add(("groups", group, key), f"group {other} says something else for {host}")
    return found


def _check_twins(hosts: Mapping[str, Host], document: Document) -> None:
    # Behind different jump hosts one address may be two machines.
    reached: dict[tuple[str, int, tuple[str, ...]], str] = {}
    clustered: dict[str, str] = {}
    for name, host in hosts.items():
        twin = reached.setdefault((host.address, host.port, host.jump), name)
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


def _check_underlay(written: InventoryFile, hosts: Mapping[str, Host], document: Document) -> None:
    subnet, part = written.cluster.subnet, written.cluster.range
    if part and subnet and not IPv4Network(part).subnet_of(IPv4Network(subnet)):
        document.add(("cluster", "range"), f"{part} is not in {subnet} (cluster.subnet)")
    if not subnet:
        return
    if written.provider is ProviderName.LOCAL:
        document.add(("cluster", "subnet"), "means nothing with the local provider: it is local.subnet")
        return
    for host in hosts.values():
        if why := inside(host.cluster_address, subnet):
            document.add(("cluster", "subnet"), f"{why}: the cluster address of {host.name}")


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
        for key in ("jump", *FOR_SECRETS):
            if getattr(host, key):
                document.add(("hosts", name, key), "means nothing with the local provider, which makes its own keys")


def inventory_schema() -> dict[str, Any]:
    """Return the JSON Schema of an inventory as users write it."""
    schema = InventoryFile.model_json_schema()
    schema["$defs"]["FromEnvironment"] = FROM_ENVIRONMENT
    for part in (schema, *schema["$defs"].values()):
        for key, value in part.get("properties", {}).items():
            narrow = value.get("type") == "integer" or value.keys() & {"pattern", "format"}
            if narrow and key not in FOR_SECRETS:
                told = {k: value.pop(k) for k in ("description", "title", "default") if k in value}
                part["properties"][key] = {"anyOf": [value, {"$ref": "#/$defs/FromEnvironment"}], **told}
    address = schema["$defs"]["HostEntry"]["properties"]["address"]
    entries = schema["properties"]["hosts"]["patternProperties"]
    for pattern, entry in entries.items():
        entries[pattern] = {"anyOf": [entry, address]}
    return schema

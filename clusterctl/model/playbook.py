"""What to build on the hosts, and what must hold afterwards."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, SerializeAsAny, model_validator

from clusterctl.model.inventory import ProviderName, Role, inventory_schema
from clusterctl.model.names import (
    ALL,
    DockerName,
    FilePath,
    HostName,
    ImageReference,
    ImageTag,
    IPv4,
    LessonName,
    Listed,
    NetworkName,
    OptionName,
    OrEmpty,
    Subnet,
    Value,
    as_ipv4,
    choices,
    familiar,
    inside,
    shown,
    wrong,
)
from clusterctl.model.source import Document, meant, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from clusterctl.model.inventory import Inventory
    from clusterctl.model.source import Path


class Driver(StrEnum):
    """The kind of a Docker network."""

    OVERLAY = "overlay"
    BRIDGE = "bridge"


class NetworkEntry(Value):
    """A Docker network, as it is written below its name."""

    driver: Driver = Field(description="`overlay` spans the hosts, `bridge` stays on each.")
    # Without one Docker picks from 10.0.0.0/8, where the hosts may be.
    subnet: Subnet = Field(description="The containers' subnet; apart from the hosts' addresses.")
    gateway: Annotated[IPv4, OrEmpty] = Field(
        default="", description="The gateway's address; Docker picks one without it."
    )
    options: dict[OptionName, str] = Field(default={}, description="Options for the driver, as they are.")


class Network(NetworkEntry):
    """A Docker network. options go to the driver as they are."""

    name: NetworkName


class ImageEntry(Value):
    """Where an image comes from; exactly one of the three."""

    build: Literal["", "busybox"] = Field(
        default="",
        description="Made on the host; busybox: from Debian's busybox-static.",
        json_schema_extra={"enum": ["busybox"]},
    )
    pull: Annotated[ImageReference, OrEmpty] = Field(default="", description="Pulled from a registry.")
    load: Annotated[FilePath, OrEmpty] = Field(
        default="", description="A tar on this machine, as `docker save` writes it."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.build, self.pull, self.load))) != 1:
            raise wrong("must say where the image comes from, once", "one of build, pull, load")
        return self


class Image(ImageEntry):
    """Where an image comes from; exactly one of the three.

    build: made on the host ("busybox": from Debian's busybox-static). pull: a registry reference.
    load: a tar on the controller.
    """

    tag: ImageTag


PROBE = Image(tag="clusterctl/probe:1", build="busybox")
"""The image of containers that name none: small, made on the host, with ping and a shell."""


class ContainerEntry(Value):
    """One container, as it is written below its name."""

    host: HostName = Field(description="The host that it runs on.")
    image: ImageTag = Field(
        default=PROBE.tag,
        description="One of `images`, or one to be pulled; a small one with ping unless given.",
    )
    networks: Annotated[tuple[NetworkName, ...], Listed] = Field(
        description="The networks that it is on, the first one first."
    )
    command: tuple[str, ...] = Field(default=(), description="What it runs, word by word; it just stays unless given.")


class Container(ContainerEntry):
    """One container on one host."""

    name: DockerName


class Expectation(Value):
    """Something that must hold. Each kind is a subclass in `clusterctl.checks`, named by its key."""

    def containers(self) -> tuple[str, ...]:
        """Return the containers that it names; "all" stands for each."""
        return ()

    def networks(self) -> tuple[str, ...]:
        """Return the networks that it names; "all" stands for each."""
        return ()

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that it names; "all" stands for each."""
        return ()


class _Common(Value):
    name: LessonName = Field(description="The playbook's name: lower case letters, digits and '-'.")
    lesson: str = Field(default="", description="What there is to learn from it, in a sentence.")


class PlaybookFile(_Common):
    """What to build on the hosts, and what must hold afterwards."""

    networks: dict[NetworkName, NetworkEntry] = Field(default={}, description="The networks by name.")
    images: dict[ImageTag, ImageEntry] = Field(default={}, description="Where images come from, by tag.")
    containers: dict[DockerName, ContainerEntry] = Field(default={}, description="The containers by name.")
    expect: tuple[Any, ...] = Field(default=(), description="What must hold, in this order.")


class Playbook(_Common):
    """The whole playbook, every default filled in."""

    networks: dict[str, Network] = Field(default={})
    images: dict[str, Image] = Field(default={})
    containers: dict[str, Container] = Field(default={})
    expect: tuple[SerializeAsAny[Expectation], ...] = ()


def load_playbook(text: str, file: str, kinds: Mapping[str, type[Expectation]]) -> Playbook:
    """Read a playbook.

    file: its name for messages. kinds: the expectations that there are, by their keys.
    Raises InputError with every problem.
    """
    document = parse(text, file)
    written = document.salvage(PlaybookFile, {"name": "playbook"})
    _check_networks(written.networks, document)
    _check_images(document)
    _check_containers(written.containers, document)
    expect = [_expectation(i, item, kinds, document) for i, item in enumerate(written.expect)]
    document.finish()
    images = {tag: Image(tag=tag, **entry.model_dump(exclude_unset=True)) for tag, entry in written.images.items()}
    for container in written.containers.values():
        tag = container.image
        images.setdefault(tag, PROBE if tag == PROBE.tag else Image(tag=tag, pull=tag))
    return Playbook(
        name=written.name,
        lesson=written.lesson,
        networks={n: Network(name=n, **e.model_dump(exclude_unset=True)) for n, e in written.networks.items()},
        images=images,
        containers={n: Container(name=n, **e.model_dump(exclude_unset=True)) for n, e in written.containers.items()},
        expect=tuple(e for e in expect if e),
    )


def _check_networks(networks: Mapping[str, NetworkEntry], document: Document) -> None:
    for name, network in networks.items():
        if network.gateway and (why := inside(network.gateway, network.subnet)):
            document.add(("networks", name, "gateway"), f"{why} (networks.{name}.subnet)")
    for (name, one), (other, two) in combinations(networks.items(), 2):
        if IPv4Network(one.subnet).overlaps(IPv4Network(two.subnet)):
            document.add(("networks", other, "subnet"), f"{two.subnet} overlaps {one.subnet} of network {name}")


def _check_images(document: Document) -> None:
    seen: dict[str, str] = {}
    for tag in document.names("images"):
        first = seen.setdefault(familiar(tag), tag)
        if first != tag:
            document.add(("images", tag), f"is the same image as {shown(first)}")


def _check_containers(containers: Mapping[str, ContainerEntry], document: Document) -> None:
    for name, container in containers.items():
        place = ("containers", name)
        for i, network in enumerate(container.networks):
            _check_known("network", network, document.names("networks"), (*place, "networks", i), document)
        if container.command and (not container.command[0] or container.command[0].startswith("-")):
            document.add((*place, "command", 0), f"{shown(container.command[0])} is not a program")


def _check_known(what: str, name: str, known: Iterable[str], place: Path, document: Document) -> None:
    """Note a name under `expect` or `containers` that is not declared."""
    known = tuple(known)
    if name not in known:
        document.add(place, f"there is no {what} {shown(name)}{meant(name, known)}", choices(known) or f"no {what}s")


def _expectation(
    index: int, item: Any, kinds: Mapping[str, type[Expectation]], document: Document
) -> Expectation | None:
    place: Path = ("expect", index)
    if not isinstance(item, dict) or len(item) != 1:
        document.add(place, "must be one kind of expectation and its values, as in  - ping: {from: a1, to: a2}")
        return None
    ((kind, params),) = item.items()
    place = (*place, kind)
    if kind not in kinds:
        document.add(place, f"is not a known expectation{meant(kind, kinds)}", choices(sorted(kinds)))
        return None
    expectation, _ = document.read(kinds[kind], {} if params is None else params, place)
    if expectation:
        for name in expectation.containers():
            _check_named("container", name, document.names("containers"), place, document)
        for name in expectation.networks():
            _check_named("network", name, document.names("networks"), place, document)
    return expectation


def _check_named(what: str, name: str, known: Iterable[str], place: Path, document: Document) -> None:
    """Note a name in an expectation that is not declared, where it was written."""
    _check_known(what, name, (*known, ALL), document.find(name, place), document)


def check_together(inventory: Inventory, playbook: Playbook, text: str, file: str) -> None:
    """Check a playbook against the hosts that it is for.

    text, file: the playbook as it was read, for the places of problems. Raises InputError with every one.
    """
    document = parse(text, file)
    for name, container in playbook.containers.items():
        place = ("containers", name, "host")
        host = inventory.hosts.get(container.host)
        if host is None:
            _check_known("host", container.host, inventory.hosts, place, document)
        elif Role.DOCKER not in host.roles:
            able = (h.name for h in inventory.hosts.values() if Role.DOCKER in h.roles)
            document.add(place, f"{host.name} does not have the role {Role.DOCKER}", choices(able))
    for network in playbook.networks.values():
        if why := _collision(IPv4Network(network.subnet), inventory):
            document.add(("networks", network.name, "subnet"), f"{network.subnet} {why}")
    for i, expectation in enumerate(playbook.expect):
        for name in expectation.hosts():
            _check_named("host", name, inventory.hosts, ("expect", i), document)
    document.finish()


def _collision(subnet: IPv4Network, inventory: Inventory) -> str:
    """Return what a network must not share with the hosts, "" where there is nothing."""
    local = inventory.local.subnet
    if inventory.provider is ProviderName.LOCAL and subnet.overlaps(IPv4Network(local)):
        return f"overlaps {local}, where the hosts are"
    for host in inventory.hosts.values():
        for address in (host.address, host.cluster_address):
            ip = as_ipv4(address)
            if ip and ip in subnet:
                return f"contains {address}, an address of the host {host.name}"
    return ""


def json_schema(
    which: Literal["inventory", "playbook"], kinds: Mapping[str, type[Expectation]] | None = None
) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an inventory or a playbook as users write it, for editors."""
    schema = inventory_schema() if which == "inventory" else _playbook_schema(kinds or {})
    _close(schema)
    title = f"clusterctl {which}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def _close(node: Any) -> None:
    """Forbid every key that no pattern names."""
    if isinstance(node, dict) and "patternProperties" in node:
        node["additionalProperties"] = False
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            _close(inner)


def _playbook_schema(kinds: Mapping[str, type[Expectation]]) -> dict[str, Any]:
    from pydantic.json_schema import models_json_schema

    models: list[type[BaseModel]] = [PlaybookFile, *kinds.values()]
    refs, shared = models_json_schema([(model, "validation") for model in models])
    definitions = shared["$defs"]
    schema: dict[str, Any] = definitions.pop("PlaybookFile")
    schema["properties"]["expect"]["items"] = {
        "type": "object",
        "properties": {kind: refs[model, "validation"] for kind, model in kinds.items()},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {**schema, "$defs": definitions}

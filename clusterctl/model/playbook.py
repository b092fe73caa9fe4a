"""What to build on the hosts, and what must hold afterwards."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    Tag,
    model_validator,
)

from clusterctl.model.containers import check_containers, check_known
from clusterctl.model.inventory import ProviderName, Role, inventory_schema
from clusterctl.model.lan import (
    CLUSTER,
    Mode,
    Parent,
    Range,
    SubnetOrCluster,
    Vlan,
    check_entries,
    check_shares,
    on_the_wire,
    settled,
)
from clusterctl.model.names import (
    ALL,
    Capability,
    DockerName,
    FilePath,
    HostName,
    ImageReference,
    ImageTag,
    IPv4,
    LessonName,
    Link,
    Listed,
    NetworkMode,
    NetworkName,
    OptionName,
    OrEmpty,
    Publish,
    Value,
    as_ipv4,
    choices,
    familiar,
    inside,
    shown,
    wrong,
)
from clusterctl.model.source import Document, meant, parse
from clusterctl.model.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from clusterctl.model.inventory import Inventory
    from clusterctl.model.source import Path


class Driver(StrEnum):
    """The kind of a Docker network."""

    OVERLAY = "overlay"
    BRIDGE = "bridge"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


class NetworkEntry(Value):
    """A Docker network, as it is written below its name."""

    driver: Driver = Field(
        description="`overlay` spans the hosts, `bridge` stays on each; `macvlan` and `ipvlan` are on an interface "
        "of the hosts themselves."
    )
    # Without one Docker picks from 10.0.0.0/8, where the hosts may be.
    subnet: SubnetOrCluster = Field(
        description="The containers' subnet; apart from the hosts' addresses, or, with macvlan and ipvlan, `cluster` "
        "for the one that the hosts are in."
    )
    gateway: Annotated[IPv4, OrEmpty] = Field(
        default="", description="The gateway's address; Docker picks one without it."
    )
    parent: Parent = CLUSTER
    vlan: Vlan = None
    range: Range = ""
    mode: Mode = ""
    options: dict[OptionName, str] = Field(default={}, description="Options for the driver, as they are.")

    @property
    def spans(self) -> bool:
        """Whether it may join hosts; a bridge is each host's own."""
        return self.driver is not Driver.BRIDGE


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


class Attachment(Value):
    """How a container is on one network."""

    address: Annotated[IPv4, OrEmpty] = Field(default="", description="Its address there; Docker picks one without it.")
    aliases: Annotated[tuple[DockerName, ...], Listed] = Field(
        default=(), description="Further names that it has there."
    )


def _form(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "list"


def _attached(value: tuple[str, ...] | dict[str, Attachment | None]) -> dict[str, Attachment]:
    if not value:
        raise wrong("must have at least one in it")
    given = value if isinstance(value, dict) else dict.fromkeys(value)
    return {name: attachment or Attachment() for name, attachment in given.items()}


if TYPE_CHECKING:
    Attached = dict[str, Attachment]
else:
    Attached = Annotated[
        Annotated[tuple[NetworkName, ...], Listed, Tag("list")]
        | Annotated[dict[NetworkName, Attachment | None], Tag("mapping")],
        Discriminator(_form),
        AfterValidator(_attached),
    ]
"""Networks as a list of their names, or as a mapping that says more of each; always a mapping once read."""

BRIDGE, HOST, NONE, CONTAINER = "bridge", "host", "none", "container:"
"""Docker's own networks: what `docker run --network` takes besides the names of the user's."""


class ContainerEntry(Value):
    """One container, as it is written below its name."""

    host: HostName = Field(description="The host that it runs on.")
    image: ImageTag = Field(
        default=PROBE.tag,
        description="One of `images`, or one to be pulled; a small one with ping unless given.",
    )
    network_mode: Annotated[NetworkMode, OrEmpty] = Field(
        default="",
        description="Instead of networks of your own: Docker's default bridge, the host's network, none, "
        "or that of another container (`container:NAME`).",
    )
    networks: Attached = Field(
        default={},
        description="The networks that it is on, the first one first; it is connected to the further ones once it "
        "runs. With `network_mode: bridge` it is connected to all of them so.",
    )
    links: Annotated[tuple[Link, ...], Listed] = Field(
        default=(), description="Containers on the default bridge that it knows by name, as `--link` does."
    )
    publish: Annotated[tuple[Publish, ...], Listed] = Field(
        default=(), description="Ports of the host that lead to it: HOST:CONTAINER."
    )
    capabilities: Annotated[tuple[Capability, ...], Listed] = Field(
        default=(), description="What it may do besides what Docker allows every container, such as NET_ADMIN."
    )
    sysctls: dict[OptionName, str] = Field(
        default={}, description='Settings of its network, such as net.ipv4.ip_forward: "1" for a router.'
    )
    command: tuple[str, ...] = Field(default=(), description="What it runs, word by word; it just stays unless given.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if not self.networks and not self.network_mode:
            raise wrong("must say what network it is on", "networks, network_mode")
        own = self.network_mode not in ("", BRIDGE)
        for key, has in (("networks", self.networks), ("links", self.links), ("publish", self.publish)):
            if own and has:
                raise wrong(f"cannot have {key} with network_mode {shown(self.network_mode)}")
        if self.links and self.network_mode != BRIDGE:
            raise wrong(f"links are for the default bridge alone: with network_mode {BRIDGE}")
        return self


class Container(ContainerEntry):
    """One container on one host."""

    name: DockerName

    @property
    def shares(self) -> str:
        """The name of the container whose network it shares, "" where it has one of its own."""
        return self.network_mode.removeprefix(CONTAINER) if self.network_mode.startswith(CONTAINER) else ""

    @property
    def linked(self) -> dict[str, str]:
        """The containers that it is linked to, each with the name that it knows it by."""
        return {name: alias or name for name, _, alias in (link.partition(":") for link in self.links)}

    @property
    def leans_on(self) -> tuple[str, ...]:
        """The containers that must run before it."""
        return (self.shares,) if self.shares else tuple(self.linked)

    @property
    def on_bridge(self) -> bool:
        """Whether it is on Docker's default bridge from the first."""
        return self.network_mode == BRIDGE

    @property
    def attached(self) -> tuple[str, ...]:
        """The networks that it has an address of its own on, Docker's default bridge among them."""
        return ((BRIDGE,) if self.on_bridge else ()) + tuple(self.networks)


class Expectation(Value):
    """Something that must hold. Each kind is a subclass in `clusterctl.checks`, named by its key."""

    _why: Text = PrivateAttr(default=Text())

    @property
    def why(self) -> Text:
        """Why it is so, for learners."""
        return self._why

    def tries_on(self) -> tuple[str, ...]:
        """Return the hosts on which it runs a container of its own for a moment."""
        return ()

    def because(self, why: Text) -> Self:
        """Return the same expectation with this reason."""
        same = self.model_copy()
        same._why = why
        return same

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
    chapter: int = Field(default=0, ge=0, le=99, description="Its place in the course; 0 where it has none.")
    lesson: Text = Field(default=Text(), description="What there is to learn from it, in a sentence.")
    about: Text = Field(default=Text(), description="What learners read before they begin.")


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

    def in_order(self, host: str = "") -> tuple[Container, ...]:
        """Return the containers (of one host), each after those that it leans on; else as they are written."""
        found: dict[str, Container] = {}

        def put(container: Container) -> None:
            for name in container.leans_on:
                put(self.containers[name])
            found.setdefault(container.name, container)

        for container in self.containers.values():
            put(container)
        return tuple(c for c in found.values() if host in ("", c.host))

    def attached(self, container: Container) -> tuple[str, ...]:
        """Return the networks that a container has an address on, its own or by the one that it shares it with."""
        return (self.containers[container.shares] if container.shares else container).attached

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it needs."""
        return tuple(
            sorted({c.host for c in self.containers.values()} | {h for e in self.expect for h in e.tries_on()})
        )

    def images_on(self, host: str) -> tuple[str, ...]:
        """Return the images that a host needs: those of its containers, or the one of those that are tried there."""
        found = dict.fromkeys(c.image for c in self.containers.values() if c.host == host)
        tried = any(host in e.tries_on() for e in self.expect)
        return tuple(found) or ((PROBE.tag,) if tried else ())


def load_playbook(text: str, file: str, kinds: Mapping[str, type[Expectation]]) -> Playbook:
    """Read a playbook.

    file: its name for messages. kinds: the expectations that there are, by their keys.
    Raises InputError with every problem.
    """
    document = parse(text, file)
    written = document.salvage(PlaybookFile, {"name": "playbook"})
    _check_networks(written.networks, document)
    check_entries(written.networks, written.containers, document)
    _check_images(document)
    containers = {n: Container(name=n, **e.model_dump(exclude_unset=True)) for n, e in written.containers.items()}
    check_containers(containers, written.networks, document)
    expect = [_expectation(i, item, kinds, document) for i, item in enumerate(written.expect)]
    document.finish()
    images = {tag: Image(tag=tag, **entry.model_dump(exclude_unset=True)) for tag, entry in written.images.items()}
    for container in written.containers.values():
        tag = container.image
        images.setdefault(tag, PROBE if tag == PROBE.tag else Image(tag=tag, pull=tag))
    if any(e.tries_on() for e in expect if e):
        images.setdefault(PROBE.tag, PROBE)
    return Playbook(
        **{key: getattr(written, key) for key in _Common.model_fields},
        networks={n: Network(name=n, **e.model_dump(exclude_unset=True)) for n, e in written.networks.items()},
        images=images,
        containers=containers,
        expect=tuple(e for e in expect if e),
    )


def _check_networks(networks: Mapping[str, NetworkEntry], document: Document) -> None:
    for name, network in networks.items():
        if network.gateway and network.subnet != CLUSTER and (why := inside(network.gateway, network.subnet)):
            document.add(("networks", name, "gateway"), f"{why} (networks.{name}.subnet)")
    _check_overlaps({n: v for n, v in networks.items() if v.subnet != CLUSTER}, document)


def _check_overlaps(networks: Mapping[str, NetworkEntry], document: Document) -> None:
    for (name, one), (other, two) in combinations(networks.items(), 2):
        if IPv4Network(one.subnet).overlaps(IPv4Network(two.subnet)):
            document.add(("networks", other, "subnet"), f"{two.subnet} overlaps {one.subnet} of network {name}")


def _check_images(document: Document) -> None:
    seen: dict[str, str] = {}
    for tag in document.names("images"):
        first = seen.setdefault(familiar(tag), tag)
        if first != tag:
            document.add(("images", tag), f"is the same image as {shown(first)}")


def _expectation(
    index: int, item: Any, kinds: Mapping[str, type[Expectation]], document: Document
) -> Expectation | None:
    place: Path = ("expect", index)
    why: Text | None = None
    if isinstance(item, dict) and "why" in item:
        why, _ = document.read(Text, item["why"], (*place, "why"))
        item = {key: value for key, value in item.items() if key != "why"}
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
    return expectation.because(why) if expectation and why else expectation


def _check_named(what: str, name: str, known: Iterable[str], place: Path, document: Document) -> None:
    """Note a name in an expectation that is not declared, where it was written."""
    check_known(what, name, (*known, ALL), document.find(name, place), document)


def check_together(inventory: Inventory, playbook: Playbook, text: str, file: str) -> Playbook:
    """Check a playbook against the hosts that it is for. Returns it with what the hosts settle in it.

    text, file: the playbook as it was read, for the places of problems. Raises InputError with every one.
    """
    document = parse(text, file)
    for name, container in playbook.containers.items():
        place = ("containers", name, "host")
        host = inventory.hosts.get(container.host)
        if host is None and len(playbook.hosts) > len(inventory.hosts):
            few = f"the playbook needs {len(playbook.hosts)}, the inventory has {len(inventory.hosts)}"
            document.add(place, f"there is no host {shown(container.host)}: {few}", choices(inventory.hosts))
        elif host is None:
            check_known("host", container.host, inventory.hosts, place, document)
        elif Role.DOCKER not in host.roles:
            able = (h.name for h in inventory.hosts.values() if Role.DOCKER in h.roles)
            document.add(place, f"{host.name} does not have the role {Role.DOCKER}", choices(able))
    networks = settled(playbook.networks, inventory, document)
    check_shares(networks.values(), playbook.containers, inventory, document)
    _check_overlaps({n: v for n, v in networks.items() if v.subnet != CLUSTER}, document)
    for network in networks.values():
        if not on_the_wire(network) and (why := _collision(IPv4Network(network.subnet), inventory)):
            document.add(("networks", network.name, "subnet"), f"{network.subnet} {why}")
    for i, expectation in enumerate(playbook.expect):
        for name in expectation.hosts():
            _check_named("host", name, inventory.hosts, ("expect", i), document)
    document.finish()
    return playbook.model_copy(update={"networks": networks})


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

    models: list[type[BaseModel]] = [PlaybookFile, Text, *kinds.values()]
    refs, shared = models_json_schema([(model, "validation") for model in models])
    definitions = shared["$defs"]
    schema: dict[str, Any] = definitions.pop("PlaybookFile")
    schema["properties"]["expect"]["items"] = {
        "type": "object",
        "properties": {
            **{kind: refs[model, "validation"] for kind, model in kinds.items()},
            "why": refs[Text, "validation"],
        },
        "oneOf": [{"required": [kind]} for kind in kinds],
        "additionalProperties": False,
    }
    return {**schema, "$defs": definitions}

"""What was read from the hosts, as values. Nothing here is guessed from what we did before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class File:
    """A file on a host. `content` is empty for files that are never read (private keys).

    modified: seconds since the epoch, by the host's clock.
    """

    content: str
    mode: int = 0o644
    owner: str = "root:root"
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit: `active` and `enabled` in systemd's own words, `started` in epoch seconds (0: never)."""

    active: str = "inactive"
    enabled: str = ""
    loaded: bool = True
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address on an interface, with the interface's MTU in bytes."""

    interface: str
    ip: str
    prefix: int
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket and the name of the process that holds it ("" where it cannot be seen)."""

    proto: str
    ip: str
    port: int
    process: str


GATEWAY_BRIDGE = "docker_gwbridge"
"""Docker makes this bridge by itself with the first overlay endpoint: the containers' way out."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a network. Endpoints on other hosts show an id that starts with "ep-"."""

    name: str
    container_id: str
    mac: str
    ip: str


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A Docker network as one daemon sees it. range: the part of the subnet that it gives addresses from."""

    id: str
    name: str
    driver: str
    scope: str
    subnet: str = ""
    gateway: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    range: str = ""

    @property
    def spans(self) -> bool:
        """Whether it is one network on all hosts, by a cluster store ("global") or by Swarm."""
        return self.scope != "local"


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """A container: `state` in Docker's words; `networks` maps a network's name to (ip, mac).

    mode: what it was run with as its network, in Docker's words, such as `bridge` or `container:ID`.
    """

    id: str
    name: str
    image: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    mode: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image: its id, tags and labels."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """What a running daemon says of itself. `store` and `advertise` are empty without a cluster store."""

    version: str
    store: str = ""
    advertise: str = ""
    swarm: str = "inactive"
    networks: Mapping[str, NetworkFacts] = field(default_factory=dict)
    containers: Mapping[str, ContainerFacts] = field(default_factory=dict)
    images: tuple[ImageFacts, ...] = ()

    def has_image(self, tag: str) -> bool:
        """Whether an image of this tag is on the host."""
        return any(tag in image.tags for image in self.images)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host as it was found.

    docker is None while the daemon does not run (asking would start it by socket activation).
    records: what clusterctl wrote down on the host before it changed it, by name.
    clock: the host's time minus the controller's, seconds.
    astray: how many of dockerd's threads are in network namespaces that Docker has removed. libnetwork gives the
    thread that watched an overlay back to Go without leaving the overlay's namespace (20.10, `watchMiss` in
    drivers/overlay/ov_network.go); what runs on it later asks the store, or looks at the host, from nowhere.
    aged: whether Docker has made an overlay's namespace ten times and more since it started: then it does not find it
    again when it is restarted under its containers (libnetwork, `GenerateKey` in osl/namespace_linux.go, looks for
    ten characters of the network's id where no more than nine had room).
    programs: a line a daemon's program: its name, which file it is, and what it says of its version.
    links: its interfaces by name. devices: how its kernel has the kinds of devices that were asked for.
    """

    name: str
    hostname: str = ""
    user: str = "root"
    root: bool = True
    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    kernel: str = ""
    arch: str = ""
    machine_id: str = ""
    systemd: bool = True
    clock: float = 0.0
    memory_mb: int = 0
    disk_free_mb: int = 0
    addresses: tuple[Address, ...] = ()
    links: frozenset[str] = frozenset()
    devices: Mapping[str, str] = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    programs: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    tools: frozenset[str] = frozenset()
    files: Mapping[str, File] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()
    astray: int = 0
    aged: bool = False
    docker: DockerFacts | None = None

    def file(self, path: str) -> File | None:
        """Return the file at `path`, or None where there is none."""
        return self.files.get(path)

    def content(self, path: str) -> str:
        """Return the content of the file at `path`, "" where there is none."""
        found = self.files.get(path)
        return found.content if found else ""

    def unit(self, name: str) -> Unit:
        """Return the unit of that name; one that is not loaded where systemd does not know it."""
        return self.units.get(name, Unit(loaded=False))

    def interface(self, ip: str) -> str:
        """Return the name of the interface that has this address, "" where none has."""
        return next((a.interface for a in self.addresses if a.ip == ip), "")

    def with_file(self, path: str, file: File | None) -> HostFacts:
        """Return the facts as they are once the file was written (None: removed)."""
        files = {k: v for k, v in self.files.items() if k != path}
        if file is not None:
            files[path] = file
        return replace(self, files=files)

    def with_unit(self, name: str, unit: Unit) -> HostFacts:
        """Return the facts as they are once the unit is in this state."""
        return replace(self, units={**self.units, name: unit})

    def with_record(self, name: str, value: str) -> HostFacts:
        """Return the facts as they are once this was recorded (a record is never overwritten)."""
        return replace(self, records={name: value, **self.records})


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the cluster store, as the store itself lists it. Until it has started it has no name."""

    id: int
    name: str
    peer: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The cluster store by its own word.

    answers: what each host says that runs a member, "" when all is well.
    lists: the members that each healthy one knows of. daemons: the addresses that dockerds announced in it.
    networks: the names of the networks that they keep in it.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)
    daemons: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()

    @property
    def members(self) -> tuple[Member, ...]:
        """The members, by the largest cluster that is healthy; empty where none is."""
        return max((self.lists.get(h, ()) for h in self.healthy), key=len, default=())

    @property
    def healthy(self) -> tuple[str, ...]:
        """The hosts whose member is healthy; one alone proves that a majority is."""
        return tuple(host for host, why in self.answers.items() if not why)

    def member(self, peer: str) -> Member | None:
        """Return the member with this peer URL."""
        return next((m for m in self.members if m.peer == peer), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known: the hosts that answered, those that did not and why, and the machine we run on.

    machine: what the provider of the hosts found on the controller; its type is the provider's own.
    store: None while no host runs a member.
    """

    hosts: Mapping[str, HostFacts] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    machine: Any = field(default=None)
    store: StoreFacts | None = None

    def with_host(self, host: HostFacts) -> Facts:
        """Return the facts with this host's replaced."""
        missing = {k: v for k, v in self.missing.items() if k != host.name}
        return replace(self, hosts={**self.hosts, host.name: host}, missing=missing)

    def docker(self, host: str) -> DockerFacts | None:
        """Return what the daemon on `host` said, None where it is not running or the host not known."""
        found = self.hosts.get(host)
        return found.docker if found else None

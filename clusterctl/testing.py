"""Fakes of the doors, for tests of decisions and of the runner: they remember what was asked and answer at once.

door = FakeDoor("docker1", {"systemctl restart docker": (1, "", "Job failed")})
door.run(command("systemctl", "restart", "docker")).exit_code == 1
door.lines == ["systemctl restart docker"]
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clusterctl.model.errors import HostError
from clusterctl.model.facts import ContainerFacts, DockerFacts, ImageFacts, Member, NetworkFacts
from clusterctl.model.playbook import BRIDGE, CONTAINER, HOST, NONE
from clusterctl.plan.command import Command, Result
from clusterctl.plan.door import Exec, MemberHealth, MemberStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clusterctl.model.facts import Facts
    from clusterctl.model.playbook import Attachment
    from clusterctl.plan.door import DockerDoor, Door, EtcdDoor
    from clusterctl.plan.phase import Section
    from clusterctl.plan.runner import Reader

Answer = tuple[int, str, str]
"""An exit code, standard output and standard error."""

DONE: Answer = (0, "", "")


@dataclass
class FakeDocker:
    """A daemon in memory. `state` is what it has; `calls` what it was asked to change, in order."""

    host: str = "host"
    state: DockerFacts = field(default_factory=lambda: DockerFacts(version="20.10.24"))
    answers: Callable[[str, Sequence[str]], Exec] = lambda container, argv: Exec(0, "")
    calls: list[str] = field(default_factory=list)

    def _error(self, message: str) -> HostError:
        return HostError(self.host, message)

    def facts(self) -> DockerFacts:
        """Return what it has."""
        return self.state

    def create_network(
        self,
        name: str,
        driver: str,
        subnet: str,
        gateway: str,
        options: Mapping[str, str],
        labels: Mapping[str, str],
        range: str = "",
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        """Create a network; a name that is taken is an error."""
        self.calls.append(f"create network {name}")
        if name in self.state.networks:
            raise self._error(f"create network {name}: network with name {name} already exists")
        scope = "global" if driver == "overlay" else "local"
        made = NetworkFacts(
            f"id-{name}", name, driver, scope, subnet, gateway, dict(labels), dict(options), range=range
        )
        self.state = replace(self.state, networks={**self.state.networks, name: made})

    def remove_network(self, name: str) -> None:
        """Remove a network; quiet when there is none."""
        self.calls.append(f"remove network {name}")
        self.state = replace(self.state, networks={k: v for k, v in self.state.networks.items() if k != name})

    def connect(self, network: str, container: str, attachment: Attachment | None = None) -> None:
        """Attach a container to one more network."""
        self.calls.append(f"connect {container} to {network}")
        found = self._container(container)
        if network not in self.state.networks:
            raise self._error(f"connect {container} to {network}: network {network} not found")
        self._put(replace(found, networks={**found.networks, network: ("", "")}))

    def disconnect(self, network: str, endpoint: str) -> None:
        """Force an endpoint off a network."""
        self.calls.append(f"disconnect {endpoint} from {network}")
        found = self.state.networks.get(network)
        if found:
            left = tuple(e for e in found.endpoints if e.name != endpoint)
            networks = {**self.state.networks, network: replace(found, endpoints=left)}
            self.state = replace(self.state, networks=networks)

    def run(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        network: str,
        labels: Mapping[str, str],
        options: Mapping[str, object],
        attachment: Attachment | None = None,
    ) -> None:
        """Run a container; a name that is taken and a network or an image that is not there are errors."""
        self.calls.append(f"run {name}")
        shared = self.state.containers.get(network.removeprefix(CONTAINER))
        own = network not in (BRIDGE, HOST, NONE) and not network.startswith(CONTAINER)
        if name in self.state.containers:
            raise self._error(f"run container {name}: the name is already in use")
        if (own and network not in self.state.networks) or (network.startswith(CONTAINER) and not shared):
            raise self._error(f"run container {name}: network {network} not found")
        if not self.state.has_image(image):
            raise self._error(f"run container {name}: No such image: {image}")
        mode = f"{CONTAINER}{shared.id}" if shared else network
        on = {} if shared else {network: (attachment.address if attachment else "", "")}
        self._put(ContainerFacts(f"id-{name}", name, image, "running", dict(labels), on, mode))

    def start(self, container: str) -> None:
        """Start a container."""
        self.calls.append(f"start {container}")
        self._put(replace(self._container(container), state="running"))

    def remove(self, container: str) -> None:
        """Remove a container; quiet when there is none."""
        self.calls.append(f"remove {container}")
        left = {k: v for k, v in self.state.containers.items() if k != container}
        self.state = replace(self.state, containers=left)

    def pull(self, reference: str, tag: str) -> None:
        """Pull an image and give it this tag."""
        self.calls.append(f"pull {reference}")
        self._image(tag)

    def load(self, archive: bytes) -> None:
        """Load an image, named by what the archive holds."""
        self.calls.append(f"load {len(archive)} bytes")
        self._image(archive.decode())

    def remove_image(self, tag: str) -> None:
        """Remove an image; quiet when there is none."""
        self.calls.append(f"remove image {tag}")
        self.state = replace(self.state, images=tuple(i for i in self.state.images if tag not in i.tags))

    def exec(self, container: str, argv: Sequence[str], within: float = 10.0) -> Exec:
        """Answer as `answers` says; a container that does not run is an error."""
        if self._container(container).state != "running":
            raise self._error(f"exec in container {container}: it is not running")
        return self.answers(container, argv)

    def inspect_network(self, name: str) -> Mapping[str, object]:
        """Return the network's name and id; empty where there is none."""
        found = self.state.networks.get(name)
        return {"Name": name, "Id": found.id} if found else {}

    def _container(self, name: str) -> ContainerFacts:
        found = self.state.containers.get(name)
        if found is None:
            raise self._error(f"No such container: {name}")
        return found

    def _put(self, container: ContainerFacts) -> None:
        self.state = replace(self.state, containers={**self.state.containers, container.name: container})

    def _image(self, tag: str) -> None:
        self.state = replace(self.state, images=(*self.state.images, ImageFacts(f"id-{tag}", (tag,))))


@dataclass
class FakeEtcd:
    """An etcd that answers as it is told; `healths` are used up one by one, the last one stays."""

    host: str = "host"
    healths: deque[MemberHealth] = field(default_factory=lambda: deque([MemberHealth(healthy=True, v2=True)]))
    member: MemberStatus | None = None
    stored: Mapping[str, str] = field(default_factory=dict)
    listed: tuple[Member, ...] = ()
    calls: list[str] = field(default_factory=list)

    def health(self) -> MemberHealth:
        """Return the next answer."""
        return self.healths.popleft() if len(self.healths) > 1 else self.healths[0]

    def status(self) -> MemberStatus:
        """Return the member; without one it does not answer."""
        if self.member is None:
            raise HostError(self.host, "etcd does not answer: connection refused")
        return self.member

    def members(self) -> tuple[Member, ...]:
        """Return the members."""
        return self.listed

    def add_member(self, peer: str) -> int:
        """List one more member, which has not started."""
        self.calls.append(f"add {peer}")
        made = Member(max((m.id for m in self.listed), default=0) + 1, "", peer)
        self.listed = (*self.listed, made)
        return made.id

    def remove_member(self, id: int) -> None:
        """Take a member off the list."""
        self.calls.append(f"remove {id:x}")
        self.listed = tuple(m for m in self.listed if m.id != id)

    def put(self, key: str, value: str) -> None:
        """Write a key."""
        self.calls.append(f"put {key}")
        self.stored = {**self.stored, key: value}

    def defragment(self) -> None:
        """Note it."""
        self.calls.append("defragment")

    def keys(self, prefix: str) -> Mapping[str, str]:
        """Return the keys below the prefix."""
        return {k: v for k, v in self.stored.items() if k.startswith(prefix)}


@dataclass
class FakeDoor:
    """A host in memory.

    answers: by the command as one would type it, or a function of the command; what is not there succeeds.
    commands: what was run, in order. sent: which file of this machine was copied where.
    """

    host: str = "host"
    answers: Mapping[str, Answer] | Callable[[Command], Answer] = field(default_factory=dict)
    docker: FakeDocker = field(default_factory=FakeDocker)
    etcd: FakeEtcd = field(default_factory=FakeEtcd)
    commands: list[Command] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)

    def run(self, command: Command) -> Result:
        """Note the command and answer it."""
        self.commands.append(command)
        known = self.answers
        code, out, err = known(command) if callable(known) else known.get(command.line(), DONE)
        return Result(self.host, command, code, out, err)

    def send(self, source: str, to: str, seen: Callable[[int, int], None]) -> None:
        """Note what was sent where."""
        self.sent.append((source, to))

    @property
    def lines(self) -> list[str]:
        """What was run, as one would type it."""
        return [c.line() for c in self.commands]


@dataclass
class FakeReader:
    """Gives facts that are made anew by `make` each time; `asked` are the sections that were asked for."""

    make: Callable[[Facts], Facts]
    asked: list[frozenset[Section]] = field(default_factory=list)

    def read(self, sections: frozenset[Section], known: Facts) -> Facts:
        """Return new facts."""
        self.asked.append(sections)
        return self.make(known)


def _conforms() -> None:
    """Let the type checker hold the fakes to the protocols."""
    _doors: tuple[type[Door], type[DockerDoor], type[EtcdDoor]] = (FakeDoor, FakeDocker, FakeEtcd)
    _reader: type[Reader] = FakeReader

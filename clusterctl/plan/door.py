"""The doors to a host, as protocols: `clusterctl.remote` has the real ones, `clusterctl.testing` fakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clusterctl.model.facts import DockerFacts, Member
    from clusterctl.model.playbook import Attachment
    from clusterctl.plan.command import Command, Result


@dataclass(frozen=True, slots=True)
class Exec:
    """What a command in a container ended with."""

    exit_code: int
    output: str


class DockerDoor(Protocol):
    """The Docker API of one host. Every method raises HostError with Docker's own words."""

    def facts(self) -> DockerFacts:
        """Return what the daemon has and says of itself."""

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
        """Create a network. range, reserved: see `clusterctl.networks.making.Making`."""

    def remove_network(self, name: str) -> None:
        """Remove a network; quiet when there is none."""

    def connect(self, network: str, container: str, attachment: Attachment | None = None) -> None:
        """Attach a container to one more network."""

    def disconnect(self, network: str, endpoint: str) -> None:
        """Force an endpoint off a network by its name, whether or not its container is still there."""

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
        """Create a container and start it.

        network: what `docker run --network` takes. options: for the host configuration, by docker-py's names.
        attachment: how it is on a network of the user's own.
        """

    def start(self, container: str) -> None:
        """Start a container that exists."""

    def remove(self, container: str) -> None:
        """Kill and remove a container; quiet when there is none."""

    def pull(self, reference: str, tag: str) -> None:
        """Pull an image from its registry and give it this tag."""

    def load(self, archive: bytes) -> None:
        """Load an image from a tar that `docker save` wrote."""

    def remove_image(self, tag: str) -> None:
        """Remove an image; quiet when there is none."""

    def exec(self, container: str, argv: Sequence[str], within: float = 10.0) -> Exec:
        """Run a command in a container. Raises HostError when the container is missing or not running."""

    def inspect_network(self, name: str) -> Mapping[str, object]:
        """Return what `docker network inspect` prints for this network; empty where there is none."""


@dataclass(frozen=True, slots=True)
class MemberHealth:
    """One etcd endpoint: whether the v2 API answers 200, and etcd's own word on health."""

    healthy: bool
    v2: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One etcd member as python-etcd3 sees it. latency is the time of one status call, in seconds.

    alarms: of the whole cluster, in etcd's words, each with its member's name: "NOSPACE docker1".
    """

    name: str
    id: int
    leader: int
    version: str
    db_bytes: int
    raft_index: int
    latency: float
    members: tuple[str, ...]
    alarms: tuple[str, ...] = ()


class EtcdDoor(Protocol):
    """The etcd of one host, through the host's SSH connection, with the controller's own certificate."""

    def health(self) -> MemberHealth:
        """Ask /health and /v2/keys; an etcd that does not answer is unhealthy, not an error."""

    def status(self) -> MemberStatus:
        """Ask the v3 API for status and members. Raises HostError."""

    def members(self) -> tuple[Member, ...]:
        """Return the members that the cluster has, as this one knows them. Raises HostError."""

    def add_member(self, peer: str) -> int:
        """Make a member of the one that will be at this peer URL; returns its id. Raises HostError."""

    def remove_member(self, id: int) -> None:
        """Remove a member from the cluster; quiet when there is none of this id. Raises HostError."""

    def put(self, key: str, value: str) -> None:
        """Write a v2 key. Raises HostError."""

    def defragment(self) -> None:
        """Give the space of deleted v3 keys back; the member answers nothing meanwhile. Raises HostError."""

    def keys(self, prefix: str) -> Mapping[str, str]:
        """Return the v2 keys below prefix with their values; empty where there are none."""


class Door(Protocol):
    """One host (or the machine we run on), whose commands run there."""

    @property
    def host(self) -> str:
        """The host's name in the inventory."""

    def run(self, command: Command) -> Result:
        """Run the command and return what it ended with, whatever its exit code."""

    def send(self, source: str, to: str, seen: Callable[[int, int], None]) -> None:
        """Copy a file of this machine there, piece by piece; `seen` hears how many bytes of how many are over."""

    @property
    def docker(self) -> DockerDoor:
        """The Docker API there."""

    @property
    def etcd(self) -> EtcdDoor:
        """The etcd there."""

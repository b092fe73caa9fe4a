"""What was found on this machine, as values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from clusterctl.providers.local.names import Names

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Marker:
    """What a lab was made from, as it is written down in the lab's folder.

    fingerprint: of the whole inventory. made: when, by this machine's clock.
    """

    lab: str
    subnet: str
    gateway: str
    suite: str
    internet: bool
    hosts: Mapping[str, str]
    fingerprint: str
    made: str = ""
    bare: bool = False

    def dump(self) -> str:
        """Return the marker as the text of its file."""
        return json.dumps({"schema_version": 1, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Marker | None:
        """Read a marker's file; None for one that is damaged."""
        try:
            found = json.loads(text)
            return cls(**{k: v for k, v in found.items() if k != "schema_version"})
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace: its links that are up, eth0's address, the gateway of its default route."""

    links: frozenset[str] = frozenset()
    address: str = ""
    gateway: str = ""

    def covers(self, wanted: Namespace) -> bool:
        """Whether all that is wanted is there; Docker may have added links of its own."""
        addresses = (self.address, self.gateway) == (wanted.address, wanted.gateway)
        return addresses and wanted.links <= self.links


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node.

    nspawn, leader: the process of systemd-nspawn and the node's init, 0 where there is none.
    network: its namespace, None where there is none of that name.
    mounts: what is mounted in its folder, the deepest first.
    host_key: the public half of its SSH host key, "" before it was prepared.
    banner: what its sshd says on connecting, "" when nothing answers.
    """

    name: str
    folder: bool = False
    nspawn: int = 0
    leader: int = 0
    network: Namespace | None = None
    mounts: tuple[str, ...] = ()
    control_groups: bool = False
    host_key: str = ""
    authorized: str = ""
    resolver: str = ""
    banner: str = ""

    @property
    def runs(self) -> bool:
        """Whether the node is alive; while it starts, its init is not there yet."""
        return self.nspawn != 0 or self.leader != 0


@dataclass(frozen=True, slots=True)
class Network:
    """A network that this machine is in or has a route to, and through which link."""

    network: str
    link: str


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """This machine as one lab needs to see it.

    tools: the programs that were looked for and are there. lacks: what the kernel cannot do, as far as known.
    watchers_free: how many more inotify instances root may have, None where it does not matter.
    disk_free_mb, filesystem: by folder. resolver: nameserver lines that also hold inside a node.
    netns_folder: how /run/netns is: "absent", "plain" or "mounted". nspawn_folder: whether nspawn ever ran.
    was: what a run of this lab has recorded before it changed it, by name.
    others: the other labs here. files: what is in the lab's folder on the controller (public parts only).
    """

    lab: str
    root: bool = True
    tools: frozenset[str] = frozenset()
    systemd: bool = False
    cgroup: int = 2
    kernel: str = ""
    lacks: tuple[str, ...] = ()
    watchers_free: int | None = None
    disk_free_mb: Mapping[str, int] = field(default_factory=dict)
    filesystem: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()
    switch: Namespace | None = None
    link: str = ""
    stray_namespaces: tuple[str, ...] = ()
    netns_folder: str = "mounted"
    nspawn_folder: bool = True
    ip_forward: bool = False
    forward_drops: bool = False
    rules: tuple[str, ...] = ()
    resolver: str = ""
    folder: bool = False
    marker: Marker | None = None
    was: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    roots: frozenset[str] = frozenset()
    others: Mapping[str, Marker] = field(default_factory=dict)
    state: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        """The names of the lab's things."""
        return Names(self.lab)

    def node(self, host: str) -> NodeFacts:
        """Return the node; one of which nothing was found where there is none."""
        return self.nodes.get(host, NodeFacts(host))

    def with_node(self, node: NodeFacts) -> MachineFacts:
        """Return the facts with this node's replaced."""
        return replace(self, nodes={**self.nodes, node.name: node})

    def with_file(self, name: str, content: str) -> MachineFacts:
        """Return the facts as they are once the lab's folder on the controller has this file."""
        return replace(self, files={**self.files, name: content}, state=True)

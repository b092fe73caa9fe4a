"""What things are called on this machine: a pure function of the lab's and the host's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

BASE = "/var/lib/clusterctl/local"
"""Where the labs' nodes live, a folder a lab."""

ROOTS = "/var/cache/clusterctl/roots"
"""Where roots are kept once they are built; every lab may use them."""

_MACHINE = 64
"""The longest name of a machine."""

_LINK = 15
"""The longest name of a link."""


def _link(prefix: str, name: str) -> str:
    """Return a link's name: the name itself where it fits, else a part of it and its hash.

    An underscore cannot stand in a lab's or a host's name, so the two forms never meet.
    """
    if len(prefix) + len(name) <= _LINK:
        return prefix + name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{prefix}{name[: _LINK - len(prefix) - 7]}_{digest}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of everything that one lab has on this machine."""

    lab: str

    @property
    def folder(self) -> str:
        """The lab's folder."""
        return f"{BASE}/{self.lab}"

    @property
    def marker(self) -> str:
        """The file that says what the lab was made from. No host is called so: it has a dot."""
        return f"{self.folder}/inventory.json"

    @property
    def was(self) -> str:
        """The folder with what this machine had before it was changed. Its underscore keeps hosts off it."""
        return f"{self.folder}/_was"

    @property
    def switch(self) -> str:
        """The network namespace of the lab's switch; also the comment on its firewall rules."""
        return f"clusterctl-{self.lab}"

    @property
    def link(self) -> str:
        """This machine's link into the switch."""
        return _link("cc-", self.lab)

    def node(self, host: str) -> str:
        """Return the name of a node: its namespace, its machine, its control groups.

        A dot cannot stand in a lab's or a host's name: a shortened name is nobody else's.
        """
        name = f"clusterctl-{self.lab}-{host}"
        if len(name) <= _MACHINE:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:6]
        return f"{name[: _MACHINE - 7].rstrip('-')}.{digest}"

    def place(self, host: str) -> str:
        """Return a node's folder."""
        return f"{self.folder}/{host}"

    def port(self, host: str) -> str:
        """Return the name of the switch's port to a node."""
        return _link("to-", host)

    def mac(self, host: str) -> str:
        """Return the MAC of a node's eth0, the same each time: locally administered, no multicast."""
        digest = hashlib.sha256(self.node(host).encode()).digest()
        return ":".join(f"{byte:02x}" for byte in (2, *digest[:5]))

    def all(self, hosts: tuple[str, ...]) -> frozenset[str]:
        """Return the names of all namespaces of the lab."""
        return frozenset({self.switch, *(self.node(h) for h in hosts)})

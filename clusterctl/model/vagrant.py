"""Where Vagrant's project is, and what it is to be told, as the user wrote it."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from clusterctl.model.names import FilePath, Shape, Value, as_ipv4, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.model.inventory import Host
    from clusterctl.model.source import Document

SSH = ("port", "user", "key", "jump")
"""Keys of a host that only Vagrant knows."""

VariableName = Annotated[
    str,
    Shape(
        "the name of an environment variable",
        "[A-Za-z_][A-Za-z0-9_]*",
        "letters, digits and '_', no digit first",
        64,
        ("PATH", "VAGRANT_CWD", "CLUSTERCTL_VM_HOSTS"),
    ),
]
VariableValue = Annotated[str, Shape("a value for it", r"[^\x00-\x1f\x7f]*", "text on one line", 1024)]


class Vagrant(Value):
    """How the provider vagrant calls Vagrant."""

    folder: FilePath = Field(default=".", description="The folder of the Vagrantfile, seen from the inventory's own.")
    env: dict[VariableName, VariableValue] = Field(
        default={}, description="What Vagrant finds in its environment, such as CLUSTERCTL_VM_MEMORY."
    )

    def seen_from(self, file: str) -> Vagrant:
        """Return the settings with the folder seen from where clusterctl runs; `file` is the inventory."""
        if self.folder.startswith(("/", "~")):
            return self
        folder = posixpath.normpath(posixpath.join(posixpath.dirname(file), self.folder))
        return self.model_copy(update={"folder": folder})


def check_vagrant(hosts: Iterable[Host], document: Document) -> None:
    """Refuse hosts that Vagrant could not make so."""
    for host in hosts:
        place = ("hosts", host.name)
        if as_ipv4(host.address) is None:
            document.add((*place, "address"), "must be an IPv4 address: Vagrant gives it to the host")
        elif host.cluster_address != host.address:
            document.add(
                (*place, "cluster_address"),
                f"must be the address, {shown(host.address)}: how SSH reaches the host, Vagrant knows",
            )
        for key in SSH:
            if key in host.model_fields_set:
                document.add((*place, key), "means nothing with the provider vagrant: Vagrant knows it")

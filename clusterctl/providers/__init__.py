"""Where hosts come from and how they go. One file or folder a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import Door
    from clusterctl.plan.phase import Phase
    from clusterctl.providers.ways import Way


class Provider(Protocol):
    """A source of hosts.

    destroys: whether `down` removes the hosts themselves.
    trusted: files of known host keys besides the lab's own.
    sees_at_once: whether `present` costs nothing, not even a process.
    """

    destroys: bool
    trusted: tuple[Path, ...]
    sees_at_once: bool

    @property
    def up(self) -> Sequence[Phase[Lab]]:
        """The phases that bring the hosts there."""

    @property
    def down(self) -> Sequence[Phase[Lab]]:
        """The phases that take the hosts away."""

    def facts(self, lab: Lab) -> Any:
        """Read what the provider has on this machine. The only reader of `Facts.machine` is the provider."""

    def present(self, lab: Lab) -> frozenset[str]:
        """Return the hosts of the lab that are there to be asked; the others are never sent a packet."""

    def door(self) -> Door:
        """Return the door to this machine, named `clusterctl.plan.action.MACHINE`."""

    def fresh(self, lab: Lab, host: Host) -> HostFacts | None:
        """Return what a host is like just after it was made; None where that cannot be known."""


@runtime_checkable
class Finds(Protocol):
    """A provider whose hosts are there before any run, and are reached as the user's SSH settings say."""

    def ways(self, lab: Lab) -> Sequence[Way]:
        """Return the way to each host and jump host. Raises InputError."""

    def ssh_config(self, lab: Lab) -> str:
        """Return the ssh_config of these ways."""

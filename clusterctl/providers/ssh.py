"""Hosts that exist already: nothing is made, nothing is taken away but our own SSH files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.plan.action import MACHINE, Run, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop, Section
from clusterctl.providers.access import CONFIG, ssh_config
from clusterctl.providers.machine import MachineDoor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Phase


@dataclass(frozen=True, slots=True)
class SshMachine:
    """What the controller has of the lab: its ssh_config as it stands, the user who runs, the state folder."""

    config: str
    owner: str
    exists: bool


class WriteAccess:
    """Write the lab's ssh_config, which serves clusterctl, other programs and people."""

    title = "Write the SSH settings"
    reads = frozenset({Section.MACHINE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write it where it differs."""
        machine: SshMachine = facts.machine
        content = ssh_config(lab.inventory.hosts.values(), lab.state)
        if machine.config == content:
            yield Noop(MACHINE, "the SSH settings are written")
            return
        yield WriteFile(
            host=MACHINE,
            title="write ssh_config",
            path=str(lab.state / CONFIG),
            content=content,
            mode=0o600,
            owner=machine.owner,
        )


class RemoveState:
    """Remove the lab's folder on the controller: its CA, certificates and transcripts."""

    title = "Remove the lab's folder on this machine"
    reads = frozenset({Section.MACHINE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove all but the host keys that were accepted."""
        machine: SshMachine = facts.machine
        if machine.exists:
            yield Run(host=MACHINE, title="remove the lab's folder", command=command("rm", "-rf", str(lab.state)))
        else:
            yield Noop(MACHINE, "the lab has no folder here")


class SshProvider:
    """Use machines that are there."""

    up: Sequence[Phase[Lab]] = (WriteAccess(),)
    down: Sequence[Phase[Lab]] = (RemoveState(),)
    destroys = False
    trusted = (Path("~/.ssh/known_hosts").expanduser(),)

    def facts(self, lab: Lab) -> SshMachine:
        """Read the lab's ssh_config."""
        import os

        path = lab.state / CONFIG
        text = path.read_text() if path.exists() else ""
        return SshMachine(text, f"{os.getuid()}:{os.getgid()}", lab.state.exists())

    def present(self, lab: Lab) -> frozenset[str]:
        """Return every host: they exist by definition."""
        return frozenset(lab.inventory.hosts)

    def door(self) -> MachineDoor:
        """Return the door to this machine."""
        return MachineDoor()

    def fresh(self, lab: Lab, host: Host) -> HostFacts | None:
        """What the host is like is only known once it was asked."""
        return None

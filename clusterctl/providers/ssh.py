"""Hosts that exist already: nothing is made, nothing is taken away but our own SSH files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.commands import ssh
from clusterctl.model.errors import InputError
from clusterctl.plan.action import MACHINE, Run, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop, Section
from clusterctl.providers.access import CONFIG, KNOWN_HOSTS
from clusterctl.providers.machine import MachineDoor
from clusterctl.providers.ways import Ways, config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Phase
    from clusterctl.providers.ways import Way

NO_SUCH_PROGRAM = 127


Questions = tuple[str, str, int]
"""An address, and the user and port where they are decided."""


@dataclass(frozen=True, slots=True)
class SshMachine:
    """What the controller has of the lab.

    config: its ssh_config as it stands. owner: the user who runs. exists: whether the lab has a folder with
    more in it than accepted host keys. trusts: whether there are accepted host keys.
    answers: what the user's own ssh_config says. known: its files of known host keys.
    """

    config: str
    owner: str
    exists: bool
    trusts: bool = False
    answers: Mapping[Questions, ssh.Asked] = field(default_factory=dict)
    known: tuple[Path, ...] = ()

    def wanted(self, lab: Lab) -> str:
        """Return the ssh_config that the inventory and the user's own settings make together."""

        def look(address: str, user: str, port: int) -> ssh.Asked:
            return self.answers.get((address, user, port)) or ssh.Asked(address, user, port or 22)

        return config(Ways(lab.inventory, look).find(), (lab.state / KNOWN_HOSTS, *self.known))


class WriteAccess:
    """Write the lab's ssh_config, which serves clusterctl, other programs and people."""

    title = "Write the SSH settings"
    reads = frozenset({Section.MACHINE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write it where it differs."""
        machine: SshMachine = facts.machine
        content = machine.wanted(lab)
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
    """Remove the lab's folder on the controller: its CA, certificates and transcripts.

    The host keys that the user accepted stay: the hosts stay too, and who is asked again every time says
    yes without looking.
    """

    title = "Remove the lab's folder on this machine"
    reads = frozenset({Section.MACHINE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove all but the host keys that were accepted."""
        machine: SshMachine = facts.machine
        if not machine.exists:
            yield Noop(MACHINE, "the lab has nothing here but accepted host keys" if machine.trusts else "no folder")
        elif machine.trusts:
            rest = ("find", str(lab.state), "-mindepth", "1", "-maxdepth", "1", "!", "-name", KNOWN_HOSTS)
            remove = command(*rest, "-exec", "rm", "-rf", "{}", "+")
            yield Run(host=MACHINE, title="remove the lab's files, not the accepted host keys", command=remove)
        else:
            yield Run(host=MACHINE, title="remove the lab's folder", command=command("rm", "-rf", str(lab.state)))


class SshProvider:
    """Use machines that are there."""

    up: Sequence[Phase[Lab]] = (WriteAccess(),)
    down: Sequence[Phase[Lab]] = (RemoveState(),)
    destroys = False
    trusted: tuple[Path, ...] = (Path("~/.ssh/known_hosts").expanduser(), Path("/etc/ssh/ssh_known_hosts"))
    sees_at_once = False

    def __init__(self) -> None:
        self._ways: tuple[Way, ...] = ()
        self._answers: dict[Questions, ssh.Asked] = {}

    def facts(self, lab: Lab) -> SshMachine:
        """Read the lab's ssh_config and what it is made from."""
        import os

        self.ways(lab)
        path = lab.state / CONFIG
        found = {p.name for p in lab.state.iterdir()} if lab.state.exists() else set()
        return SshMachine(
            config=path.read_text() if path.exists() else "",
            owner=f"{os.getuid()}:{os.getgid()}",
            exists=bool(found - {KNOWN_HOSTS}),
            trusts=KNOWN_HOSTS in found,
            answers=self._answers,
            known=self.trusted,
        )

    def ssh_config(self, lab: Lab) -> str:
        """Return the ssh_config that the inventory and the user's settings make together. Raises InputError."""
        return config(self.ways(lab), (lab.state / KNOWN_HOSTS, *self.trusted))

    def ways(self, lab: Lab) -> tuple[Way, ...]:
        """Return the way to each host and jump host. Raises InputError where ssh_config cannot be read."""
        if self._ways:
            return self._ways
        door = self.door()
        with tempfile.TemporaryDirectory(prefix="clusterctl-") as folder:
            asked = Path(folder) / CONFIG
            asked.write_text(ssh.settings(Path.home()))

            def look(address: str, user: str, port: int) -> ssh.Asked:
                result = door.run(ssh.ask(asked, address, user=user, port=port))
                if result.exit_code == NO_SUCH_PROGRAM:
                    return ssh.Asked(address, user, port or 22)
                if not result.ok:
                    raise InputError(f"ssh -G {address}: {result.tail(2)}", hint="mend ~/.ssh/config")
                return ssh.parse(address, result.stdout)

            finder = Ways(lab.inventory, look)
            self._ways = finder.find()
        self._answers = finder.answers
        self.trusted = tuple(dict.fromkeys((*self.trusted, *finder.known)))
        return self._ways

    def present(self, lab: Lab) -> frozenset[str]:
        """Return every host: they exist by definition."""
        return frozenset(lab.inventory.hosts)

    def door(self) -> MachineDoor:
        """Return the door to this machine."""
        return MachineDoor()

    def fresh(self, lab: Lab, host: Host) -> HostFacts | None:
        """What the host is like is only known once it was asked."""
        return None

"""What the vagrant provider does: deeds on this machine that know its facts after them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.commands.vagrant import complaint, parse_host_key
from clusterctl.model.errors import HostError, TimedOut
from clusterctl.plan import files
from clusterctl.plan.action import MACHINE, Action, WriteFile
from clusterctl.providers.machine import MachineDoor
from clusterctl.providers.vagrant.facts import Mark, VagrantFacts
from clusterctl.providers.vagrant.read import machine_id

if TYPE_CHECKING:
    from clusterctl.commands.vagrant import Project
    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.plan.action import Hear
    from clusterctl.plan.command import Command, Result
    from clusterctl.plan.door import Door

After = Callable[[VagrantFacts], VagrantFacts]

PENDING = "made-by-this-plan"
"""Stands for what only Vagrant will know, in a plan that is only shown."""

_TIMED_OUT = 124

HINTS = {
    "of domain about to create is already taken": "a VM of that name is left from before: "
    "virsh -c qemu:///system list --all, then undefine it",
    "Volume for domain is already created": "a disk of that name is left from before: "
    "virsh -c qemu:///system vol-list default, then vol-delete it",
    "not within the allowed ranges": "put the network into /etc/vbox/networks.conf, or take another address",
    "Timed out while waiting for the machine to boot": "vagrant destroy -f, then up again; "
    "on a slow machine set config.vm.boot_timeout higher",
    "could not be found or": "does this machine reach the box's server? vagrant box add",
    "No usable default provider": "install VirtualBox, or the plugin vagrant-libvirt with QEMU",
    "VT-x": "turn virtualization on in the BIOS, or take provider: local",
    "invalid argument: could not get preferred machine": "this machine has no KVM; take provider: local",
    "failed to connect to the hypervisor": "is libvirtd running? systemctl start libvirtd",
    "is locked": "another vagrant works on it; wait for it",
}
"""What Vagrant's words call for."""


def hint(said: str, otherwise: str = "") -> str:
    """Return what to do about what Vagrant said."""
    return next((advice for words, advice in HINTS.items() if words in said), otherwise)


def same(found: VagrantFacts) -> VagrantFacts:
    """Return the facts as they are."""
    return found


@dataclass(frozen=True, kw_only=True)
class VagrantAction(Action):
    """A deed of Vagrant's on this machine.

    after: the provider's facts after it. makes: the host that is there after it.
    """

    host: str = MACHINE
    door: str = MACHINE
    after: After = field(default=same, repr=False, compare=False)
    makes: HostFacts | None = field(default=None, repr=False)
    takes: tuple[str, ...] = ()

    def perform(self, door: Door) -> str:
        """Carry it out where nobody listens."""
        return self.carry_out(door, lambda line: None)

    def predict(self, facts: Facts) -> Facts:
        """Return the facts with the machine, and the host it makes or takes, as they will be."""
        facts = replace(facts, machine=self.after(facts.machine))
        if self.makes:
            facts = facts.with_host(self.makes)
        return replace(facts, hosts={k: v for k, v in facts.hosts.items() if k not in self.takes})


def _vagrant(door: Door, command: Command, hear: Hear, title: str) -> Result:
    """Run Vagrant; its own words become the error."""
    result = door.follow(command, hear) if isinstance(door, MachineDoor) else door.run(command)
    if result.ok:
        return result
    said = complaint(result.stdout or result.stderr)
    if result.exit_code == _TIMED_OUT:
        raise TimedOut(MACHINE, title, command.within, said, hint="the same command goes on from here")
    raise HostError(MACHINE, f"{title}: exit {result.exit_code}: {said}", hint=hint(said))


@dataclass(frozen=True, kw_only=True)
class StartVm(VagrantAction):
    """Make a machine that is to be this lab's, or start one that is there.

    mark: what is written down of a machine before it is made; None for one that is there.
    """

    project: Project
    vm: str
    mark: Mark | None = None
    changes = True

    def shell(self) -> str:
        """Return the mark and the command line."""
        up = self.project.up(self.vm).line()
        if self.mark is None:
            return up
        path = shlex.quote(self.project.mark(self.vm))
        return f"mkdir -p {shlex.quote(str(Path(self.project.mark(self.vm)).parent))}\n" + "\n".join(
            (f"echo {shlex.quote(self.mark.dump())} > {path}", up)
        )

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Write the mark, let Vagrant work, then put Vagrant's id of the machine into the mark."""
        if self.mark:
            door.run(self.project.write_mark(self.vm, self.mark.dump())).expect(self.title)
        result = _vagrant(door, self.project.up(self.vm), hear, self.title)
        made = machine_id(self.project, self.vm)
        if self.mark:
            door.run(self.project.write_mark(self.vm, replace(self.mark, id=made).dump())).expect(self.title)
        return f"{result.tail(1)} (id {made})"


@dataclass(frozen=True, kw_only=True)
class DestroyVms(VagrantAction):
    """Remove machines with their disks."""

    project: Project
    vms: tuple[str, ...]
    changes = True

    def shell(self) -> str:
        """Return the command line."""
        return self.project.destroy(*self.vms).line()

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Let Vagrant work."""
        return _vagrant(door, self.project.destroy(*self.vms), hear, self.title).tail(1)


@dataclass(frozen=True, kw_only=True)
class Deed(VagrantAction):
    """Run a command on this machine."""

    command: Command

    def shell(self) -> str:
        """Return the command line."""
        return self.command.line()

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Run it; an unexpected exit code is an error."""
        return door.run(self.command).expect(self.title).tail()


@dataclass(frozen=True, kw_only=True)
class OwnFile(VagrantAction, WriteFile):
    """Write one of the lab's files on this machine."""

    def diff(self, facts: Facts) -> str:
        """Return no diff: the file is no host's."""
        return ""

    def perform(self, door: Door) -> str:
        """Write it."""
        return WriteFile.perform(self, door)

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Write it."""
        return WriteFile.perform(self, door)

    def predict(self, facts: Facts) -> Facts:
        """Return the facts with the file written."""
        return VagrantAction.predict(self, facts)


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A machine whose host key is to be read once; `known` is its key where it was."""

    name: str
    id: str
    pattern: str
    ask: Command
    known: str = ""

    def line(self, key: str) -> str:
        """Return its line in known_hosts. The last word is Vagrant's id of the machine that has this key."""
        return f"{self.pattern} {key} {self.id}\n"


@dataclass(frozen=True, kw_only=True)
class PinHostKeys(VagrantAction):
    """Trust the machines' host keys at first sight, as they were made here; from then on no other."""

    path: str
    owner: str
    pins: tuple[Pin, ...]

    def shell(self) -> str:
        """Return how a person would ask."""
        return "\n".join(f"{p.ask.line()} >> {shlex.quote(self.path)}" for p in self.pins if not p.known)

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Ask each machine that is not known, then write known_hosts whole."""
        lines = []
        for pin in self.pins:
            key = pin.known
            if not key:
                answer = door.run(pin.ask)
                key = parse_host_key(answer.stdout)
                if not key:
                    raise HostError(pin.name, f"it gave no host key: {answer.tail() or 'no answer'}")
            lines.append(pin.line(key))
        text = "".join(lines)
        door.run(files.write(self.path, text.encode(), 0o600, self.owner, record=False)).expect(self.title)
        return text.strip().replace("\n", "; ")


@dataclass(frozen=True, slots=True)
class Answers:
    """Whether a machine's SSH server says its name."""

    address: str
    port: int
    vm: str

    def look(self, door: Door) -> tuple[bool, str]:
        """Look once."""
        import socket

        try:
            with socket.create_connection((self.address, self.port), 3) as connection:
                connection.settimeout(3)
                said = connection.recv(64).decode(errors="replace").strip()
        except OSError as error:
            return False, f"{self.address}:{self.port}: {error.strerror or error or 'no answer'}"
        return said.startswith("SSH-"), said or f"{self.address}:{self.port} said nothing"

    def shell(self) -> str:
        """Return how a person would look."""
        return f"vagrant ssh {self.vm} -c true"

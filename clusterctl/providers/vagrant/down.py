"""Taking the VMs away: those that the lab made, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.model.errors import HostError, HostsFailed, Reason, Refused
from clusterctl.plan.action import MACHINE
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop, Section
from clusterctl.providers.vagrant.actions import Deed, DestroyVms, hint
from clusterctl.providers.vagrant.facts import NOT_CREATED
from clusterctl.providers.vagrant.up import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.providers.vagrant.facts import VagrantFacts

_MACHINE = frozenset({Section.MACHINE})


class Destroy:
    """Destroy the machines that the lab made, whether they run or not."""

    title = "Destroy the hosts"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Leave what was made by hand; refuse where Vagrant cannot be asked and something may be left."""
        vagrant = found(facts)
        _can_tell(vagrant)
        ours = tuple(vm.name for vm in vagrant.vms.values() if vm.exists and vm.made_by(wanted.name))
        for vm in vagrant.vms.values():
            if not vm.exists:
                yield Noop(vm.name, "is not there")
            elif vm.name not in ours:
                yield Noop(vm.name, "was not made by this lab and stays; vagrant destroy takes it away")
        if ours:
            yield DestroyVms(
                title=f"destroy {', '.join(ours)} with Vagrant",
                project=vagrant.project,
                vms=ours,
                after=lambda v: replace(
                    v, vms={n: replace(m, state=NOT_CREATED, id="") if n in ours else m for n, m in v.vms.items()}
                ),
                takes=ours,
            )


def _can_tell(vagrant: VagrantFacts) -> None:
    """What Vagrant has made it alone can find; without it nothing may be forgotten."""
    made = [vm.name for vm in vagrant.vms.values() if vm.id]
    if not made or (vagrant.installed and vagrant.vagrantfile and not vagrant.problem):
        return
    if not vagrant.installed:
        why, advice = "vagrant is not installed any more", "install it, then the same command goes on"
    elif not vagrant.vagrantfile:
        why, advice = f"there is no Vagrantfile in {vagrant.project.folder} any more", "put it back"
    else:
        why, advice = f"vagrant does not work: {vagrant.problem}", hint(vagrant.problem, vagrant.project.line("status"))
    raise Refused([Reason(name, f"it may still be there, but {why}", advice) for name in made])


class Confirm:
    """Look whether the machines are really gone."""

    title = "Confirm that the hosts are gone"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Fail where one of them is still there; else remove its mark."""
        vagrant = found(facts)
        ours = [vm for vm in vagrant.vms.values() if vm.mark and vm.mark.lab == wanted.name]
        left = [vm for vm in ours if vm.exists and vm.made_by(wanted.name)]
        if left:
            errors = {
                vm.name: HostError(
                    vm.name,
                    f"it is still there: '{vm.state}'",
                    hint=vagrant.project.line("destroy", "-f", vm.name),
                )
                for vm in left
            }
            raise HostsFailed(self.title, errors, [])
        if ours:
            yield Deed(
                title=f"forget {', '.join(vm.name for vm in ours)}",
                command=vagrant.project.remove_marks(*(vm.name for vm in ours)),
                after=lambda v: replace(v, vms={n: replace(m, mark=None) for n, m in v.vms.items()}),
            )
        else:
            yield Noop(MACHINE, "no host of the lab is left")


class RemoveState:
    """Remove the lab's folder on this machine: its SSH settings, CA and transcripts."""

    title = "Remove the lab's files"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove it where it is there."""
        if found(facts).state:
            yield Deed(
                title=f"remove {wanted.state}",
                command=command("rm", "-rf", "--", str(wanted.state)),
                after=lambda v: replace(v, state=False, files={}),
            )
        else:
            yield Noop(MACHINE, "the lab has no folder here")


DOWN = (Destroy(), Confirm(), RemoveState())
"""From hosts to nothing."""

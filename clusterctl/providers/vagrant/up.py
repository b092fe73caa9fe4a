"""Bringing the VMs up, one phase a stage. Each machine is decided on its own from what Vagrant has."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from clusterctl.commands.vagrant import Way, scan_host_keys
from clusterctl.model.errors import HostError, HostsFailed, Reason, Refused
from clusterctl.plan.action import MACHINE, WaitFor
from clusterctl.plan.phase import Noop, Section
from clusterctl.providers import access, debian, ways
from clusterctl.providers.vagrant.actions import (
    PENDING,
    After,
    Answers,
    DestroyVms,
    OwnFile,
    Pin,
    PinHostKeys,
    StartVm,
    hint,
)
from clusterctl.providers.vagrant.facts import BROKEN, NOT_CREATED, RUNNING, Mark, VagrantFacts, Vm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action

_MACHINE = frozenset({Section.MACHINE})

FORESEEN = Way("address-from-vagrant", keys=("key-from-vagrant",))
"""How a host is reached that is only planned."""

INSTALL = {
    ("Darwin", "arm64"): "brew install --cask vagrant, then Parallels with `vagrant plugin install vagrant-parallels` "
    "or VMware Fusion with `vagrant plugin install vagrant-vmware-desktop`",
    ("Darwin", ""): "brew install --cask vagrant virtualbox",
    ("Linux", ""): "apt-get install vagrant vagrant-libvirt libvirt-daemon-system qemu-system-x86 dnsmasq-base, "
    "or VirtualBox and the package from developer.hashicorp.com/vagrant/install; or take provider: local",
}
"""What to install where there is no Vagrant, by system and architecture."""


def found(facts: Facts) -> VagrantFacts:
    """Return what Vagrant has; only this provider reads it."""
    machine: VagrantFacts = facts.machine
    return machine


def fresh(host: Host) -> HostFacts:
    """Return what a plan takes a new host for: a bare Debian 12. When it is there, it is looked at anew."""
    return debian.bare(host, host.name, "vagrant")


class Preflight:
    """Check that Vagrant can make the hosts."""

    title = "Check Vagrant"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused with every reason; nothing is ever to be done."""
        reasons = list(_reasons(wanted, found(facts)))
        if reasons:
            raise Refused(reasons)
        yield from ()


def _reasons(lab: Lab, vagrant: VagrantFacts) -> Iterator[Reason]:
    if not vagrant.installed:
        advice = INSTALL.get((vagrant.system, vagrant.arch)) or INSTALL.get((vagrant.system, ""), INSTALL["Linux", ""])
        yield Reason(MACHINE, "vagrant is not installed", advice)
    if not vagrant.vagrantfile:
        yield Reason(
            MACHINE,
            f"there is no Vagrantfile in {vagrant.project.folder}",
            "set vagrant.folder in the inventory; it is seen from the inventory's own folder",
        )
    elif vagrant.problem:
        said = f"vagrant does not work in {vagrant.project.folder}: {vagrant.problem}"
        yield Reason(MACHINE, said, hint(vagrant.problem, vagrant.project.line("status")))
    if not vagrant.installed or not vagrant.vagrantfile or vagrant.problem:
        return
    hosts = lab.inventory.hosts.values()
    if strange := [h.name for h in hosts if h.name not in vagrant.defined]:
        yield Reason(
            MACHINE,
            f"the Vagrantfile in {vagrant.project.folder} defines no {', '.join(strange)}, "
            f"only {', '.join(vagrant.defined) or 'nothing'}",
            "let it take names and addresses from CLUSTERCTL_VM_HOSTS, or name the hosts as it does",
        )
    for host in hosts:
        vm = vagrant.vm(host.name)
        if vm.exists and vm.mark and vm.mark.lab != lab.name and vm.mark.id in {"", vm.id}:
            yield Reason(host.name, f"it belongs to the lab '{vm.mark.lab}'", "take that lab down, or another folder")
        if vm.state in BROKEN:
            yield Reason(host.name, f"Vagrant calls it {vm.state}", vagrant.project.line("destroy", "-f", vm.name))
    if vagrant.provider == "virtualbox":
        yield from _virtualbox(lab, vagrant)


def _virtualbox(lab: Lab, vagrant: VagrantFacts) -> Iterator[Reason]:
    hosts = [h for h in lab.inventory.hosts.values() if vagrant.vm(h.name).state != RUNNING]
    outside = [h.address for h in hosts if not vagrant.allows(h.address)] if vagrant.system != "Windows" else []
    if outside:
        nets = list(dict.fromkeys(str(IPv4Network(f"{a}/24", strict=False)) for a in outside))
        line = f"* {' '.join([*nets, *vagrant.ranges])}"
        yield Reason(
            MACHINE,
            f"VirtualBox does not allow {', '.join(outside)} on a host-only network, only {', '.join(vagrant.ranges)}",
            f"echo '{line}' | sudo tee -a /etc/vbox/networks.conf, or take addresses in {vagrant.ranges[0]}",
        )
    chosen = "CLUSTERCTL_VM_BOX" in lab.inventory.vagrant.env
    if (vagrant.system, vagrant.arch) == ("Darwin", "arm64") and not chosen and hosts:
        yield Reason(
            MACHINE,
            "VirtualBox on Apple Silicon (7.1 or later) needs a box for arm64, and debian/bookworm64 has none",
            "use Parallels or VMware Fusion (vagrant.env.VAGRANT_DEFAULT_PROVIDER: parallels), "
            "or name an arm64 box in vagrant.env.CLUSTERCTL_VM_BOX",
        )


class Machines:
    """Make the VMs that are missing, start those that are off; one after the other, as Vagrant likes it."""

    title = "Start the hosts"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Decide each machine by itself. One that was never finished is made anew: nothing is on it yet."""
        vagrant = found(facts)
        for host in wanted.inventory.hosts.values():
            vm = vagrant.vm(host.name)
            if vm.half_made(wanted.name):
                yield DestroyVms(
                    title=f"destroy {host.name}, which was never finished",
                    project=vagrant.project,
                    vms=(host.name,),
                    after=_vm_after(host.name, state=NOT_CREATED, id="", way=None, answers="", key=""),
                    takes=(host.name,),
                )
                vm = Vm(host.name, NOT_CREATED)
            if not vm.exists:
                mark = Mark(wanted.name, host.address)
                yield StartVm(
                    title=f"create {host.name} with Vagrant ({vagrant.provider})",
                    project=vagrant.project,
                    vm=host.name,
                    mark=mark,
                    makes=fresh(host),
                    after=_vm_after(
                        host.name,
                        state=RUNNING,
                        id=PENDING,
                        mark=replace(mark, id=PENDING),
                        way=FORESEEN,
                        answers="SSH-2.0",
                        key="",
                    ),
                )
            elif vm.state == RUNNING:
                whose = "made by this lab" if vm.made_by(wanted.name) else "made by hand: down will leave it there"
                yield Noop(host.name, f"runs since before, {whose}")
            else:
                yield StartVm(
                    title=f"start {host.name}, which is '{vm.state}'",
                    project=vagrant.project,
                    vm=host.name,
                    after=_vm_after(host.name, state=RUNNING, way=FORESEEN, answers="SSH-2.0"),
                )


def _vm_after(name: str, **changes: object) -> After:
    def after(machine: VagrantFacts) -> VagrantFacts:
        return machine.with_vm(replace(machine.vm(name), **changes))  # type: ignore[arg-type]

    return after


class Access:
    """Write down how Vagrant reaches the hosts and which host keys they have; wait until each answers."""

    title = "Wait for SSH"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Wait for those that do not answer yet, pin what is new, write what differs."""
        vagrant = found(facts)
        names = tuple(wanted.inventory.hosts)
        reached = {name: way for name in names if (way := vagrant.vm(name).way)}
        if lost := [name for name in names if name not in reached]:
            said, advice = "it runs, but Vagrant cannot say how to reach it", vagrant.project.line("reload", lost[0])
            raise HostsFailed(self.title, {name: HostError(name, said, hint=advice) for name in lost}, [])
        yield from self._wait(vagrant, reached)
        yield from self._pin(wanted, vagrant, reached)
        config = ssh_config(reached, wanted.state)
        if vagrant.files.get(access.CONFIG) != config:
            yield OwnFile(
                title=f"write {wanted.state / access.CONFIG} as vagrant ssh-config says",
                path=str(wanted.state / access.CONFIG),
                content=config,
                mode=0o600,
                owner=vagrant.owner,
                after=lambda v: replace(v, files={**v.files, access.CONFIG: config}),
            )

    def _wait(self, vagrant: VagrantFacts, reached: Mapping[str, Way]) -> Iterator[Action | Noop]:
        for name, way in reached.items():
            if said := vagrant.vm(name).answers:
                yield Noop(name, f"answers at {way.address}:{way.port}: {said}")
            else:
                yield WaitFor(
                    host=MACHINE,
                    title=f"wait for {name} at {way.address}:{way.port}",
                    condition=Answers(way.address, way.port, name),
                    within=120,
                    hint=f"{vagrant.project.line('reload', name)}; where that does not help, destroy it and up again",
                )

    def _pin(self, lab: Lab, vagrant: VagrantFacts, reached: Mapping[str, Way]) -> Iterator[Action]:
        pins = []
        for name, way in reached.items():
            vm = vagrant.vm(name)
            pattern = way.address if way.port == 22 else f"[{way.address}]:{way.port}"
            ask = vagrant.project.host_keys(name) if way.proxy else scan_host_keys(way.address, way.port)
            pins.append(Pin(name=name, id=vm.id, pattern=f"{pattern},{name}", ask=ask, known=vm.key))
        new = [p.name for p in pins if not p.known]
        text = "".join(p.line(p.known) for p in pins)
        path = str(lab.state / access.KNOWN_HOSTS)
        if new:
            yield PinHostKeys(
                title=f"trust the host keys of {', '.join(new)} from now on",
                path=path,
                owner=vagrant.owner,
                pins=tuple(pins),
                after=lambda v: replace(v, vms={n: replace(m, key=PENDING) for n, m in v.vms.items()}),
            )
        elif vagrant.files.get(access.KNOWN_HOSTS) != text:
            yield OwnFile(
                title="write the host keys beside the hosts' new addresses",
                path=path,
                content=text,
                mode=0o600,
                owner=vagrant.owner,
                after=lambda v: replace(v, files={**v.files, access.KNOWN_HOSTS: text}),
            )


def ssh_config(found: Mapping[str, Way], state: Path) -> str:
    """Return an ssh_config that reaches the hosts as Vagrant does, but trusts no other host key."""
    wanted = (
        ways.Way(name, way.address, way.user, way.port, way.keys, only=True, proxy=way.proxy)
        for name, way in found.items()
    )
    return ways.config(wanted, (state / access.KNOWN_HOSTS,))


UP = (Preflight(), Machines(), Access())
"""From nothing to hosts that answer."""

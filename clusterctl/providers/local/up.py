"""Bringing the nodes up, one phase a stage. Every piece is decided on its own from what was found."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from clusterctl.commands import ip, iptables, nspawn
from clusterctl.model.errors import Reason, Refused
from clusterctl.model.facts import Address, File, HostFacts, Listener, Unit
from clusterctl.plan.action import MACHINE
from clusterctl.plan.phase import Noop, Section
from clusterctl.providers import access
from clusterctl.providers.local.actions import (
    PENDING,
    After,
    AwaitSsh,
    Deed,
    MachineFile,
    MakeKey,
    Prepare,
)
from clusterctl.providers.local.facts import MachineFacts, Marker, Namespace, NodeFacts
from clusterctl.providers.local.names import BASE, ROOTS, Names
from clusterctl.providers.local.root import SUITES, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action

_MACHINE = frozenset({Section.MACHINE})

PACKAGES = {
    "ip": "iproute2",
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "setsid": "util-linux",
    "flock": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "tar": "tar",
    "iptables": "iptables",
    "iptables-save": "iptables",
}
"""Which Debian package has the tool."""

ROOT_MB, LAB_MB = 3000, 1000
"""Disk needed to build a root, and for a lab."""

WATCHERS = 8
"""inotify instances of one node while it boots; five stay."""

# runc makes its groups below each controller, which nspawn mounts read-only on control groups v1.
_WRITABLE_GROUPS = """\
[Unit]
Description=Make the control groups writable for Docker
DefaultDependencies=no
Before=docker.service containerd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for c in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$c" || :; done'
"""
_UNIT = "clusterctl-control-groups.service"


def machine(facts: Facts) -> MachineFacts:
    """Return this machine's facts; only the local provider reads them."""
    found: MachineFacts = facts.machine
    return found


def wanted_marker(lab: Lab, made: str = "") -> Marker:
    """Return what the lab is made from, as it is to be written down."""
    local = lab.inventory.local
    return Marker(
        lab=lab.name,
        subnet=local.subnet,
        gateway=local.gateway,
        suite=local.suite,
        internet=local.internet,
        bare=local.bare,
        hosts={h.name: h.cluster_address for h in lab.inventory.hosts.values()},
        fingerprint=hashlib.sha256(lab.inventory.model_dump_json().encode()).hexdigest(),
        made=made,
    )


def fresh(lab: Lab, host: Host) -> HostFacts:
    """Return what a node is like just after its first start."""
    recipe = Recipe(lab.inventory.local.suite, lab.inventory.local.bare)
    off = Unit(loaded=False) if recipe.bare else Unit(active="inactive", enabled="disabled")
    codename = recipe.suite
    return HostFacts(
        name=host.name,
        hostname="debian",
        os_id="debian",
        os_version=recipe.version,
        os_name=f"Debian GNU/Linux {recipe.version} ({codename})",
        addresses=(
            Address("lo", "127.0.0.1", 8, 65536),
            Address("eth0", host.cluster_address, IPv4Network(lab.inventory.local.subnet).prefixlen),
        ),
        routes=("default", lab.inventory.local.subnet),
        listeners=(Listener("tcp", "0.0.0.0", 22, "sshd"), Listener("tcp", "::", 22, "sshd")),  # noqa: S104  sshd does
        tools=recipe.tools,
        versions=recipe.versions,
        files={"/etc/hosts": File("127.0.0.1 localhost\n"), "/etc/hostname": File("debian\n")},
        units={
            "docker.service": off,
            "docker.socket": off,
            "etcd.service": off,
            "containerd.service": off if recipe.bare else Unit(active="active", enabled="enabled"),
        },
        packages=frozenset(recipe.packages),
    )


class Preflight:
    """Look whether this machine can carry the lab, before anything is changed."""

    title = "Check this machine"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused with every reason at once."""
        found = machine(facts)
        reasons = (
            *_rights(found),
            *_tools(wanted, found),
            *_addresses(wanted),
            *_same_lab(wanted, found),
            *_subnet_is_free(wanted, found),
            *_disk(wanted, found),
            *_watchers(wanted, found),
            *_kernel(found),
            *_internet(wanted, found),
        )
        if reasons:
            raise Refused([Reason(MACHINE, message, hint) for message, hint in reasons])
        yield Noop(MACHINE, "root, tools, disk, kernel and subnet are as needed")


def _rights(found: MachineFacts) -> Iterator[tuple[str, str]]:
    if not found.root:
        yield "local hosts need root", "type the same command after: sudo"


def _tools(lab: Lab, found: MachineFacts) -> Iterator[tuple[str, str]]:
    needed = set(PACKAGES)
    if not lab.inventory.local.internet:
        needed -= {"iptables", "iptables-save"}
    local = lab.inventory.local
    if local.suite in SUITES and Recipe(local.suite, local.bare).path in found.roots:
        needed.discard("mmdebstrap")
    missing = sorted(needed - found.tools)
    if missing:
        packages = " ".join(sorted({PACKAGES[tool] for tool in missing}))
        yield f"not installed: {', '.join(missing)}", f"apt-get install {packages}"


def _addresses(lab: Lab) -> Iterator[tuple[str, str]]:
    local = lab.inventory.local
    if local.suite not in SUITES:
        yield f"local.suite {local.suite!r} is not known", f"set local.suite to one of: {', '.join(SUITES)}"
    subnet = IPv4Network(local.subnet)
    taken: dict[str, str] = {local.gateway: "the gateway"}
    for host in lab.inventory.hosts.values():
        if host.address != host.cluster_address or IPv4Interface(host.address).ip not in subnet:
            yield (
                f"{host.name} cannot have the address {host.address}: a local host has one, in {subnet}",
                f"set hosts.{host.name}.address to an address in local.subnet",
            )
        if host.address in taken:
            yield (
                f"{host.name} and {taken[host.address]} have the same address {host.address}",
                f"set hosts.{host.name}.address to another one in {subnet}",
            )
        taken[host.address] = host.name
        if (host.user, host.port) != ("root", 22):
            yield f"{host.name}: local hosts are reached as root on port 22", "remove user and port there"


def _same_lab(lab: Lab, found: MachineFacts) -> Iterator[tuple[str, str]]:
    old, new = found.marker, wanted_marker(lab)
    down = "take it down first (clusterctl down), or give this one another name"
    if old:
        changed = [f"{key} {was}" for key in ("subnet", "gateway", "suite", "bare")
                   if (was := getattr(old, key)) != getattr(new, key)]  # fmt: skip
        changed += [f"{h} at {a}" for h, a in old.hosts.items() if new.hosts.get(h, a) != a]
        changed += [f"{h} at {a}" for h, a in old.hosts.items()
                    if h not in new.hosts and a in new.hosts.values()]  # fmt: skip
        if changed:
            yield (
                f"a lab '{lab.name}' is here already, made from another inventory at {old.made}: {', '.join(changed)}",
                down,
            )
    own = found.names.all(tuple(new.hosts))
    for other in found.others.values():
        if clash := own & Names(other.lab).all(tuple(other.hosts)):
            yield (
                f"the lab '{other.lab}' has something called {min(clash)} already",
                "give this lab another name",
            )


def _subnet_is_free(lab: Lab, found: MachineFacts) -> Iterator[tuple[str, str]]:
    subnet = IPv4Network(lab.inventory.local.subnet)
    labs = {Names(o.lab).link: o.lab for o in found.others.values()}
    taken: dict[str, str] = {}
    for entry in found.networks:
        other = IPv4Interface(entry.network).network
        # Two halves of everything are how a VPN takes the default route.
        if entry.link == found.names.link or other.prefixlen <= 1 or not other.overlaps(subnet):
            continue
        where = f"the lab '{labs[entry.link]}'" if entry.link in labs else entry.link or "a route"
        taken.setdefault(where, entry.network)
    for where, network in taken.items():
        yield (
            f"the subnet {subnet} is in use: {network} on {where}",
            "set local.subnet, local.gateway and the hosts' addresses to a free one",
        )


def _disk(lab: Lab, found: MachineFacts) -> Iterator[tuple[str, str]]:
    local = lab.inventory.local
    build = local.suite not in SUITES or Recipe(local.suite, local.bare).path not in found.roots
    for folder, needed in ((BASE, LAB_MB), (ROOTS, ROOT_MB if build else 0)):
        free = found.disk_free_mb.get(folder)
        if free is not None and free < needed and not (folder == BASE and found.marker):
            yield (
                f"{folder} has {free} MB free and needs {needed} MB",
                f"free some space: df -h {_parent(folder)}",
            )
        if found.filesystem.get(folder) == "overlay":
            yield (
                f"{folder} is on overlayfs, which cannot carry another one",
                f"mount a disk or a volume at {_parent(folder)}",
            )


def _watchers(lab: Lab, found: MachineFacts) -> Iterator[tuple[str, str]]:
    missing = [h for h in lab.inventory.hosts if not found.node(h).runs]
    needed = WATCHERS * len(missing)
    if found.watchers_free is not None and found.watchers_free < needed:
        yield (
            f"{len(missing)} more hosts need about {needed} inotify instances, and root may have "
            f"{max(found.watchers_free, 0)} more: without them their systemd stands still while it boots",
            "sysctl -w fs.inotify.max_user_instances=1024, until the next boot",
        )


def _parent(folder: str) -> str:
    return folder.rpartition("/")[0]


def _kernel(found: MachineFacts) -> Iterator[tuple[str, str]]:
    if found.lacks:
        yield (
            f"the kernel {found.kernel} has no {', '.join(found.lacks)}",
            f"modprobe -a {' '.join(found.lacks)}; where that fails, use the provider vagrant",
        )


def _internet(lab: Lab, found: MachineFacts) -> Iterator[tuple[str, str]]:
    if lab.inventory.local.internet and not found.resolver:
        yield (
            "local.internet is on, but the only nameserver in /etc/resolv.conf is on loopback (127.x) "
            "or there is none: a node could not reach it",
            "put a nameserver that the nodes can reach into /etc/resolv.conf, or set local.internet to false",
        )


class BuildRoot:
    """Build the nodes' root folder, once for all labs."""

    title = "Build the nodes' root"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Build it where no root of this recipe is kept."""
        recipe = Recipe(wanted.inventory.local.suite, wanted.inventory.local.bare)
        if recipe.path in machine(facts).roots:
            yield Noop(MACHINE, f"the root is built: {recipe.path}")
            return
        yield Deed(
            host=MACHINE,
            title=f"build a {'bare ' if recipe.bare else ''}root of Debian {recipe.suite}"
            f"{'' if recipe.bare else ' with Docker and etcd'} in {recipe.path}",
            command=recipe.build(),
            hint="look whether this machine reaches deb.debian.org: apt-get update",
            after=lambda m: replace(m, roots=m.roots | {recipe.path}),
        )


class Switch:
    """Make the lab's switch: a bridge in a namespace of its own, out of this machine's firewall."""

    title = "Make the lab's switch"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write down what the lab is made from, make its key, its switch, its way out."""
        found, local = machine(facts), wanted.inventory.local
        names = found.names
        yield from self._marker(wanted, found)
        key = f"{wanted.state}/{access.KEY}"
        if not found.files.get(f"{access.KEY}.pub"):
            yield MakeKey(
                host=MACHINE,
                title=f"make the lab's SSH key {key}",
                path=key,
                after=lambda m: m.with_file(f"{access.KEY}.pub", PENDING),
            )
        address = f"{local.gateway}/{IPv4Network(local.subnet).prefixlen}"
        whole = Namespace(frozenset({"lo", "br0", "uplink"}))
        if found.link == address and found.switch and whole.links <= found.switch.links:
            yield Noop(MACHINE, f"the switch is there, {names.link} has {address}")
        else:
            yield Deed(
                host=MACHINE,
                title=f"make the switch in {names.switch}, and {names.link} with {address} into it",
                command=ip.make_switch(names.switch, names.link, address),
                after=lambda m: replace(m, link=address, switch=m.switch or whole),
            )
        if local.internet:
            yield from self._internet(wanted, found)

    def _marker(self, lab: Lab, found: MachineFacts) -> Iterator[Action | Noop]:
        names, old = found.names, found.marker
        if found.netns_folder != "mounted" and "netns" not in found.was:
            was = found.netns_folder
            yield MachineFile(
                host=MACHINE,
                title=f"write down how {ip.NAMESPACES} is before the first namespace",
                path=f"{names.was}/netns",
                content=was,
                mode=0o600,
                after=lambda m: replace(m, was={**m.was, "netns": was}, folder=True),
            )
        if not found.nspawn_folder and "nspawn" not in found.was:
            yield MachineFile(
                host=MACHINE,
                title=f"write down that there is no {nspawn.FOLDER} before the first node",
                path=f"{names.was}/nspawn",
                content="absent",
                mode=0o600,
                after=lambda m: replace(m, was={**m.was, "nspawn": "absent"}, folder=True),
            )
        new = wanted_marker(lab, old.made if old else time.strftime("%F %T"))
        if old:
            # What is in the folder stays in the marker, so that a dropped host's address stays known.
            new = replace(new, hosts={**old.hosts, **new.hosts})
        if new != old:
            yield MachineFile(
                host=MACHINE,
                title="write down what the lab is made from",
                path=names.marker,
                content=new.dump(),
                mode=0o600,
                after=lambda m: replace(m, marker=new, folder=True),
            )

    def _internet(self, lab: Lab, found: MachineFacts) -> Iterator[Action | Noop]:
        names, subnet = found.names, lab.inventory.local.subnet
        wanted = 3 if found.forward_drops else 1
        if found.ip_forward and len(found.rules) >= wanted:
            yield Noop(MACHINE, f"{subnet} reaches the internet")
            return
        yield Deed(
            host=MACHINE,
            title=f"forward and masquerade {subnet}",
            command=iptables.share(subnet, names.switch, f"{names.was}/ip_forward", forward_drops=found.forward_drops),
            after=lambda m: replace(m, ip_forward=True, rules=(names.switch,) * wanted),
        )


class Nodes:
    """Make the nodes and start them, side by side."""

    title = "Start the hosts"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Decide each node by itself, and each of its pieces."""
        for host in wanted.inventory.hosts.values():
            found = machine(facts)
            actions = tuple(self._node(wanted, found, host))
            yield from actions
            if not actions:
                yield Noop(host.name, f"runs since before, process {found.node(host.name).nspawn}")

    def _node(self, lab: Lab, found: MachineFacts, host: Host) -> Iterator[Action]:
        names, local, node = found.names, lab.inventory.local, found.node(host.name)
        name, place = names.node(host.name), names.place(host.name)
        recipe = Recipe(local.suite, local.bare)
        if not node.runs and node.control_groups:
            yield Deed(
                host=host.name,
                title=f"remove what is left of {host.name}'s last run",
                command=nspawn.kill(name, 0, ()),
            )
        if f"{place}/root" not in node.mounts:
            yield Deed(
                host=host.name,
                title=f"mount {host.name}'s disk",
                command=nspawn.mount(recipe.path, place),
                after=_node_after(host.name, folder=True, mounts=(f"{place}/root",)),
            )
        yield from self._contents(lab, found, host)
        prefix = IPv4Network(local.subnet).prefixlen
        network = Namespace(frozenset({"lo", "eth0"}), host.cluster_address, local.gateway)
        port = names.port(host.name)
        plugged = found.switch is not None and port in found.switch.links
        if not plugged or node.network is None or not node.network.covers(network):
            yield Deed(
                host=host.name,
                title=f"plug {host.name} into the switch as {host.cluster_address}",
                command=ip.join_switch(
                    name,
                    names.switch,
                    port,
                    address=f"{host.cluster_address}/{prefix}",
                    gateway=local.gateway,
                    mac=names.mac(host.name),
                    init=node.leader,
                ),
                after=_plugged(host.name, port, network),
            )
        if not node.runs:
            legacy = found.cgroup == 1 and local.suite != "bookworm"
            line = nspawn.argv(name, place, legacy_cgroups=legacy)
            yield Deed(
                host=host.name,
                title=f"start {host.name}",
                command=nspawn.start(name, place, line, by_systemd=found.systemd),
                hint=f"less {place}/console.log",
                after=_node_after(host.name, nspawn=1, leader=1),
                makes=None if node.host_key else fresh(lab, host),
            )

    def _contents(self, lab: Lab, found: MachineFacts, host: Host) -> Iterator[Action]:
        node, root = found.node(host.name), f"{found.names.place(host.name)}/root"
        key = found.files.get(f"{access.KEY}.pub", "").strip()
        # Where no server is, the gateway says at once that there is none; without one Docker asks the internet's.
        local = lab.inventory.local
        resolver = found.resolver if local.internet else f"nameserver {local.gateway}\n"
        if not node.host_key:
            yield Prepare(
                host=host.name,
                title=f"give {host.name} its name, keys and resolver",
                root=root,
                authorized=f"{key}\n",
                resolver=resolver,
                units=_units(found),
                after=_node_after(host.name, host_key=PENDING, authorized=key, resolver=resolver),
            )
            return
        if key not in node.authorized:
            kept = node.authorized.rstrip("\n")
            yield MachineFile(
                host=host.name,
                title=f"let the lab's key into {host.name}",
                path=f"{root}/root/.ssh/authorized_keys",
                content=f"{kept}\n{key}\n" if kept else f"{key}\n",
                mode=0o600,
                after=_node_after(host.name, authorized=key),
            )
        if local.internet and resolver not in node.resolver:
            yield MachineFile(
                host=host.name,
                title=f"give {host.name} a resolver",
                path=f"{root}/etc/resolv.conf",
                content=resolver,
                after=_node_after(host.name, resolver=resolver),
            )


def _units(found: MachineFacts) -> tuple[tuple[str, str], ...]:
    if found.cgroup != 1:
        return ()
    folder = "/etc/systemd/system"
    return (
        (f"{folder}/{_UNIT}", _WRITABLE_GROUPS),
        (f"{folder}/docker.service.wants/{_UNIT}", f"->../{_UNIT}"),
    )


def _node_after(host: str, **changes: object) -> After:
    def after(found: MachineFacts) -> MachineFacts:
        node: NodeFacts = replace(found.node(host), **changes)  # type: ignore[arg-type]
        return found.with_node(node)

    return after


def _plugged(host: str, port: str, network: Namespace) -> After:
    def after(found: MachineFacts) -> MachineFacts:
        switch = found.switch or Namespace()
        found = replace(found, switch=replace(switch, links=switch.links | {port}))
        return _node_after(host, network=network)(found)

    return after


class Access:
    """Write down the hosts' keys and how to reach them, then wait until each answers."""

    title = "Wait for SSH"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write what differs; wait for those that do not answer yet."""
        found = machine(facts)
        hosts = tuple(wanted.inventory.hosts.values())
        host_keys = {h.name: found.node(h.name).host_key for h in hosts}
        for name, content in (
            (access.KNOWN_HOSTS, access.known_hosts(hosts, host_keys)),
            (access.CONFIG, access.ssh_config(hosts, wanted.state)),
        ):
            if found.files.get(name) != content:
                yield MachineFile(
                    host=MACHINE,
                    title=f"write {wanted.state / name}",
                    path=str(wanted.state / name),
                    content=content,
                    mode=0o600,
                    after=_file_after(name, content),
                )
        for host in hosts:
            if banner := found.node(host.name).banner:
                yield Noop(host.name, f"answers at {host.address}: {banner}")
            else:
                yield AwaitSsh(
                    host=host.name,
                    title=f"wait for {host.name} at {host.address}",
                    names=found.names,
                    address=host.address,
                    ssh_config=str(wanted.state / access.CONFIG),
                    after=_node_after(host.name, banner="SSH-2.0"),
                )


def _file_after(name: str, content: str) -> After:
    return lambda found: found.with_file(name, content)


UP = (Preflight(), BuildRoot(), Switch(), Nodes(), Access())
"""From nothing to hosts that answer."""

"""Taking the nodes away without a trace, from the lab's name and what is found on this machine alone."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import ip, iptables, nspawn
from clusterctl.plan.action import MACHINE
from clusterctl.plan.command import command, script
from clusterctl.plan.phase import Noop, Section
from clusterctl.providers.local.actions import Deed
from clusterctl.providers.local.names import BASE, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.providers.local.actions import After
    from clusterctl.providers.local.facts import MachineFacts

_MACHINE = frozenset({Section.MACHINE})

# "$@" pairs of a record and where another lab is to find it: who goes last puts things back.
_HAND_OVER = """\
set -eu; umask 077
while [ $# -gt 1 ]; do mkdir -p "$(dirname "$2")"; [ -e "$2" ] || cp "$1" "$2"; shift 2; done"""

# "$1" the labs' folder: it and its parent go when they are empty.
_PARENTS = 'rmdir "$1" 2>/dev/null && rmdir "$(dirname "$1")" 2>/dev/null; :'


def machine(facts: Facts) -> MachineFacts:
    """Return this machine's facts; only the local provider reads them."""
    found: MachineFacts = facts.machine
    return found


class StopNodes:
    """End the nodes at once: what they hold is thrown away with them."""

    title = "End the hosts"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """End what runs, take the disks off, and the networks."""
        found = machine(facts)
        for node in found.nodes.values():
            name = found.names.node(node.name)
            if node.runs or node.control_groups:
                yield Deed(
                    host=node.name,
                    title=f"end {node.name}",
                    command=nspawn.kill(name, node.nspawn, (node.leader,) if node.leader else ()),
                    after=_node_after(node.name, nspawn=0, leader=0, banner="", control_groups=False),
                    takes=node.name,
                )
            else:
                yield Noop(node.name, "does not run")
            if node.mounts:
                yield Deed(
                    host=node.name,
                    title=f"unmount {node.name}'s disk",
                    command=nspawn.unmount(*node.mounts),
                    after=_node_after(node.name, mounts=()),
                )


class RemoveNetwork:
    """Remove the switch, the nodes' namespaces, this machine's link and the firewall's rules."""

    title = "Remove the lab's network"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what is there; put back what was changed, unless another lab needs it still."""
        found = machine(facts)
        names = found.names
        spaces = [names.node(n.name) for n in found.nodes.values() if n.network]
        spaces += [names.switch] if found.switch else []
        spaces += found.stray_namespaces
        actions: list[Action] = []
        if found.link:
            actions.append(
                Deed(
                    host=MACHINE,
                    title=f"remove {names.link}",
                    command=ip.remove_link(names.link),
                    after=lambda m: replace(m, link=""),
                )
            )
        if spaces:
            actions.append(
                Deed(
                    host=MACHINE,
                    title="remove the namespaces and all links in them",
                    command=ip.remove_namespaces(*spaces),
                    after=_without_networks,
                )
            )
        if found.rules:
            actions.append(
                Deed(
                    host=MACHINE,
                    title="remove the lab's firewall rules",
                    command=iptables.unshare(names.switch),
                    after=lambda m: replace(m, rules=()),
                )
            )
        actions += _put_back(found)
        yield from actions
        if not actions:
            yield Noop(MACHINE, "nothing of the lab's network is there")


def _put_back(found: MachineFacts) -> Iterator[Action]:
    names = found.names
    heirs = {
        "ip_forward": [o for o in found.others.values() if o.internet],
        "netns": list(found.others.values()),
        "nspawn": list(found.others.values()),
    }
    pairs: list[str] = []
    for record in found.was:
        for heir in heirs.get(record, []):
            pairs += (f"{names.was}/{record}", f"{Names(heir.lab).was}/{record}")
    if pairs:
        yield Deed(
            host=MACHINE,
            title="leave the records of what was changed to the labs that still need it",
            command=script(_HAND_OVER, *pairs),
        )
    if "ip_forward" in found.was and not heirs["ip_forward"]:
        value = found.was["ip_forward"]
        yield Deed(
            host=MACHINE,
            title=f"put net.ipv4.ip_forward back to {value}",
            command=script(f'echo "$1" > {shlex.quote(iptables.FORWARD)}', value),
            after=lambda m: replace(m, ip_forward=value == "1"),
        )
    if "nspawn" in found.was and not heirs["nspawn"]:
        yield Deed(
            host=MACHINE,
            title=f"remove {nspawn.FOLDER}, as it was",
            command=nspawn.remove_own_folder(),
            after=lambda m: replace(m, nspawn_folder=False),
        )
    if "netns" in found.was and not heirs["netns"]:
        yield Deed(
            host=MACHINE,
            title=f"put {ip.NAMESPACES} back as it was",
            command=ip.restore_folder(found.was["netns"]),
            after=lambda m: replace(m, netns_folder=found.was["netns"]),
        )


class RemoveFiles:
    """Remove the nodes' disks and the lab's records here. Built roots stay for the next lab."""

    title = "Remove the lab's files"
    reads = _MACHINE

    def plan(self, wanted: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove the lab's folder, then the folder with its keys."""
        found = machine(facts)
        if found.folder:
            yield Deed(
                host=MACHINE,
                title=f"remove {found.names.folder}",
                command=nspawn.remove_folder(found.names.folder),
                after=lambda m: replace(m, folder=False, marker=None, nodes={}, was={}),
            )
            yield Deed(host=MACHINE, title="remove what only labs need", command=script(_PARENTS, BASE))
        else:
            yield Noop(MACHINE, f"there is no {found.names.folder}")
        if found.state:
            yield Deed(
                host=MACHINE,
                title=f"remove {wanted.state}",
                command=command("rm", "-rf", "--", str(wanted.state)),
                after=lambda m: replace(m, state=False, files={}),
            )


def _without_networks(found: MachineFacts) -> MachineFacts:
    nodes = {name: replace(node, network=None) for name, node in found.nodes.items()}
    return replace(found, nodes=nodes, switch=None, link="", stray_namespaces=())


def _node_after(host: str, **changes: object) -> After:
    def after(found: MachineFacts) -> MachineFacts:
        return found.with_node(replace(found.node(host), **changes))  # type: ignore[arg-type]

    return after


DOWN = (StopNodes(), RemoveNetwork(), RemoveFiles())
"""From hosts to nothing."""

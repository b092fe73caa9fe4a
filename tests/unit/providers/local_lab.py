"""A lab and a machine for the tests of the local provider's decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clusterctl.model.facts import Facts
from clusterctl.model.inventory import Host, Inventory, Local
from clusterctl.model.lab import Lab
from clusterctl.model.playbook import Playbook
from clusterctl.plan.action import Action
from clusterctl.plan.phase import Noop, Phase
from clusterctl.providers.local.facts import MachineFacts, Network
from clusterctl.providers.local.names import BASE, ROOTS
from clusterctl.providers.local.read import TOOLS
from clusterctl.providers.local.root import Recipe


def lab(*hosts: str, state: str = "/state", **local: object) -> Lab:
    """Return a lab `prov` on 10.1.77.0/24 with these hosts, docker1 and docker2 unless given."""
    names = hosts or ("docker1", "docker2")
    found = {n: Host(name=n, address=f"10.1.77.{i}", cluster_address=f"10.1.77.{i}") for i, n in enumerate(names, 1)}
    settings = {"subnet": "10.1.77.0/24", "gateway": "10.1.77.254", **local}
    inventory = Inventory(name="prov", provider="local", hosts=found, local=Local(**settings))
    return Lab(inventory, Playbook(name="none"), playbook_text="", state=Path(state))


def bare(**changes: object) -> MachineFacts:
    """Return a machine that can carry the lab and has nothing of it."""
    machine = MachineFacts(
        lab="prov",
        tools=frozenset(TOOLS),
        cgroup=1,
        disk_free_mb={BASE: 50_000, ROOTS: 50_000},
        filesystem={BASE: "ext4", ROOTS: "ext4"},
        networks=(Network("192.0.2.2/24", "eth0"), Network("127.0.0.1/8", "lo")),
        resolver="nameserver 192.0.2.53\n",
        roots=frozenset({Recipe("bookworm").path}),
    )
    return replace(machine, **changes)  # type: ignore[arg-type]


def decide(phase: Phase[Lab], wanted: Lab, machine: MachineFacts) -> list[Action | Noop]:
    """Return what a phase decides."""
    return list(phase.plan(wanted, Facts(machine=machine)))


def actions(steps: Sequence[Action | Noop]) -> list[Action]:
    """Return the steps that do something."""
    return [s for s in steps if not isinstance(s, Noop)]


def after(phases: Sequence[Phase[Lab]], wanted: Lab, machine: MachineFacts) -> Facts:
    """Return the facts as the phases predict them."""
    facts = Facts(machine=machine)
    for phase in phases:
        for action in actions(list(phase.plan(wanted, facts))):
            facts = action.predict(facts)
    return facts

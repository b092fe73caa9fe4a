"""What can be expected of a lab, one file a kind: probes as data, and a pure judgement of what came back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.checks.address import Address
from clusterctl.checks.agreed import Agreed
from clusterctl.checks.attaches import Attaches
from clusterctl.checks.binds import Binds
from clusterctl.checks.check import Check, Kind
from clusterctl.checks.connects import Connects
from clusterctl.checks.encapsulated import Encapsulated
from clusterctl.checks.forwarded import Forwarded
from clusterctl.checks.framed import Framed
from clusterctl.checks.from_host import FromHost
from clusterctl.checks.gateway import Gateway
from clusterctl.checks.hosts_file import HostsFile
from clusterctl.checks.interfaces import Interfaces
from clusterctl.checks.lifetime import Lifetime
from clusterctl.checks.ping import Ping
from clusterctl.checks.resolves import Resolves
from clusterctl.checks.routed import Routed
from clusterctl.checks.stored import Stored
from clusterctl.checks.veth import Veth
from clusterctl.checks.visible import Visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Expectation

KINDS: Mapping[str, type[Kind]] = {
    k.kind: k
    for k in (
        Address,
        Agreed,
        Attaches,
        Binds,
        Connects,
        Encapsulated,
        Forwarded,
        Framed,
        FromHost,
        Gateway,
        HostsFile,
        Interfaces,
        Lifetime,
        Ping,
        Resolves,
        Routed,
        Stored,
        Veth,
        Visible,
    )
}
"""The kinds of expectations by their keys in a playbook."""


def checks_of(lab: Lab, facts: Facts) -> tuple[Check, ...]:
    """Return every check of the lab's playbook, in its order. Pure."""
    return tuple(c for e in lab.playbook.expect for c in checks_for(lab, facts, e))


def checks_for(lab: Lab, facts: Facts, expectation: Expectation) -> tuple[Check, ...]:
    """Return the checks of one expectation, each with its reason. Pure."""
    if not isinstance(expectation, Kind):
        return ()
    return tuple(replace(c, why=expectation.why) for c in expectation.checks(lab, facts))

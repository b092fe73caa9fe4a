"""The end of a change of the CA, once every member trusts the present one beside the one before."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.model.inventory import Role
from clusterctl.phases.certificates import issue
from clusterctl.phases.etcd import runs, start
from clusterctl.plan import files
from clusterctl.plan.action import MACHINE, Run, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop, Section, steps
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.stores.certificates import Authority


class RenewDaemons:
    """Give every dockerd a certificate of the present CA: no member refuses it any more."""

    title = "Renew Docker's certificates"
    reads = frozenset({Section.HOST})

    def __init__(self, authority: Callable[[], Authority]) -> None:
        self._authority = authority

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Issue what is from another CA."""
        now = datetime.datetime.now(datetime.UTC)
        for host in lab.with_role(Role.DOCKER):
            actions = list(issue(self._authority(), host, facts.hosts[host.name], Role.DOCKER, now))
            yield from steps(actions, host.name, "Docker's certificate is from the present CA")


class LetFormerGo:
    """Give every member a certificate of the present CA, which all trust by now; then trust no other any more."""

    title = "Let the former CA go"
    reads = frozenset({Section.HOST})

    def __init__(self, authority: Callable[[], Authority]) -> None:
        self._authority = authority

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Replace the members' certificates on all hosts, which restarts nobody, then the trust, host by host."""
        authority = self._authority()
        now = datetime.datetime.now(datetime.UTC)
        turn = 0
        for host in lab.inventory.hosts.values():
            found = facts.hosts[host.name]
            actions = list(issue(authority, host, found, Role.ETCD, now)) if Role.ETCD in host.roles else []
            trust = list(self._trust(host, found, authority.pair.certificate))
            turn += bool(trust and runs(found))
            actions += [replace(a, turn=max(turn, 1)) for a in trust]
            yield from steps(actions, host.name, "it trusts the present CA alone")
        if turn:
            forget = command("rm", "-f", str(lab.state / etcd.FORMER), root=False)
            yield Run(host=MACHINE, title="trust the former CA no more", command=forget, turn=turn + 1)

    def _trust(self, host: Host, found: HostFacts, authority: str) -> Iterator[Action]:
        held = found.file(etcd.CA)
        if held is None or held.content == authority:
            return
        title = "write the present CA's certificate alone"
        yield WriteFile(host=host.name, title=title, path=etcd.CA, content=authority)
        # A daemon that trusts one more CA than it must is no reason to restart it: it asks, and is never asked.
        yield Run(
            host=host.name,
            title="leave its date: Docker need not start anew for it",
            command=files.date(etcd.CA, held.modified),
            effect=lambda f: f.with_file(etcd.CA, replace(f.files[etcd.CA], modified=held.modified)),
        )
        if runs(found):
            yield from start(host, "restart etcd without the former CA")

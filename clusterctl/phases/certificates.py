"""Every etcd member and every dockerd gets a key and a certificate of its own."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from clusterctl.model.inventory import Role
from clusterctl.plan.action import WriteFile
from clusterctl.plan.phase import Section, steps
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop
    from clusterctl.stores.certificates import Authority


class IssueCertificates:
    """Give each host the certificates of its roles.

    authority: called once, when the phase is planned; the CA's key never leaves the controller.
    """

    title = "Issue certificates"
    reads = frozenset({Section.HOST})

    def __init__(self, authority: Callable[[], Authority]) -> None:
        self._authority = authority

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Issue what a host lacks or what no longer fits."""
        authority = self._authority()
        now = datetime.datetime.now(datetime.UTC)
        for host in lab.inventory.hosts.values():
            actions = list(self._actions(authority, host, facts.hosts[host.name], now))
            yield from steps(actions, host.name, "its certificates fit")

    def _actions(self, authority: Authority, host: Host, found: HostFacts, now: datetime.datetime) -> Iterator[Action]:
        if found.content(etcd.CA) != authority.pair.certificate:
            yield WriteFile(
                host=host.name, title="write the CA's certificate", path=etcd.CA, content=authority.pair.certificate
            )
        if Role.ETCD in host.roles:
            addresses = [host.cluster_address, "127.0.0.1"]
            yield from self._pair(
                authority, host, found, etcd.MEMBER_CERT, etcd.MEMBER_KEY, addresses, "etcd:etcd", now
            )
        if Role.DOCKER in host.roles:
            yield from self._pair(authority, host, found, etcd.DOCKER_CERT, etcd.DOCKER_KEY, [], "root:root", now)

    def _pair(
        self,
        authority: Authority,
        host: Host,
        found: HostFacts,
        certificate: str,
        key: str,
        addresses: list[str],
        owner: str,
        now: datetime.datetime,
    ) -> Iterator[Action]:
        server = bool(addresses)
        held = found.file(key)
        why = authority.unfit(found.content(certificate), addresses, server=server, now=now)
        if not why and held and held.mode == 0o600 and held.owner == owner:
            return
        pair = authority.issue(f"{host.name} {'etcd' if server else 'docker'}", addresses, server=server, now=now)
        what = "etcd's" if server else "Docker's"
        write_key = WriteFile(
            host=host.name,
            title=f"write {what} key",
            path=key,
            content=pair.key,
            mode=0o600,
            owner=owner,
            secret=True,
        )
        write_certificate = WriteFile(
            host=host.name,
            title=f"write {what} certificate ({why or 'its key was not safe'})",
            path=certificate,
            content=pair.certificate,
        )
        # A run that ends between the two must leave the half that is seen to be wrong: nobody reads a key.
        yield from (write_key, write_certificate) if why else (write_certificate, write_key)

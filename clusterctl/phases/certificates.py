"""Every etcd member and every dockerd gets a key and a certificate of its own.

Where the CA is another than before, members and daemons that run change over without a break: all of them trust
both CAs first, then certificates are replaced, and last the former CA is let go (`clusterctl.phases.rotation`).
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from clusterctl.model.inventory import Role
from clusterctl.plan.action import MACHINE, Run, WriteFile
from clusterctl.plan.command import script
from clusterctl.plan.phase import Section, steps
from clusterctl.stores import etcd
from clusterctl.stores.certificates import fault_in, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop
    from clusterctl.stores.certificates import Authority

PAIRS = {
    Role.ETCD: (etcd.MEMBER_CERT, etcd.MEMBER_KEY, "etcd:etcd", "etcd's"),
    Role.DOCKER: (etcd.DOCKER_CERT, etcd.DOCKER_KEY, "root:root", "Docker's"),
}
"""By role: the certificate and the key, who reads that, and whose they are."""

# "$1": a file of the lab's on this machine, which is written whole or not at all.
_KEEP = 'set -eu; umask 077; mkdir -p "$(dirname "$1")"; cat > "$1.part"; mv "$1.part" "$1"'


def former(lab: Lab, facts: Facts, authority: Authority, now: datetime.datetime) -> tuple[str, ...]:
    """Return the CAs before the present one that certificates in use hold by; none where no member runs."""
    hosts = [(h, facts.hosts[h.name]) for h in lab.inventory.hosts.values() if h.name in facts.hosts]
    if not any(found.unit(etcd.UNIT).active == "active" for _, found in hosts):
        return ()
    known = dict.fromkeys(ca for _, found in hosts for ca in split(found.content(etcd.CA)))
    used = [found.content(PAIRS[role][0]) for host, found in hosts for role in host.roles]
    others = [ca for ca in known if ca != authority.pair.certificate]
    return tuple(ca for ca in others if any(holds_by(ca, pem, now) for pem in used))


def holds_by(authority: str, pem: str, now: datetime.datetime) -> bool:
    """Whether a certificate that is from this CA is valid."""
    return bool(pem) and not fault_in(pem, authority, (), now)[0]


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
        before = former(lab, facts, authority, now)
        trusted = "".join((authority.pair.certificate, *before))
        if before:
            keep = script(_KEEP, str(lab.state / etcd.FORMER), input=trusted.encode(), root=False)
            yield Run(host=MACHINE, title="trust the CA before as well, while hosts hold by it", command=keep)
        for host in lab.inventory.hosts.values():
            found = facts.hosts[host.name]
            actions: list[Action] = []
            if not set(split(trusted)) <= set(split(found.content(etcd.CA))):
                title = "write the CA's certificate" + (", beside the one before" if before else "")
                actions.append(WriteFile(host=host.name, title=title, path=etcd.CA, content=trusted))
            for role in PAIRS:
                if role in host.roles:
                    actions += issue(authority, host, found, role, now, before)
            yield from steps(actions, host.name, "its certificates fit")


def issue(
    authority: Authority, host: Host, found: HostFacts, role: Role, now: datetime.datetime, before: Sequence[str] = ()
) -> Iterator[Action]:
    """Issue a host's pair for one of its roles, unless it has one that fits. One by a CA in `before` may stay."""
    certificate, key, owner, whose = PAIRS[role]
    server = role is Role.ETCD
    addresses = [host.cluster_address, "127.0.0.1"] if server else []
    held = found.file(key)
    safe = held is not None and held.mode == 0o600 and held.owner == owner
    why = authority.unfit(found.content(certificate), addresses, server=server, now=now)
    if safe and (not why or any(holds_by(ca, found.content(certificate), now) for ca in before)):
        return
    pair = authority.issue(f"{host.name} {'etcd' if server else 'docker'}", addresses, server=server, now=now)
    write_key = WriteFile(
        host=host.name,
        title=f"write {whose} key",
        path=key,
        content=pair.key,
        mode=0o600,
        owner=owner,
        secret=True,
    )
    write_certificate = WriteFile(
        host=host.name,
        title=f"write {whose} certificate ({why or 'its key was not safe'})",
        path=certificate,
        content=pair.certificate,
    )
    # A run that ends between the two must leave the half that is seen to be wrong: nobody reads a key.
    yield from (write_key, write_certificate) if why else (write_certificate, write_key)

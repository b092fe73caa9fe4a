"""Reads the hosts' facts side by side: one script a host, then its Docker API where the daemon runs."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from clusterctl.commands.facts import parse, read_host
from clusterctl.model.errors import ClusterctlError, HostError, HostsFailed, TimedOut
from clusterctl.model.facts import StoreFacts
from clusterctl.plan.phase import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from clusterctl.model.facts import DockerFacts, Facts, HostFacts, Member
    from clusterctl.plan.door import Door, EtcdDoor

_T = TypeVar("_T")
Kept: TypeAlias = "tuple[frozenset[str], frozenset[str]]"
"""What Docker keeps in the store: the addresses that dockerds announced, and the names of the networks."""

_Said: TypeAlias = "tuple[str, tuple[Member, ...], Kept]"
"""Why a member does not serve the store, empty where it does; the members that it knows of; what Docker keeps there."""
_NOTHING: Kept = (frozenset(), frozenset())

NOT_THERE = "the host is not there"
NEEDS = "hosts must be Linux with systemd and a POSIX shell: uname -s"


class FactsReader:
    """Reads facts through doors.

    machine: reads the provider's part. present: which hosts are there to be asked; all when it is None.
    tolerant: hosts that do not answer are noted, not raised.
    member_unit: the systemd unit of a member of the store. kept: finds what Docker keeps in it.
    devices: what the kernels are asked for.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        doors: Callable[[str], Door],
        machine: Callable[[], object],
        files: Sequence[str],
        units: Sequence[str],
        *,
        member_unit: str,
        kept: Callable[[EtcdDoor], Kept],
        present: Callable[[], Collection[str]] | None = None,
        tolerant: bool = False,
        devices: Sequence[str] = (),
        parallel: int = 16,
    ) -> None:
        self._hosts, self._doors, self._machine = tuple(hosts), doors, machine
        self._asking = functools.partial(read_host, files, units, devices)
        self.command = self._asking()
        """What each host is asked first; later it need not say again which programs it has."""
        self._programs: dict[str, tuple[str, ...]] = {}
        self._present, self._tolerant, self._parallel = present, tolerant, parallel
        self._member_unit, self._kept = member_unit, kept

    def read(self, sections: frozenset[Section], known: Facts) -> Facts:
        """Return `known` with these sections read anew. Raises HostsFailed unless tolerant."""
        facts = replace(known, machine=self._machine()) if Section.MACHINE in sections else known
        said: Mapping[str, _Said | None] = {}
        if sections & {Section.HOST, Section.DOCKER}:
            facts, said = self._read_hosts(sections, facts)
        elif Section.STORE in sections:
            runs = [h for h, found in facts.hosts.items() if self._runs_member(found)]
            said = self._side_by_side("store", runs, self._member)
        return replace(facts, store=_store(said)) if Section.STORE in sections else facts

    def _side_by_side(self, name: str, hosts: Sequence[str], ask: Callable[[str], _T]) -> dict[str, _T]:
        if not hosts:
            return {}
        with ThreadPoolExecutor(min(self._parallel, len(hosts)), thread_name_prefix=name) as pool:
            return dict(zip(hosts, pool.map(ask, hosts), strict=True))

    def _runs_member(self, found: HostFacts) -> bool:
        return found.unit(self._member_unit).active == "active"

    def _member(self, host: str) -> _Said | None:
        """Ask a member of the store; None where this machine has no certificate to ask with."""
        try:
            etcd = self._doors(host).etcd
        except ClusterctlError:
            return None
        health = etcd.health()
        if not health.healthy:
            return health.reason or "not healthy", (), _NOTHING
        try:
            return "" if health.v2 else health.reason, etcd.members(), self._kept(etcd)
        except ClusterctlError as error:
            return error.message, (), _NOTHING

    def _read_hosts(self, sections: frozenset[Section], facts: Facts) -> tuple[Facts, dict[str, _Said | None]]:
        """Return the facts with the hosts, and what their members of the store say where these are read as well."""
        there = self._hosts if self._present is None else self._present()
        absent = {h: NOT_THERE for h in self._hosts if h not in there}
        facts = replace(facts, missing={**facts.missing, **absent})
        asked = [h for h in self._hosts if h not in facts.missing]
        said: dict[str, _Said | None] = {}
        errors: dict[str, ClusterctlError] = {}

        def read(host: str) -> HostFacts | ClusterctlError:
            known = facts.hosts.get(host)
            with ThreadPoolExecutor(2, thread_name_prefix="beside") as beside:
                docker = member = None
                # What ran when it was last looked at is asked at once; what it says counts if it runs now.
                if known and Section.DOCKER in sections and _runs_docker(known):
                    docker = beside.submit(self._docker, host)
                if known and Section.STORE in sections and self._runs_member(known):
                    member = beside.submit(self._member, host)
                try:
                    found = known if known and docker and Section.HOST not in sections else self._host(host)
                    if Section.STORE in sections and self._runs_member(found):
                        member = member or beside.submit(self._member, host)
                        said[host] = None
                    if Section.DOCKER in sections and _runs_docker(found):
                        found = replace(found, docker=docker.result() if docker else self._docker(host))
                    if member and host in said:
                        said[host] = member.result()
                except ClusterctlError as error:
                    return error
            return found

        for host, found in self._side_by_side("read", asked, read).items():
            if isinstance(found, ClusterctlError):
                errors[host] = found
            else:
                facts = facts.with_host(found)
        if errors and not self._tolerant:
            raise HostsFailed("Read the hosts", errors, [h for h in asked if h not in errors])
        return replace(facts, missing={**facts.missing, **{h: e.message for h, e in errors.items()}}), said

    def one(self, host: str, *, docker: bool = True) -> HostFacts:
        """Read one host, and what its Docker says where that runs and is asked. Raises HostError."""
        found = self._host(host)
        return replace(found, docker=self._docker(host)) if docker and _runs_docker(found) else found

    def _docker(self, host: str) -> DockerFacts:
        return self._doors(host).docker.facts()

    def _host(self, host: str) -> HostFacts:
        door = self._doors(host)
        try:
            command = self._asking(self._programs.get(host, ()))
            result = door.run(command).expect("read the host's facts", NEEDS)
        except TimedOut as error:
            raise TimedOut(
                host, "read the host's facts", command.within, error.evidence, hint="is it overloaded? uptime"
            ) from error
        try:
            now = time.time()
            found = parse(host, result.stdout, asked=(now - result.seconds, now))
        except ValueError as error:
            raise HostError(host, f"read the host's facts: {error}: {result.tail()}", hint=NEEDS) from error
        self._programs[host] = found.programs
        return found


def _runs_docker(found: HostFacts) -> bool:
    return found.unit("docker.service").active == "active"


def _store(said: Mapping[str, _Said | None]) -> StoreFacts | None:
    """Put together what the members say; None where none runs, or none could be asked."""
    asked = {host: answer for host, answer in said.items() if answer}
    if not asked:
        return None
    return StoreFacts(
        {host: why for host, (why, _, _) in asked.items()},
        {host: members for host, (_, members, _) in asked.items()},
        frozenset[str]().union(*(daemons for _, _, (daemons, _) in asked.values())),
        frozenset[str]().union(*(networks for _, _, (_, networks) in asked.values())),
    )

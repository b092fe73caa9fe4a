"""Reads the hosts' facts side by side: one script a host, then its Docker API where the daemon runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands.facts import parse, read_host
from clusterctl.model.errors import ClusterctlError, HostError, HostsFailed, TimedOut
from clusterctl.model.facts import StoreFacts
from clusterctl.plan.phase import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from clusterctl.model.facts import Facts, HostFacts, Member
    from clusterctl.plan.door import Door


NOT_THERE = "the host is not there"
NEEDS = "hosts must be Linux with systemd and a POSIX shell: uname -s"


class FactsReader:
    """Reads facts through doors.

    machine: reads the provider's part. present: which hosts are there to be asked; all when it is None.
    tolerant: hosts that do not answer are noted, not raised.
    member_unit: the systemd unit of a member of the store. devices: what the kernels are asked for.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        doors: Callable[[str], Door],
        machine: Callable[[], object],
        files: Sequence[str],
        units: Sequence[str],
        *,
        present: Callable[[], Collection[str]] | None = None,
        tolerant: bool = False,
        member_unit: str = "",
        devices: Sequence[str] = (),
        parallel: int = 16,
    ) -> None:
        self._hosts, self._doors, self._machine = tuple(hosts), doors, machine
        self._command = read_host(files, units, devices)
        self._present, self._tolerant, self._parallel = present, tolerant, parallel
        self._member_unit = member_unit

    def read(self, sections: frozenset[Section], known: Facts) -> Facts:
        """Return `known` with these sections read anew. Raises HostsFailed unless tolerant."""
        facts = self._read_hosts(sections, known)
        return replace(facts, store=self._read_store(facts)) if Section.STORE in sections else facts

    def _read_store(self, facts: Facts) -> StoreFacts | None:
        """Ask each member that runs; None where none does, or where this machine has no certificate to ask with."""
        runs = [h for h, found in facts.hosts.items() if found.unit(self._member_unit).active == "active"]
        if not runs:
            return None
        with ThreadPoolExecutor(min(self._parallel, len(runs)), thread_name_prefix="store") as pool:
            said = dict(zip(runs, pool.map(self._member, runs), strict=True))
        asked = {host: answer for host, answer in said.items() if answer}
        if not asked:
            return None
        return StoreFacts({h: why for h, (why, _) in asked.items()}, {h: m for h, (_, m) in asked.items()})

    def _member(self, host: str) -> tuple[str, tuple[Member, ...]] | None:
        try:
            etcd = self._doors(host).etcd
        except ClusterctlError:
            return None
        health = etcd.health()
        if not health.healthy:
            return health.reason or "not healthy", ()
        try:
            return "" if health.v2 else health.reason, etcd.members()
        except ClusterctlError as error:
            return error.message, ()

    def _read_hosts(self, sections: frozenset[Section], known: Facts) -> Facts:
        facts = replace(known, machine=self._machine()) if Section.MACHINE in sections else known
        if not sections & {Section.HOST, Section.DOCKER}:
            return facts
        there = self._hosts if self._present is None else self._present()
        absent = {h: NOT_THERE for h in self._hosts if h not in there}
        facts = replace(facts, missing={**facts.missing, **absent})
        asked = [h for h in self._hosts if h not in facts.missing]
        if not asked:
            return facts
        with ThreadPoolExecutor(min(self._parallel, len(asked)), thread_name_prefix="read") as pool:
            futures = {host: pool.submit(self._host, host, Section.DOCKER in sections) for host in asked}
        errors: dict[str, ClusterctlError] = {}
        for host, future in futures.items():
            error = future.exception()
            if error is None:
                facts = facts.with_host(future.result())
            elif isinstance(error, ClusterctlError):
                errors[host] = error
            else:
                raise error
        if errors and not self._tolerant:
            raise HostsFailed("Read the hosts", errors, [h for h in futures if h not in errors])
        return replace(facts, missing={**facts.missing, **{h: e.message for h, e in errors.items()}})

    def one(self, host: str, *, docker: bool = True) -> HostFacts:
        """Read one host, and what its Docker says where that runs and is asked. Raises HostError."""
        return self._host(host, docker=docker)

    def _host(self, host: str, docker: bool) -> HostFacts:
        door = self._doors(host)
        try:
            result = door.run(self._command).expect("read the host's facts", NEEDS)
        except TimedOut as error:
            raise TimedOut(
                host, "read the host's facts", self._command.within, error.evidence, hint="is it overloaded? uptime"
            ) from error
        try:
            now = time.time()
            found = parse(host, result.stdout, asked=(now - result.seconds, now))
        except ValueError as error:
            raise HostError(host, f"read the host's facts: {error}: {result.tail()}", hint=NEEDS) from error
        if docker and found.unit("docker.service").active == "active":
            found = replace(found, docker=door.docker.facts())
        return found

"""Reads in one round trip a host what shows how a lab is; what it takes to find a cause, `survey` reads."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from clusterctl.checks.glimpse import GLIMPSE
from clusterctl.checks.layers.survey import DOCKER, Survey, ask_keys, ask_member, together
from clusterctl.commands.facts import parse
from clusterctl.model.errors import ClusterctlError, HostError
from clusterctl.model.inventory import Role
from clusterctl.plan.together import side_by_side
from clusterctl.topology import anatomy
from clusterctl.topology.anatomy import Inside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterctl.checks.layers.survey import Doors
    from clusterctl.model.facts import DockerFacts, HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.topology.anatomy import Anatomy

WITHIN = 8.0
"""Seconds for every answer; what has none by then is unknown, and holds nobody else up."""

Told = tuple["HostFacts", "Anatomy"]


@dataclass
class Glance:
    """Looks at a lab, again and again. A question that is still open is not asked once more."""

    lab: Lab
    doors: Doors
    within: float = WITHIN
    _open: set[tuple[str, str]] = field(default_factory=set)

    def look(self, absent: Mapping[str, str]) -> Survey:
        """Read every layer that can be read without sending a packet. absent: why a host is not to be asked."""
        hosts = [h for h in self.lab.inventory.hosts.values() if not absent.get(h.name)]
        jobs: dict[tuple[str, str], Callable[[], Any]] = {}
        told: dict[str, Future[Told]] = {h.name: Future() for h in hosts}
        for host in hosts:
            jobs["told", host.name] = partial(self._host, host.name, told[host.name])
        for host in hosts:
            if Role.ETCD in host.roles:
                jobs["member", host.name] = partial(ask_member, self.doors, host.name)
        jobs["keys", ""] = partial(ask_keys, self.doors, [h.name for h in hosts if Role.ETCD in h.roles])
        for host in hosts:
            if Role.DOCKER in host.roles:
                jobs["docker", host.name] = partial(self._daemon, host.name, told[host.name])
        found = side_by_side({key: partial(self._once, key, job) for key, job in jobs.items()}, self.within)
        return together(_apart(found), absent)

    def _once(self, key: tuple[str, str], job: Callable[[], Any]) -> Any:
        if key in self._open:
            raise ClusterctlError("no answer yet to what was asked before")
        self._open.add(key)
        try:
            return job()
        finally:
            self._open.discard(key)

    def _host(self, name: str, told: Future[Told]) -> Told:
        try:
            result = self.doors(name).run(GLIMPSE).expect("read how the host is")
            now = time.time()
            facts, _, rest = result.stdout.partition("\x02")
            try:
                found = parse(name, facts, asked=(now - result.seconds, now)), anatomy.parse(rest)
            except ValueError as error:
                raise HostError(name, f"read how the host is: {error}") from error
        except BaseException as error:
            told.set_exception(error)
            raise
        told.set_result(found)
        return found

    def _daemon(self, name: str, told: Future[Told]) -> DockerFacts | None:
        facts, _ = told.result(self.within)
        # A daemon that does not run would be started by the question.
        return self.doors(name).docker.facts() if facts.unit(DOCKER).active == "active" else None


def _apart(found: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """Return what the survey is made from: of a host, its facts and what is below Docker's API."""
    out = {key: value for key, value in found.items() if key[0] != "told"}
    for (kind, host), value in found.items():
        if kind == "told" and isinstance(value, str):
            out["facts", host] = out["anatomy", host] = value
        elif kind == "told":
            out["facts", host], below = value
            out["anatomy", host] = _with_containers(below, out.get(("docker", host)))
    return out


def _with_containers(below: Anatomy, daemon: DockerFacts | str | None) -> Anatomy:
    if daemon is None or isinstance(daemon, str):
        return below
    running = (c for c in daemon.containers.values() if c.state in ("running", "paused"))
    inside = {
        c.name: Inside(c.id, c.name, c.state, networks={n: (ip, mac, "") for n, (ip, mac) in c.networks.items()})
        for c in running
    }
    return replace(below, containers=inside)

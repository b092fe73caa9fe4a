"""Reads what the layers are judged by: all hosts and questions side by side, each with a deadline of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from clusterctl.commands import systemd
from clusterctl.commands.anatomy import read_anatomy
from clusterctl.model.errors import ClusterctlError, HostError
from clusterctl.model.facts import DockerFacts, Facts, HostFacts
from clusterctl.model.inventory import Role
from clusterctl.plan.together import side_by_side
from clusterctl.topology import anatomy
from clusterctl.topology.anatomy import Anatomy

if TYPE_CHECKING:
    from clusterctl.checks.probe import Answer, Probe
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import Door, MemberHealth, MemberStatus

Doors = Callable[[str], "Door"]

WITHIN = 9.0
"""Seconds for every answer; what has none by then is unknown."""

ROOT = "/docker"
"""The key that all of Docker's are below."""

DOCKER = "docker.service"


@dataclass(frozen=True, slots=True)
class Survey:
    """What was read of a lab. Where a text stands for a value, it says why there is none.

    facts: the hosts that answered, and why others did not. anatomies: below Docker's API, by host.
    members: each etcd member's answer. healths: whether it serves Docker's v2 keys. keys: Docker's, by their names.
    silent: daemons that run and do not answer, and how they failed.
    between: the underlay, measured; None where it was not. answers: of the probes between containers, likewise.
    """

    facts: Facts = field(default_factory=Facts)
    anatomies: Mapping[str, Anatomy | str] = field(default_factory=dict)
    members: Mapping[str, MemberStatus | str] = field(default_factory=dict)
    healths: Mapping[str, MemberHealth] = field(default_factory=dict)
    keys: Mapping[str, str] | str = "the store was not asked"
    silent: Mapping[str, str] = field(default_factory=dict)
    between: tuple[Finding, ...] | None = None
    answers: Mapping[Probe, Answer] | None = None

    def anatomy(self, host: str) -> Anatomy | None:
        """Return what was read of a host below Docker's API, None where that is not known."""
        found = self.anatomies.get(host)
        return found if isinstance(found, Anatomy) else None

    def reached(self, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
        """Return those of the hosts that answered."""
        return tuple(h for h in hosts if h.name in self.facts.hosts)


def read(lab: Lab, absent: Mapping[str, str], host_facts: Callable[[str], HostFacts], doors: Doors) -> Survey:
    """Read every layer that can be read without sending a packet between hosts.

    absent: why a host is not to be asked, by its name. host_facts: reads a host, its Docker left out.
    """
    hosts = [h for h in lab.inventory.hosts.values() if not absent.get(h.name)]
    jobs: dict[tuple[str, str], Callable[[], Any]] = {}
    # The slow ones first.
    for host in hosts:
        if Role.DOCKER in host.roles:
            jobs["docker", host.name] = partial(_daemon, doors, host.name)
        if Role.ETCD in host.roles:
            jobs["member", host.name] = partial(ask_member, doors, host.name)
        jobs["facts", host.name] = partial(host_facts, host.name)
        jobs["anatomy", host.name] = partial(_anatomy, lab, host, doors)
    jobs["keys", ""] = partial(ask_keys, doors, [h.name for h in hosts if Role.ETCD in h.roles])
    found = side_by_side(jobs, WITHIN)
    return together(found, absent)


def together(found: Mapping[tuple[str, str], Any], absent: Mapping[str, str]) -> Survey:
    """Put answers together, each by what was asked and of whom."""

    def of(what: str) -> dict[str, Any]:
        return {host: value for (kind, host), value in found.items() if kind == what}

    facts = Facts(missing={h: why for h, why in absent.items() if why})
    silent = {h: d for h, d in of("docker").items() if isinstance(d, str)}
    for host, value in of("facts").items():
        if isinstance(value, HostFacts):
            daemon = found.get(("docker", host))
            facts = facts.with_host(replace(value, docker=daemon if isinstance(daemon, DockerFacts) else None))
        else:
            facts = replace(facts, missing={**facts.missing, host: str(value)})
    told = of("member")
    return Survey(
        facts=facts,
        anatomies=of("anatomy"),
        members={h: t if isinstance(t, str) else t[0] for h, t in told.items()},
        healths={h: t[1] for h, t in told.items() if not isinstance(t, str)},
        keys=found.get(("keys", ""), "no host has a member of the store"),
        silent={h: why for h, why in silent.items() if h in facts.hosts},
    )


def _daemon(doors: Doors, host: str) -> DockerFacts | None:
    door = doors(host)
    # A daemon that does not run would be started by the question; one that is halted would never answer it.
    active, _, state = door.run(systemd.how_it_runs(DOCKER)).expect("ask for Docker's state").stdout.partition(" ")
    if state.strip() == "T":
        raise HostError(host, "its process is halted")
    return door.docker.facts() if active == "active" else None


def ask_member(doors: Doors, host: str) -> tuple[MemberStatus | str, MemberHealth]:
    """Ask a member how it is."""
    door = doors(host)
    health = door.etcd.health()
    if "timed out" in health.reason:
        return f"etcd does not answer: {health.reason}", health
    try:
        return door.etcd.status(), health
    except ClusterctlError as error:
        return error.message.removeprefix(f"{door.host}: "), health


def _anatomy(lab: Lab, host: Host, doors: Doors) -> Anatomy:
    peers = [h.cluster_address for h in lab.inventory.hosts.values() if h.name != host.name]
    return anatomy.parse(doors(host.name).run(read_anatomy(peers)).expect("read its namespaces and services").stdout)


def ask_keys(doors: Doors, hosts: list[str]) -> Mapping[str, str]:
    """Ask one member after the other for Docker's keys, until one answers."""
    why = ClusterctlError("no member of the store could be asked")
    for host in hosts:
        try:
            return doors(host).etcd.keys(ROOT)
        except ClusterctlError as error:
            why = error
    raise why

"""The state of a lab, layer by layer, as found: hosts, etcd, Docker, networks, containers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clusterctl.model.inventory import Role
from clusterctl.model.lab import LABEL
from clusterctl.networks import DRIVERS
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import DockerFacts, Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import MemberStatus


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host: how it was found, or why it was not."""

    name: str
    address: str
    roles: tuple[str, ...]
    up: bool
    hostname: str = ""
    system: str = ""
    kernel: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One etcd member. latency_ms: of one status call through the SSH tunnel."""

    host: str
    healthy: bool
    leader: bool = False
    version: str = ""
    members: tuple[str, ...] = ()
    latency_ms: float | None = None
    db_bytes: int | None = None
    raft_index: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DaemonRow:
    """One Docker daemon and its place in the store; peers are the other daemons that the store lists."""

    host: str
    running: bool
    version: str = ""
    store: str = ""
    on_store: bool = False
    advertise: str = ""
    peers: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """One network of the playbook, and the hosts that have it and those that lack it."""

    name: str
    driver: str
    subnet: str
    on: tuple[str, ...]
    missing_on: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """One container of the playbook; addresses by network."""

    name: str
    host: str
    state: str
    addresses: Mapping[str, str]
    problem: str = ""


Row = HostRow | MemberRow | DaemonRow | NetworkRow | ContainerRow


@dataclass(frozen=True, slots=True)
class Status:
    """Everything of one lab at one moment."""

    lab: str
    provider: str
    hosts: tuple[HostRow, ...]
    etcd: tuple[MemberRow, ...]
    docker: tuple[DaemonRow, ...]
    networks: tuple[NetworkRow, ...]
    containers: tuple[ContainerRow, ...]
    quorum: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it must be, in words."""
        rows: tuple[Row, ...] = (*self.hosts, *self.etcd, *self.docker, *self.networks, *self.containers)
        return tuple(f"{getattr(r, 'name', '') or getattr(r, 'host', '')}: {r.problem}" for r in rows if r.problem)

    def document(self) -> dict[str, Any]:
        """Return the status as a JSON-able dict."""
        return {**asdict(self), "problems": list(self.problems), "healthy": not self.problems}


def build(lab: Lab, facts: Facts, members: Mapping[str, MemberStatus | str], nodes: frozenset[str]) -> Status:
    """Judge what was read. `members`: each member's answer, or why there is none. `nodes`: /docker/nodes."""
    rows = tuple(_member(host.name, members.get(host.name, "not asked")) for host in lab.with_role(Role.ETCD))
    return Status(
        lab=lab.name,
        provider=str(lab.inventory.provider),
        hosts=tuple(_hosts(lab, facts)),
        etcd=rows,
        docker=tuple(_daemons(lab, facts, nodes)),
        networks=tuple(_networks(lab, facts)),
        containers=tuple(_containers(lab, facts)),
        quorum=etcd.quorum_in_words(len(rows), sum(r.healthy for r in rows)),
    )


def _hosts(lab: Lab, facts: Facts) -> Iterator[HostRow]:
    for host in lab.inventory.hosts.values():
        roles = tuple(str(r) for r in host.roles)
        found = facts.hosts.get(host.name)
        if found is None:
            why = facts.missing.get(host.name, "not asked")
            yield HostRow(host.name, host.address, roles, up=False, problem=why.removeprefix(f"{host.name}: "))
            continue
        problem = "" if found.hostname == host.name else f"its hostname is {found.hostname}"
        yield HostRow(
            host.name, host.address, roles, True, found.hostname, found.os_name, found.kernel, problem=problem
        )


def _member(host: str, answer: MemberStatus | str) -> MemberRow:
    if isinstance(answer, str):
        return MemberRow(host, healthy=False, problem=answer.removeprefix(f"{host}: "))
    return MemberRow(
        host,
        healthy=answer.leader != 0,
        leader=answer.leader == answer.id,
        version=answer.version,
        members=answer.members,
        latency_ms=round(answer.latency * 1000, 2),
        db_bytes=answer.db_bytes,
        raft_index=answer.raft_index,
        problem="" if answer.leader else "it has no leader",
    )


def _daemons(lab: Lab, facts: Facts, nodes: frozenset[str]) -> Iterator[DaemonRow]:
    store = etcd.url(lab.with_role(Role.ETCD))
    by_address = {f"{h.cluster_address}:{etcd.ADVERTISED_PORT}": h.name for h in lab.with_role(Role.DOCKER)}
    for host in lab.with_role(Role.DOCKER):
        daemon = facts.docker(host.name)
        if daemon is None:
            yield DaemonRow(host.name, running=False, problem="Docker does not run")
            continue
        peers = tuple(by_address.get(n, n) for n in sorted(nodes) if n != daemon.advertise)
        lacking = [n for a, n in by_address.items() if a != daemon.advertise and a not in nodes]
        yield DaemonRow(
            host.name,
            running=True,
            version=daemon.version,
            store=daemon.store,
            on_store=etcd.serves(daemon.store, store),
            advertise=daemon.advertise,
            peers=peers,
            problem=_daemon_problem(daemon, store, lacking),
        )


def _daemon_problem(daemon: DockerFacts, store: str, lacking: list[str]) -> str:
    if not daemon.store:
        return "Docker is not on a cluster store"
    if not etcd.serves(daemon.store, store):
        return f"Docker is on another store: {daemon.store}"
    return f"the store does not list {', '.join(lacking)}" if lacking else ""


def _networks(lab: Lab, facts: Facts) -> Iterator[NetworkRow]:
    for network in lab.playbook.networks.values():
        wanted = DRIVERS[network.driver].seen_on(lab, network)
        on = tuple(h for h in wanted if (d := facts.docker(h)) and network.name in d.networks)
        missing = tuple(h for h in wanted if h not in on)
        problem = f"it is not on {', '.join(missing)}" if missing else ""
        yield NetworkRow(network.name, network.driver, network.subnet, on, missing, problem)


def _containers(lab: Lab, facts: Facts) -> Iterator[ContainerRow]:
    for container in lab.playbook.containers.values():
        daemon = facts.docker(container.host)
        found = daemon.containers.get(container.name) if daemon else None
        if found is None or found.labels.get(LABEL) != lab.name:
            state = "missing" if daemon else "unknown"
            yield ContainerRow(container.name, container.host, state, {}, f"it is {state} on {container.host}")
            continue
        addresses = {n: ip for n, (ip, _) in found.networks.items()}
        problem = "" if found.state == "running" else f"it is {found.state} on {container.host}"
        yield ContainerRow(container.name, container.host, found.state, addresses, problem)

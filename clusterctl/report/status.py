"""The state of a lab, layer by layer, as found and judged: a row for each host, member, daemon, network, …"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clusterctl.model.finding import Layer, Severity
from clusterctl.model.inventory import Role
from clusterctl.model.playbook import Driver
from clusterctl.networks import DRIVERS
from clusterctl.plan.door import MemberStatus
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.finding import Finding
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network

NETWORKS = "/docker/network/v1.0"


@dataclass(frozen=True, slots=True)
class Row:
    """What every row has. state: ok, warning, unknown or failed. problem: why it is not ok, in a sentence."""

    state: str
    problem: str


@dataclass(frozen=True, slots=True)
class HostRow(Row):
    """One host. clock: seconds off this machine's."""

    name: str
    address: str
    roles: tuple[str, ...]
    system: str = ""
    kernel: str = ""
    clock: float | None = None
    disk_free_mb: int | None = None


@dataclass(frozen=True, slots=True)
class WayRow(Row):
    """What passes from one host to another."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class MemberRow(Row):
    """One etcd member. latency_ms: of a status call through SSH. raft_lag: entries behind the furthest member."""

    host: str
    healthy: bool
    leader: bool = False
    version: str = ""
    members: tuple[str, ...] = ()
    latency_ms: float | None = None
    db_bytes: int | None = None
    raft_index: int | None = None
    raft_lag: int | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonRow(Row):
    """One Docker daemon and its place in the store. peers: the other daemons that the store lists."""

    host: str
    running: bool | None
    version: str = ""
    store: str = ""
    on_store: bool = False
    advertise: str = ""
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkRow(Row):
    """One network of the playbook. vni, in_store, endpoints: by the store's keys, of an overlay."""

    name: str
    driver: str
    subnet: str
    on: tuple[str, ...]
    missing_on: tuple[str, ...]
    vni: int | None = None
    in_store: bool | None = None
    endpoints: int | None = None


@dataclass(frozen=True, slots=True)
class ForwardingRow(Row):
    """How an overlay on one host finds the containers of other hosts. lacking: those that no entry leads to."""

    host: str
    network: str
    vni: int
    entries: int
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContainerRow(Row):
    """One container of the playbook; addresses by network."""

    name: str
    host: str
    is_: str
    addresses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReachRow(Row):
    """What one container gets from another, by pings to its address."""

    source: str
    target: str
    network: str
    sent: int = 0
    received: int = 0
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything of one lab at one moment. underlay, reachability: None where nothing was sent to find out.

    quorum: what the store survives, in words. spare: how many members may fail, below 0 where too many have.
    """

    lab: str
    provider: str
    hosts: tuple[HostRow, ...]
    underlay: tuple[WayRow, ...] | None
    etcd: tuple[MemberRow, ...]
    docker: tuple[DaemonRow, ...]
    networks: tuple[NetworkRow, ...]
    forwarding: tuple[ForwardingRow, ...]
    containers: tuple[ContainerRow, ...]
    reachability: tuple[ReachRow, ...] | None
    quorum: str
    spare: int
    findings: tuple[Finding, ...]
    seconds: float = 0.0

    @property
    def worst(self) -> Severity:
        """The worst of all findings, and of the rows that nobody could judge."""
        rows = (Severity(r.state) for part in self.layers().values() for r in part or ())
        found = (f.severity for f in self.findings)
        return max((*rows, *found), key=lambda s: s.rank, default=Severity.UNKNOWN)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it must be, in words, the worst first; warnings among them."""
        bad = sorted((f for f in self.findings if f.severity is not Severity.OK), key=lambda f: -f.severity.rank)
        return tuple(dict.fromkeys(f.seen for f in bad))

    def holds(self, *, strict: bool = False) -> bool:
        """Whether all is as it must be; warnings count against it only when strict."""
        return self.worst.rank <= (Severity.OK if strict else Severity.WARNING).rank

    def layers(self) -> dict[Layer, Sequence[Row] | None]:
        """Return the rows by their layer, bottom up."""
        return {
            Layer.HOST: self.hosts,
            Layer.UNDERLAY: self.underlay,
            Layer.ETCD: self.etcd,
            Layer.DOCKERD: self.docker,
            Layer.NETWORK: self.networks,
            Layer.FORWARDING: self.forwarding,
            Layer.CONTAINERS: self.containers,
            Layer.REACHABILITY: self.reachability,
        }

    def document(self) -> dict[str, Any]:
        """Return the status as a JSON-able dict."""
        found = {k: v for k, v in asdict(self).items() if k != "findings"}
        for row in found["containers"]:
            row["container_state"] = row.pop("is_")
        findings = [
            {
                "layer": str(f.layer),
                "check": f.check,
                "subject": f.subject,
                "severity": str(f.severity),
                "expected": f.expected,
                "seen": f.seen,
                "hint": f.hint,
            }
            for f in self.findings
        ]
        return {
            **found,
            "findings": findings,
            "problems": list(self.problems),
            "worst": str(self.worst),
            "healthy": self.holds(),
        }


class _Findings:
    """Findings by where they belong."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._by: dict[tuple[Layer | None, str], list[Finding]] = {}
        for finding in findings:
            self._by.setdefault((finding.layer, finding.subject), []).append(finding)

    def of(self, layer: Layer, *subjects: str) -> tuple[str, str]:
        """Return the state of a row, and why; unknown where nobody judged it."""
        found = [f for s in subjects for f in self._by.get((layer, s), ())]
        if not found:
            return str(Severity.UNKNOWN), ""
        worst = max(found, key=lambda f: f.severity.rank)
        return str(worst.severity), "" if worst.severity is Severity.OK else worst.seen


def build(
    lab: Lab,
    survey: Survey,
    findings: Sequence[Finding],
    reached: Sequence[ReachRow] | None = None,
    seconds: float = 0.0,
) -> Status:
    """Lay out what was read, beside what was judged of it."""
    judged = _Findings(findings)
    members = tuple(_members(lab, survey, judged))
    size = max((len(m.members) for m in members), default=0) or len(members)
    leads = sum(m.healthy for m in members)
    return Status(
        lab=lab.name,
        provider=str(lab.inventory.provider),
        hosts=tuple(_hosts(lab, survey, judged)),
        underlay=tuple(_ways(lab, survey, judged)) if survey.between is not None else None,
        etcd=members,
        docker=tuple(_daemons(lab, survey, judged)),
        networks=tuple(_networks(lab, survey, judged)),
        forwarding=tuple(_forwarding(lab, survey, findings)),
        containers=tuple(_containers(lab, survey, judged)),
        reachability=None if reached is None else tuple(reached),
        quorum=etcd.quorum_in_words(size, leads),
        spare=leads - (size // 2 + 1),
        findings=tuple(findings),
        seconds=round(seconds, 3),
    )


def _hosts(lab: Lab, survey: Survey, judged: _Findings) -> Iterator[HostRow]:
    for host in lab.inventory.hosts.values():
        state, problem = judged.of(Layer.HOST, host.name)
        found, roles = survey.facts.hosts.get(host.name), tuple(str(r) for r in host.roles)
        if found is None:
            # It may be well for all that is known, unless it is known not to be there.
            why = survey.facts.missing.get(host.name, "")
            state = str(Severity.FAILED if "not there" in why else Severity.UNKNOWN)
            yield HostRow(state, problem or why, host.name, host.address, roles)
            continue
        clock, free = round(found.clock, 3), found.disk_free_mb
        yield HostRow(state, problem, host.name, host.address, roles, found.os_name, found.kernel, clock, free)


def _ways(lab: Lab, survey: Survey, judged: _Findings) -> Iterator[WayRow]:
    hosts = survey.reached(tuple(lab.inventory.hosts.values()))
    for source in hosts:
        for target in (h for h in hosts if h is not source):
            state, problem = judged.of(Layer.UNDERLAY, f"{source.name} → {target.name}")
            yield WayRow(state, problem, source.name, target.name)


def _members(lab: Lab, survey: Survey, judged: _Findings) -> Iterator[MemberRow]:
    told = {h: m for h, m in survey.members.items() if isinstance(m, MemberStatus)}
    ahead = max((m.raft_index for m in told.values()), default=0)
    for host in lab.with_role(Role.ETCD):
        state, problem = judged.of(Layer.ETCD, host.name)
        status = told.get(host.name)
        if status is None:
            why = survey.members.get(host.name, "its host did not answer")
            yield MemberRow(state, problem or str(why), host.name, healthy=False)
            continue
        yield MemberRow(
            state if status.leader else str(Severity.FAILED),
            problem or ("" if status.leader else "it has no leader"),
            host.name,
            healthy=status.leader != 0,
            leader=status.leader == status.id,
            version=status.version,
            members=status.members,
            latency_ms=round(status.latency * 1000, 2),
            db_bytes=status.db_bytes,
            raft_index=status.raft_index,
            raft_lag=ahead - status.raft_index,
            alarms=status.alarms,
        )


def _daemons(lab: Lab, survey: Survey, judged: _Findings) -> Iterator[DaemonRow]:
    store = etcd.url(lab.with_role(Role.ETCD))
    by_address = {etcd.advertised(h): h.name for h in lab.with_role(Role.DOCKER)}
    listed = etcd.announced(survey.keys) if _read(survey) else []
    for host in lab.with_role(Role.DOCKER):
        state, problem = judged.of(Layer.DOCKERD, host.name)
        daemon = survey.facts.docker(host.name)
        if daemon is None:
            known = host.name in survey.facts.hosts and host.name not in survey.silent
            why = problem or ("Docker does not run" if known else "its host did not answer")
            yield DaemonRow(state, why, host.name, running=False if known else None)
            continue
        yield DaemonRow(
            state,
            problem,
            host.name,
            running=True,
            version=daemon.version,
            store=daemon.store,
            on_store=etcd.serves(daemon.store, store),
            advertise=daemon.advertise,
            peers=tuple(by_address.get(n, n) for n in sorted(listed) if n != daemon.advertise),
        )


def _read(survey: Survey) -> bool:
    return isinstance(survey.keys, Mapping)


def _networks(lab: Lab, survey: Survey, judged: _Findings) -> Iterator[NetworkRow]:
    for network in lab.playbook.networks.values():
        state, problem = judged.of(Layer.NETWORK, network.name)
        wanted = DRIVERS[network.driver].seen_on(lab, network)
        seen = {
            h: d.networks[network.name] for h in wanted if (d := survey.facts.docker(h)) and network.name in d.networks
        }
        missing = tuple(h for h in wanted if h not in seen)
        if state == Severity.OK and missing:
            state, problem = str(Severity.UNKNOWN), f"{network.name} could not be looked for on {', '.join(missing)}"
        ids = {n.id for n in seen.values()}
        kept = _kept(survey, network, ids.pop()) if len(ids) == 1 else (None, None, None)
        subnet = network.subnet or next((n.subnet for n in seen.values()), "")
        yield NetworkRow(state, problem, network.name, network.driver, subnet, tuple(seen), missing, *kept)


def _kept(survey: Survey, network: Network, id: str) -> tuple[int | None, bool | None, int | None]:
    """Return what the store keeps of an overlay: its VNI, whether its keys are there, and its endpoints."""
    if network.driver is not Driver.OVERLAY or isinstance(survey.keys, str):
        return None, None, None
    own, overlay = f"{NETWORKS}/network/{id}", f"{NETWORKS}/overlay/network/{id}"
    try:
        vni = json.loads(survey.keys[overlay])["subnets"][0]["Vni"]
    except (KeyError, ValueError, IndexError, TypeError):
        vni = None
    ends = sum(k.startswith(f"{NETWORKS}/endpoint/{id}/") for k in survey.keys)
    return vni, own in survey.keys and overlay in survey.keys, ends


def _forwarding(lab: Lab, survey: Survey, findings: Sequence[Finding]) -> Iterator[ForwardingRow]:
    """Lay out the overlays of the hosts that have containers on them."""
    bad = {f.subject: f for f in findings if f.layer is Layer.FORWARDING and not f.holds}
    for host in survey.reached(lab.with_role(Role.DOCKER)):
        daemon, anatomy = survey.facts.docker(host.name), survey.anatomy(host.name)
        for network in lab.playbook.networks.values():
            found = daemon.networks.get(network.name) if daemon else None
            space = anatomy.overlay(found.id) if anatomy and found else None
            if network.driver is not Driver.OVERLAY or space is None or space.vxlan is None:
                continue
            away = [
                c.name
                for other, f in survey.facts.hosts.items()
                for c in (f.docker.containers.values() if f.docker and other != host.name else ())
                if c.state == "running" and c.networks.get(network.name, ("", ""))[1]
            ]
            lacking = tuple(c for c in away if f"{host.name} → {c}" in bad)
            why = [bad[k] for k in (*(f"{host.name} → {c}" for c in lacking), network.name, host.name) if k in bad]
            # The subject of a network's is its name: it is of this host when its evidence is.
            why = [f for f in why if f.subject != network.name or host.name in (e.host for e in f.evidence)]
            state = max((f.severity for f in why), key=lambda s: s.rank, default=Severity.OK)
            seen = why[0].seen if why else ""
            vni = space.vxlan.vni
            yield ForwardingRow(str(state), seen, host.name, network.name, vni, len(away) - len(lacking), lacking)


def _containers(lab: Lab, survey: Survey, judged: _Findings) -> Iterator[ContainerRow]:
    for container in lab.playbook.containers.values():
        state, problem = judged.of(Layer.CONTAINERS, container.name)
        daemon = survey.facts.docker(container.host)
        found = daemon.containers.get(container.name) if daemon else None
        if found is None:
            how = "missing" if daemon else "unknown"
            why = problem or f"{container.host} did not tell"
            yield ContainerRow(state, why, container.name, container.host, how, {})
            continue
        addresses = {n: ip for n, (ip, _) in found.networks.items()}
        yield ContainerRow(state, problem, container.name, container.host, found.state, addresses)

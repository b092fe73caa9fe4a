"""A status as a file for the textfile collector of Prometheus' node_exporter, in the exposition format."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from clusterctl.model.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clusterctl.report.status import Status

    Samples = Iterable[tuple[Mapping[str, object], float | None]]


def text(found: Status) -> str:
    """Return the file's content."""
    return generate_latest(_registry(found)).decode()


def _registry(found: Status) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, help: str, labels: tuple[str, ...], values: Samples) -> None:
        made = Gauge(f"clusterctl_{name}", help, ("lab", *labels), registry=registry)
        for named, value in values:
            # What could not be learnt has no sample, rather than a zero.
            if value is not None:
                made.labels(lab=found.lab, **{k: str(v) for k, v in named.items()}).set(value)

    _lab(found, gauge)
    _hosts(found, gauge)
    _networks(found, gauge)
    return registry


def _lab(found: Status, gauge: Callable[..., None]) -> None:
    gauge("status_time_seconds", "When this was found, in seconds since 1970.", (), [({}, time.time())])
    gauge("status_duration_seconds", "How long it took to find.", (), [({}, found.seconds)])
    worst = "The worst of all findings: 0 ok, 1 warning, 2 unknown, 3 failed."
    gauge("status_worst", worst, (), [({}, found.worst.rank)])
    states = "How many rows of a layer are in a state; a layer that was not looked at has none."
    gauge(
        "rows",
        states,
        ("layer", "state"),
        [
            ({"layer": layer, "state": s}, sum(r.state == s for r in rows))
            for layer, rows in found.layers().items()
            if rows is not None
            for s in Severity
        ],
    )
    spare = "How many etcd members may fail before the store stops; below 0 it has stopped."
    gauge("etcd_members_to_spare", spare, (), [({}, found.spare)])


def _hosts(found: Status, gauge: Callable[..., None]) -> None:
    host = ("host",)
    gauge("host_up", "Whether a host answers.", host, [({"host": h.name}, bool(h.kernel)) for h in found.hosts])
    off = "Seconds that a host's clock is off this machine's."
    gauge("host_clock_offset_seconds", off, host, [({"host": h.name}, h.clock) for h in found.hosts])
    free = [({"host": h.name}, None if h.disk_free_mb is None else h.disk_free_mb * 2**20) for h in found.hosts]
    gauge("host_disk_free_bytes", "Free bytes on a host below /var/lib.", host, free)
    members = [({"host": m.host}, m) for m in found.etcd]
    gauge("etcd_member_healthy", "Whether a member follows a leader.", host, [(n, m.healthy) for n, m in members])
    gauge("etcd_member_leads", "Whether a member is the leader.", host, [(n, m.leader) for n, m in members])
    latency = [(n, None if m.latency_ms is None else m.latency_ms / 1000) for n, m in members]
    gauge("etcd_status_seconds", "How long a member takes to tell its status, through SSH.", host, latency)
    gauge("etcd_db_bytes", "The size of a member's database.", host, [(n, m.db_bytes) for n, m in members])
    gauge("etcd_raft_index", "A member's raft index.", host, [(n, m.raft_index) for n, m in members])
    lag = "Raft entries that a member is behind the furthest one."
    gauge("etcd_raft_lag", lag, host, [(n, m.raft_lag) for n, m in members])
    daemons = [({"host": d.host}, d) for d in found.docker]
    gauge("docker_up", "Whether a daemon runs and answers.", host, [(n, d.running) for n, d in daemons])
    on_store = [(n, d.on_store if d.running else None) for n, d in daemons]
    gauge("docker_on_store", "Whether a daemon is on the lab's store.", host, on_store)
    peers = [(n, len(d.peers) if d.running else None) for n, d in daemons]
    gauge("docker_peers", "How many other daemons the store lists.", host, peers)


def _networks(found: Status, gauge: Callable[..., None]) -> None:
    networks = [({"network": n.name}, n) for n in found.networks]
    gauge("network_hosts", "How many hosts have a network.", ("network",), [(n, len(w.on)) for n, w in networks])
    missing = [(n, len(w.missing_on)) for n, w in networks]
    gauge("network_hosts_missing", "How many hosts lack a network or did not tell.", ("network",), missing)
    place = ("host", "network")
    ways = [({"host": f.host, "network": f.network}, f) for f in found.forwarding]
    entries = "Containers of other hosts that an overlay's forwarding and neighbour entries lead to."
    gauge("forwarding_entries", entries, place, [(n, f.entries) for n, f in ways])
    lacking = "Containers of other hosts that no right entry of an overlay leads to."
    gauge("forwarding_entries_missing", lacking, place, [(n, len(f.lacking)) for n, f in ways])
    containers = [
        ({"host": c.host, "container": c.name}, None if c.is_ == "unknown" else c.is_ == "running")
        for c in found.containers
    ]
    gauge("container_running", "Whether a container of the playbook runs.", ("host", "container"), containers)
    pair = ("source", "target", "network")
    pairs = [({"source": r.source, "target": r.target, "network": r.network}, r) for r in found.reachability or ()]
    times = [(n, None if r.latency_ms is None else r.latency_ms / 1000) for n, r in pairs]
    gauge("ping_seconds", "Round trip between two containers.", pair, times)
    lost = [(n, 1 - r.received / r.sent if r.sent else None) for n, r in pairs]
    gauge("ping_lost_ratio", "Part of the pings between two containers that did not come back.", pair, lost)

"""Layer 4, the daemons: run, answer, are on the store with the right address, and hear each other's gossip."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from clusterctl.checks.hosts.store import too_new
from clusterctl.checks.layers.judged import Judge
from clusterctl.checks.layers.logs import died_of, has_ended, last_words, message, since_start
from clusterctl.checks.layers.survey import DOCKER
from clusterctl.commands import systemd
from clusterctl.model.finding import Evidence, Layer, Severity
from clusterctl.model.inventory import Role
from clusterctl.plan.action import Run
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.facts import DockerFacts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.topology.anatomy import Anatomy

JUDGE = Judge(Layer.DOCKERD)
JOURNAL = "journalctl -u docker -n 50"
INFO = "docker info | grep -A1 'Cluster Store'"
UP = "this machine: clusterctl up"
CONTAINERD = "containerd.service"

BLIND = "blind-start"
"""The check that a daemon saw the store when it started."""


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge the daemon of every host that answered."""
    for host in survey.reached(lab.with_role(Role.DOCKER)):
        facts, anatomy = survey.facts.hosts[host.name], survey.anatomy(host.name)
        faults = [f for f in _faults(lab, survey, host, facts, anatomy) if f]
        yield from faults
        if all(f.holds for f in faults) and facts.docker:
            daemon = facts.docker
            peers = sorted(set(gossips(anatomy)) - {host.name})
            seen = f"{daemon.version}, on {daemon.store}, as {daemon.advertise}; peers: {', '.join(peers) or 'none'}"
            yield JUDGE.ok("dockerd", host.name, "runs, on the store, seen by the others", seen)


def _faults(lab: Lab, survey: Survey, host: Host, facts: HostFacts, anatomy: Anatomy | None) -> Iterator[Judged | None]:
    down = _down(survey, host, facts, anatomy)
    if down or facts.docker is None:
        yield down
        return
    on_store = _store(lab, host, facts, facts.docker)
    yield on_store
    if on_store is None:
        # One cause: what follows from it is not told as well.
        yield _conflict(host, anatomy) or _gossip(host, facts, anatomy, survey) or _listed(survey, host, facts)
    yield _blind(host, anatomy)
    yield _rewritten(lab, host, facts)


def _down(survey: Survey, host: Host, facts: HostFacts, anatomy: Anatomy | None) -> Judged | None:
    """Judge the process: there, able to run, and it answers."""
    unit, expected = facts.unit(DOCKER), f"Docker runs on {host.name}"
    active = Evidence(host.name, f"systemctl is-active {DOCKER}", unit.active or "unknown")
    if not unit.loaded:
        return JUDGE.fault("not-installed", host.name, expected, f"Docker is not installed on {host.name}", UP, active)
    for name in (CONTAINERD, DOCKER):
        process = anatomy.process(name) if anatomy else None
        if process and process.halted:
            what = name.partition(".")[0]
            state = Evidence(
                host.name, f"ps -o pid,stat,comm -p {process.pid}", f"{process.pid} {process.state} {what}"
            )
            seen = f"{what} on {host.name} is halted: its process {process.pid} is there and may not run"
            go_on = Run(host=host.name, title=f"let {what} run on", command=systemd.go_on(name))
            hint = f"{host.name}: kill -CONT {process.pid}"
            return JUDGE.fault("hung", host.name, expected, seen, hint, state, safe=[go_on])
    contained = anatomy.process(CONTAINERD) if anatomy else None
    if contained and contained.sub and not contained.pid:
        dead = Evidence(host.name, f"systemctl is-active {CONTAINERD}", contained.sub)
        seen = f"containerd does not run on {host.name} ({contained.sub}), so Docker can start no container"
        start = Run(host=host.name, title="start containerd", command=systemd.start(CONTAINERD))
        hint = f"{host.name}: systemctl start containerd"
        return JUDGE.fault("containerd", host.name, f"containerd runs on {host.name}", seen, hint, dead, safe=[start])
    if unit.active == "active":
        if facts.docker:
            return None
        why = survey.silent.get(host.name, "it did not say why").removeprefix(f"{host.name}: ")
        asked = Evidence(host.name, "docker info", why)
        seen = f"Docker runs on {host.name} and does not answer: {why}"
        return JUDGE.fault("hung", host.name, expected, seen, f"{host.name}: systemctl restart docker", asked)
    why = died_of(anatomy.log(DOCKER) if anatomy else ())
    shown = [active, *([Evidence(host.name, JOURNAL, why)] if why else [])]
    ended = has_ended(unit, anatomy.process(DOCKER) if anatomy else None)
    how = "is stopped" if ended else f"does not start{f': {message(why)}' if why else ''}"
    seen = f"Docker on {host.name} {how}"
    hint = f"{host.name}: systemctl start docker" if ended else f"{host.name}: {JOURNAL}"
    return JUDGE.fault("stopped", host.name, expected, seen, hint, *shown, completes=ended)


def _store(lab: Lab, host: Host, facts: HostFacts, daemon: DockerFacts) -> Judged | None:
    """Judge the store that the daemon is on, and the address that it is announced with."""
    store, wanted = etcd.url(lab.with_role(Role.ETCD)), etcd.advertised(host)
    says = Evidence(host.name, INFO, f"Cluster Store: {daemon.store}\nCluster Advertise: {daemon.advertise}")
    written = written_settings(facts)
    reads = Evidence(
        host.name, f"grep cluster- {etcd.DAEMON_JSON}", json.dumps({k: v for k, v in written.items() if "cluster" in k})
    )
    if new := too_new(daemon.version):
        return JUDGE.fault("version", host.name, "Docker 20.10 or older", f"{host.name}: {new}", UP, says)
    if daemon.swarm not in ("inactive", ""):
        seen = f"Docker on {host.name} is in swarm mode ({daemon.swarm}), which excludes a cluster store"
        return JUDGE.fault("swarm", host.name, "no swarm", seen, f"{host.name}: docker swarm leave --force", says)
    expected = f"Docker on {host.name} is on {store}, announced as {wanted}"
    if not daemon.store:
        named = "cluster-store" in written
        why = f"it was started before {etcd.DAEMON_JSON} named one" if named else f"{etcd.DAEMON_JSON} names none"
        seen = f"dockerd on {host.name} runs without the cluster store: {why}"
        return JUDGE.fault("no-store", host.name, expected, seen, UP, says, reads, completes=True)
    if not etcd.serves(daemon.store, store):
        seen = f"dockerd on {host.name} is on another store: {daemon.store}"
        return JUDGE.fault("other-store", host.name, expected, seen, UP, says, reads, completes=True)
    if daemon.advertise != wanted:
        ip = daemon.advertise.partition(":")[0]
        whose = next((h.name for h in lab.inventory.hosts.values() if h.cluster_address == ip and h is not host), "")
        there = (
            f"that of {whose}" if whose else "on it but not its cluster address" if facts.interface(ip) else "not on it"
        )
        says_it = f"dockerd on {host.name} announces the wrong address: {daemon.advertise or 'none'}"
        seen = f"{says_it}, which is {there}; {wanted} is right"
        addresses = Evidence(host.name, "ip -br -4 addr", ", ".join(f"{a.interface} {a.ip}" for a in facts.addresses))
        return JUDGE.fault("advertise", host.name, expected, seen, UP, says, reads, addresses, completes=True)
    return None


def written_settings(facts: HostFacts) -> dict[str, object]:
    """Return what daemon.json says; empty where it is none."""
    try:
        found = json.loads(facts.content(etcd.DAEMON_JSON) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def gossips(anatomy: Anatomy | None) -> tuple[str, ...]:
    """Return the hosts that serf, Docker's gossip, holds for alive: by the latest that it said of each."""
    alive: dict[str, bool] = {}
    for line in anatomy.log(DOCKER) if anatomy else ():
        for event, name in re.findall(r"serf: EventMember(Join|Failed|Leave|Reap): (\S+)", line):
            alive[name] = event == "Join"
    return tuple(name for name, lives in alive.items() if lives)


def _conflict(host: Host, anatomy: Anatomy | None) -> Judged | None:
    log = since_start(anatomy.log(DOCKER) if anatomy else ())
    line = last_words(log, "name conflicts", "minority in name conflict")
    if not line:
        return None
    # Two hosts that still have one hostname are told of in a layer below this one.
    seen = f"Docker's gossip on {host.name} has ended: another host had the same hostname"
    shown = Evidence(host.name, f"{JOURNAL} | grep serf", message(line))
    return JUDGE.fault("gossip-conflict", host.name, "every hostname once", seen, UP, shown, completes=True)


def _gossip(host: Host, facts: HostFacts, anatomy: Anatomy | None, survey: Survey) -> Judged | None:
    """Judge whether serf listens: it starts once the daemon has found itself in the store."""
    listens = [x for x in facts.listeners if x.port == etcd.GOSSIP_PORT]
    if [x for x in listens if x.ip == host.cluster_address and x.process.startswith("dockerd")] or not facts.listeners:
        return None
    other = next((x.process for x in listens if x.process and not x.process.startswith("dockerd")), "")
    blind = blind_start(anatomy)
    shown = [
        Evidence(
            host.name,
            f"ss -lntup 'sport = :{etcd.GOSSIP_PORT}'",
            ", ".join(f"{x.proto} {x.ip} {x.process}" for x in listens) or "nothing",
        )
    ]
    if blind:
        shown.append(Evidence(host.name, JOURNAL, message(blind)))
    why = (
        f"{other} has the port"
        if other
        else "it was started before the store answered"
        if blind
        else "the daemon has not found itself in the store"
    )
    seen = f"Docker's gossip does not run on {host.name}: nothing of Docker's listens on port {etcd.GOSSIP_PORT}; {why}"
    hint = f"{host.name}: systemctl restart docker; then this machine: clusterctl up"
    check = BLIND if blind and not other else "gossip"
    return JUDGE.fault(check, host.name, "Docker's gossip listens on 7946", seen, hint, *shown)


def _listed(survey: Survey, host: Host, facts: HostFacts) -> Judged | None:
    if (
        isinstance(survey.keys, str)
        or facts.docker is None
        or facts.docker.advertise in (listed := etcd.announced(survey.keys))
    ):
        return None
    lost = f"the store does not list the daemon of {host.name} ({facts.docker.advertise})"
    seen = f"{lost}: it has lost its way to the store"
    shown = Evidence(host.name, "clusterctl etcd keys", f"/docker/nodes: {', '.join(listed) or 'none'}")
    hint = f"{host.name}: {JOURNAL}; systemctl restart docker; then this machine: clusterctl up"
    return JUDGE.fault("unlisted", host.name, f"/docker/nodes has {facts.docker.advertise}", seen, hint, shown)


def _rewritten(lab: Lab, host: Host, facts: HostFacts) -> Judged | None:
    """Warn of settings that would put the daemon elsewhere at its next start."""
    ours, written = etcd.settings(host, lab.with_role(Role.ETCD)), written_settings(facts)
    differ = [k for k in ("cluster-advertise", "cluster-store-opts") if written.get(k) != ours[k]]
    if not etcd.serves(str(written.get("cluster-store", "")), str(ours["cluster-store"])):
        differ.insert(0, "cluster-store")
    if not differ:
        return None
    says = json.dumps({k: written.get(k) for k in differ})
    shown = Evidence(host.name, f"grep cluster- {etcd.DAEMON_JSON}", says)
    differs = f"{etcd.DAEMON_JSON} on {host.name} does not say what Docker runs with ({', '.join(differ)})"
    seen = f"{differs}: at its next start it is off the cluster"
    return JUDGE.warning("settings", host.name, "daemon.json names the store", seen, UP, shown)


def blind_start(anatomy: Anatomy | None) -> str:
    """Return the line with which the running daemon said at its start that the store did not answer, else ""."""
    lines = anatomy.starts.get(DOCKER, ()) if anatomy else ()
    return next((x for x in lines if "cluster is unavailable" in x or "could not get pools config" in x), "")


def _blind(host: Host, anatomy: Anatomy | None) -> Judged | None:
    """Warn of a daemon that started while the store was away: what it had on overlays it has lost."""
    line = blind_start(anatomy)
    if not line:
        return None
    seen = f"dockerd on {host.name} started before the store answered, so it lost what its containers had on overlays"
    shown = Evidence(host.name, "journalctl -u docker | grep discovery", message(line))
    hint = f"{host.name}: systemctl restart docker; then this machine: clusterctl up"
    expected = "the store answers when Docker starts"
    return JUDGE.fault(BLIND, host.name, expected, seen, hint, shown, severity=Severity.WARNING)

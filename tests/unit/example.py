"""A lab of two hosts, and their facts: fresh and finished ones as real hosts printed them."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from clusterctl.checks import KINDS
from clusterctl.commands.facts import parse
from clusterctl.model.facts import (
    ContainerFacts,
    DockerFacts,
    Endpoint,
    Facts,
    File,
    HostFacts,
    ImageFacts,
    Member,
    NetworkFacts,
    StoreFacts,
    Unit,
)
from clusterctl.model.inventory import load_inventory
from clusterctl.model.lab import IMAGE_LABEL, LABEL, Lab
from clusterctl.model.playbook import load_playbook
from clusterctl.plan.action import Action
from clusterctl.plan.phase import Noop, Phase
from clusterctl.stores import etcd
from clusterctl.stores.certificates import Authority, Pair, create_authority

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"
NOW = datetime.datetime.now(datetime.UTC)
NETWORK = "qyt_overlay"
STORE = "etcd://10.1.90.1:2379,10.1.90.2:2379"


def lab(*, hosts: Any = None, networks: Any = None, containers: Any = None, images: Any = None) -> Lab:
    """Return the lab `ut`: docker1 and docker2, both with etcd and Docker, and the overlay lesson on them."""
    hosts = hosts or {"docker1": "10.1.90.1", "docker2": "10.1.90.2"}
    inventory = load_inventory(yaml.safe_dump({"name": "ut", "provider": "ssh", "hosts": hosts}), "i.yml")
    written = yaml.safe_load((ROOT / "playbooks/overlay.yml").read_text())
    written |= {"networks": networks or written["networks"], "images": images or {}, "expect": []}
    if containers is not None:
        written["containers"] = containers
    text = yaml.safe_dump(written)
    return Lab(inventory, load_playbook(text, "p.yml", KINDS), text, Path("/state"))


def _recorded(name: str, state: str) -> HostFacts:
    found = parse(name, (RECORDED / f"{name}-{state}.txt").read_text())
    # What later versions of the script tell besides.
    return replace(found, tools=found.tools | {"user:etcd", "update-ca-certificates"})


@functools.cache
def fresh_host(name: str) -> HostFacts:
    """Return a host with Docker and etcd installed, on which nothing was done."""
    return _recorded(name, "fresh")


def fresh() -> Facts:
    """Return both hosts, fresh."""
    return Facts(hosts={h: fresh_host(h) for h in ("docker1", "docker2")})


def _daemon(name: str) -> DockerFacts:
    me, peer, my_ip, peer_ip = ("qyt1", "qyt2", 2, 3) if name == "docker1" else ("qyt2", "qyt1", 3, 2)
    mine = Endpoint(me, f"{me}-id", f"02:42:0a:0a:0a:0{my_ip}", f"10.10.10.{my_ip}")
    theirs = Endpoint(peer, f"ep-{peer}", f"02:42:0a:0a:0a:0{peer_ip}", f"10.10.10.{peer_ip}")
    overlay = NetworkFacts(
        "net-id-0", NETWORK, "overlay", "global", "10.10.10.0/24", "", {LABEL: "ut"}, {}, (mine, theirs)
    )
    gateway = NetworkFacts(f"gw-{name}", "docker_gwbridge", "bridge", "local", "172.18.0.0/16", "172.18.0.1")
    labels = {LABEL: "ut", "clusterctl.spec": "ba32f890c29a"}
    container = ContainerFacts(
        mine.container_id, me, "clusterctl/probe:1", "running", labels, {NETWORK: (mine.ip, mine.mac)}
    )
    return DockerFacts(
        version="20.10.24+dfsg1",
        store=STORE,
        advertise=f"{'10.1.90.1' if name == 'docker1' else '10.1.90.2'}:2375",
        networks={NETWORK: overlay, "docker_gwbridge": gateway},
        containers={me: container},
        images=(ImageFacts(f"sha256:{name}", ("clusterctl/probe:1",), {IMAGE_LABEL: "ut"}),),
    )


@functools.cache
def finished_host(name: str) -> HostFacts:
    """Return a host of the finished lab; the files that are the same on every host say what they say now."""
    found = replace(_recorded(name, "finished"), docker=_daemon(name))
    for path, content in ((etcd.UNIT_FILE, etcd.unit("ut")), (etcd.DROP_IN, etcd.drop_in())):
        found = found.with_file(path, replace(found.files[path], content=content))
    return found.with_file(etcd.WAL, File("", 0o700, "etcd:etcd", 1.0))


def member(name: str) -> Member:
    """Return the member of a host whose name ends with a digit, as the store lists it."""
    n = int(name[-1])
    return Member(n, name, f"https://10.1.90.{n}:2380", f"https://10.1.90.{n}:2379")


def stored(*names: str) -> StoreFacts:
    """Return a healthy store that has these hosts as members."""
    members = tuple(map(member, names))
    daemons = frozenset(f"10.1.90.{m.id}:{etcd.ADVERTISED_PORT}" for m in members)
    return StoreFacts(dict.fromkeys(names, ""), dict.fromkeys(names, members), daemons)


def finished() -> Facts:
    """Return both hosts of the finished lab."""
    return Facts(hosts={h: finished_host(h) for h in ("docker1", "docker2")}, store=stored("docker1", "docker2"))


@functools.cache
def authority() -> Authority:
    """Return a CA that can issue."""
    return Authority(create_authority("ut", NOW))


@functools.cache
def finished_authority() -> Authority:
    """Return the CA of the finished lab. Its key was never written down: it can judge, not issue."""
    return Authority(Pair(finished_host("docker1").content(etcd.CA), ""))


def changed(facts: Facts, name: str, change: Callable[[HostFacts], HostFacts]) -> Facts:
    """Return the facts with one host's changed."""
    return facts.with_host(change(facts.hosts[name]))


def with_docker(facts: Facts, name: str, **changes: Any) -> Facts:
    """Return the facts with something else said by a host's daemon, which is started where it did not run."""

    def change(found: HostFacts) -> HostFacts:
        daemon = found.docker or DockerFacts(version="20.10.24+dfsg1")
        unit = Unit(active="active", enabled="enabled", started=2e9)
        return replace(found.with_unit("docker.service", unit), docker=replace(daemon, **changes))

    return changed(facts, name, change)


def decide(phase: Phase[Lab], wanted: Lab, facts: Facts) -> list[Action | Noop]:
    """Return what a phase decides."""
    return list(phase.plan(wanted, facts))


def titles(steps: Iterable[Action | Noop]) -> list[str]:
    """Return what is done, as "host: title"."""
    return [f"{s.host}: {s.title}" for s in steps if not isinstance(s, Noop)]


def reasons(steps: Iterable[Action | Noop]) -> list[str]:
    """Return why nothing is done, as "host: reason"."""
    return [f"{s.host}: {s.reason}" for s in steps if isinstance(s, Noop)]


def both(text: str) -> list[str]:
    """Return the line for each of the two hosts."""
    return [f"{host}: {text}" for host in ("docker1", "docker2")]


def after(steps: Iterable[Action | Noop], facts: Facts) -> Facts:
    """Return the facts as the steps foresee them."""
    for step in steps:
        if isinstance(step, Action):
            facts = step.predict(facts)
    return facts

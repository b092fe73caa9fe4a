"""Kinds of Docker networks made for a moment, to be compared: what is made, why not, and how it goes again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clusterctl.checks import KINDS
from clusterctl.checks.comparison import End, Setting
from clusterctl.checks.hosts import devices
from clusterctl.commands import docker
from clusterctl.model.compared import Compared
from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.model.finding import Severity
from clusterctl.model.inventory import Role
from clusterctl.model.lab import LABEL
from clusterctl.model.playbook import HOST, PROBE, check_together, load_playbook
from clusterctl.plan.phase import Noop, Section, steps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action

PREFIX = "clusterctl-compare-"
"""What the names of all that is made for a comparison begin with."""

SUBNETS = {
    Compared.USER_BRIDGE: "198.18.1.0/24",
    Compared.OVERLAY: "198.18.2.0/24",
    Compared.MACVLAN: "198.18.3.0/24",
    Compared.IPVLAN: "198.18.4.0/24",
}
"""From the block that is set aside for measurements between devices (RFC 2544)."""

OTHER, OTHERS = f"{PREFIX}other", "198.18.9.0/24"
"""The network of the container that is an outsider to all of the others."""

DRIVERS = {Compared.USER_BRIDGE: "bridge"}


def playbook_of(kind: Compared, lab: Lab) -> Lab:
    """Return the lab with the containers of one kind of network instead of its own: two on a host, one on the next."""
    hosts = [h.name for h in lab.with_role(Role.DOCKER)]
    name = f"{PREFIX}{kind}"
    networks: dict[str, Any] = {OTHER: {"driver": "bridge", "subnet": OTHERS}}
    where: dict[str, Any] = {"network_mode": str(kind)}
    if kind in SUBNETS:
        networks[name] = {"driver": DRIVERS.get(kind, str(kind)), "subnet": SUBNETS[kind]}
        where = {"networks": [name]}
    containers: dict[str, Any] = {
        f"{PREFIX}source": {"host": hosts[0], **where},
        f"{PREFIX}near": {"host": hosts[0], **where},
        f"{PREFIX}outsider": {"host": hosts[0], "networks": [OTHER]},
    }
    if len(hosts) > 1:
        containers[f"{PREFIX}far"] = {"host": hosts[1], **where}
        if kind is Compared.USER_BRIDGE:
            # Each host's bridge counts from the same address: with another one it can be told apart.
            containers[f"{PREFIX}far"] = {"host": hosts[1], "networks": {name: {"address": "198.18.1.99"}}}
    text = json.dumps({"name": "compare", "networks": networks, "containers": containers})
    playbook = check_together(lab.inventory, load_playbook(text, "compare", KINDS), text, "compare")
    return replace(lab, playbook=playbook, playbook_text=text)


def missing(kind: Compared, wanted: Lab, facts: Facts) -> str:
    """Return why this kind of network cannot be had on the hosts, "" where it can."""
    for host in wanted.with_role(Role.DOCKER)[:2]:
        found = facts.hosts[host.name]
        daemon = found.docker
        if daemon is None:
            return f"{host.name}: Docker does not run"
        if kind is Compared.OVERLAY and not daemon.store:
            return f"{host.name}: Docker is on no cluster store"
        for finding in devices.judge(wanted, host, found):
            if finding.severity is Severity.FAILED:
                return f"{host.name}: {finding.seen.partition(', which')[0]}"
        if kind in (Compared.MACVLAN, Compared.IPVLAN):
            parent = found.interface(host.cluster_address)
            for network in daemon.networks.values():
                if network.options.get("parent") == parent and not network.name.startswith(PREFIX):
                    return f"{host.name}: {parent} is the parent of Docker's network {network.name} already"
    return ""


def setting(kind: Compared, wanted: Lab, facts: Facts) -> Setting:
    """Return the containers that were made, with their addresses as Docker gave them."""

    def end(which: str) -> End:
        container = wanted.playbook.containers[f"{PREFIX}{which}"]
        daemon = facts.docker(container.host)
        found = daemon.containers.get(container.name) if daemon else None
        if container.network_mode == HOST:
            return End(container.host, container.name, wanted.inventory.hosts[container.host].cluster_address)
        addresses = (ip for n, (ip, _) in (found.networks if found else {}).items() if n in container.attached)
        return End(container.host, container.name, next(iter(addresses), ""))

    source = end("source")
    peers = {w: end(w) for w in ("near", "far") if f"{PREFIX}{w}" in wanted.playbook.containers}
    here = facts.docker(source.host)
    own = {ip for c in (here.containers.values() if here else ()) for ip, _ in c.networks.values() if ip}
    hosts = {source.host, *(e.host for e in peers.values())}
    iperf3 = all("iperf3" in facts.hosts[h].tools for h in hosts)
    return Setting(kind, source, peers, end("outsider"), frozenset(own), iperf3)


def before(facts: Facts) -> frozenset[tuple[str, str]]:
    """Return what is there of what a comparison brings along: the image, and the bridge that Docker makes itself."""
    return frozenset(
        (host, what)
        for host in facts.hosts
        if (d := facts.docker(host))
        for what, there in ((PROBE.tag, d.has_image(PROBE.tag)), (GATEWAY_BRIDGE, GATEWAY_BRIDGE in d.networks))
        if there
    )


class RemoveComparison:
    """Remove what was made to compare networks.

    keep: what was there before and stays.
    """

    title = "Remove what was made to compare"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def __init__(self, keep: Collection[tuple[str, str]]) -> None:
        self._keep = keep

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove containers, then networks, then the image and Docker's bridge where nothing else has them."""
        spanning = set[str]()
        for host in facts.hosts:
            yield from steps(list(self._host(lab, facts, host, spanning)), host, "nothing of it is there")

    def _host(self, lab: Lab, facts: Facts, host: str, spanning: set[str]) -> Iterator[Action]:
        daemon = facts.docker(host)
        if daemon is None:
            return
        ours = [c for c in daemon.containers.values() if _made(c.name, c.labels, lab)]
        theirs = [c for c in daemon.containers.values() if c not in ours]
        for container in ours:
            yield docker.RemoveContainer(host=host, title=f"remove container {container.name}", name=container.name)
        for network in daemon.networks.values():
            if _made(network.name, network.labels, lab) and network.id not in spanning:
                spanning |= {network.id} if network.spans else set()
                title = f"remove network {network.name}"
                yield docker.RemoveNetwork(host=host, title=title, name=network.name, everywhere=network.spans, turn=1)
        used = any(c.image == PROBE.tag for c in theirs)
        if daemon.has_image(PROBE.tag) and (host, PROBE.tag) not in self._keep and not used:
            yield docker.RemoveImage(host=host, title=f"remove image {PROBE.tag}", tag=PROBE.tag, turn=2)
        # Docker puts containers of overlays on its bridge, and says so neither of them nor in the list of networks.
        spans = {n.name for n in daemon.networks.values() if n.spans}
        used = any(spans & c.networks.keys() for c in theirs)
        if GATEWAY_BRIDGE in daemon.networks and (host, GATEWAY_BRIDGE) not in self._keep and not used:
            yield docker.RemoveNetwork(host=host, title=f"remove {GATEWAY_BRIDGE}", name=GATEWAY_BRIDGE, turn=2)


def _made(name: str, labels: Any, lab: Lab) -> bool:
    return name.startswith(PREFIX) and labels.get(LABEL) == lab.name


def strangers(facts: Facts, wanted: Lab) -> Sequence[tuple[str, str]]:
    """Return the containers and networks of others that have a name which a comparison needs, each with its host."""
    found: list[tuple[str, str]] = []
    for host in facts.hosts:
        daemon = facts.docker(host)
        if daemon:
            labels = {c.name: c.labels for c in daemon.containers.values()}
            labels |= {n.name: n.labels for n in daemon.networks.values()}
            taken = (n for n, of in labels.items() if n.startswith(PREFIX) and not _made(n, of, wanted))
            found += [(host, name) for name in taken]
    return found

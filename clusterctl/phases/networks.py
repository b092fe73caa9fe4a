"""The playbook's networks: created where their driver says, seen wherever they reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clusterctl.commands import docker
from clusterctl.model.errors import Reason, Refused
from clusterctl.model.facts import GATEWAY_BRIDGE, HostFacts, NetworkFacts
from clusterctl.model.lab import LABEL
from clusterctl.networks import DRIVERS
from clusterctl.plan.action import WaitFor, record
from clusterctl.plan.phase import Noop, Section, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network
    from clusterctl.networks.making import Making
    from clusterctl.plan.action import Action, Effect
    from clusterctl.plan.door import Door

ABSENT = "absent"


@dataclass(frozen=True)
class NetworkSeen:
    """A daemon lists the network."""

    name: str

    def look(self, door: Door) -> tuple[bool, str]:
        """Ask for it by name; a list would leave it out silently while the store is down."""
        found = door.docker.inspect_network(self.name)
        return bool(found), f"{self.name} is {'there' if found else 'not there'}"

    def shell(self) -> str:
        """Return how a person would ask."""
        return f"docker network inspect {self.name}"


def _with_network(network: Network, lab: str, scope: str, made_as: Making) -> Effect:
    def effect(facts: HostFacts) -> HostFacts:
        if facts.docker is None:
            return facts
        made = NetworkFacts(
            "",
            network.name,
            network.driver,
            scope,
            network.subnet,
            made_as.gateway,
            {LABEL: lab},
            made_as.options,
            range=made_as.range,
        )
        return replace(facts, docker=replace(facts.docker, networks={**facts.docker.networks, network.name: made}))

    return effect


def other(lab: Lab, network: Network, host: HostFacts, found: NetworkFacts) -> str:
    """Return how the network that is on a host differs from the playbook's, "" where it does not."""
    made_as = DRIVERS[network.driver].making(lab, network, host)
    if (found.driver, found.subnet) != (network.driver, network.subnet):
        return f"{found.driver} {found.subnet}, the playbook wants {network.driver} {network.subnet}"
    for what, is_, must in (
        ("gateway", found.gateway or "of its own", made_as.gateway),
        ("range", found.range or "of its own", made_as.range),
    ):
        if must and is_ != must:
            return f"one with {what} {is_}, the playbook wants {must}"
    for name, value in made_as.options.items():
        if found.options.get(name) != value:
            return f"one with {name}={found.options.get(name, '')}, the playbook wants {name}={value}"
    return ""


class CreateNetworks:
    """Create the networks."""

    title = "Create the networks"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Create what no host has; wait for it where it must be seen."""
        reasons = []
        steps: list[Action | Noop] = []
        for network in lab.playbook.networks.values():
            driver = DRIVERS[network.driver]
            creators, seers = driver.creators(lab, network), driver.seen_on(lab, network)
            if driver.scope == "global":
                steps += self._record_gateway(facts, seers)
            there = {h: n for h in seers if (d := facts.docker(h)) and (n := d.networks.get(network.name))}
            found_on = {h: facts.hosts.get(h, HostFacts(h)) for h in seers}
            makings = {h: driver.making(lab, network, found) for h, found in found_on.items()}
            for host in seers:
                why, way_out = driver.trouble(lab, network, found_on[host]) if host not in there else ("", "")
                if why:
                    reasons.append(Reason(host, why, way_out))
            for host, found in there.items():
                if why := other(lab, network, facts.hosts[host], found):
                    reasons.append(
                        Reason(
                            host,
                            f"network {network.name} is there as {why}",
                            "clusterctl down, then up",
                        )
                    )
            exists = bool(there) if driver.scope == "global" else False
            for host in seers:
                if host in there:
                    steps.append(Noop(host, f"network {network.name} is there"))
                    continue
                making = makings[host]
                effect = _with_network(network, lab.name, driver.scope, making)
                if host in creators and not exists:
                    steps.append(
                        docker.CreateNetwork(
                            host=host,
                            title=f"create network {network.name}",
                            name=network.name,
                            driver=network.driver,
                            subnet=network.subnet,
                            gateway=making.gateway,
                            options=making.options,
                            range=making.range,
                            reserved=making.reserved,
                            labels={LABEL: lab.name},
                            effect=effect,
                        )
                    )
                else:
                    steps.append(
                        WaitFor(
                            host=host,
                            title=f"wait until network {network.name} is seen",
                            condition=NetworkSeen(network.name),
                            within=30,
                            turn=1,
                            effect=effect,
                            alters=docker.ALTERS,
                            hint="is the store healthy? clusterctl status",
                        )
                    )
        if reasons:
            raise Refused(reasons)
        yield from steps

    def _record_gateway(self, facts: Facts, hosts: tuple[str, ...]) -> Iterator[Action]:
        for host in hosts:
            found = facts.hosts[host]
            if found.docker and GATEWAY_BRIDGE not in found.docker.networks and GATEWAY_BRIDGE not in found.records:
                yield record(host, f"record that {GATEWAY_BRIDGE} is not there", GATEWAY_BRIDGE, ABSENT)


class ClearNetworks:
    """Remove the lab's networks that do not fit, before one is created."""

    title = "Remove the networks that do not fit"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what changed, and what the playbook no longer names: another lesson's."""
        done: set[str] = set()
        for host, found in facts.hosts.items():
            going = {n.name: why for n in _mine(lab, found) if (why := _misfit(lab, found, n))}
            actions = list(_removal(lab, found, done, going))
            yield from steps(
                actions, host, "every network there fits" if _mine(lab, found) else "no network of this lab"
            )


def _misfit(lab: Lab, host: HostFacts, found: NetworkFacts) -> str:
    """Return why a network of the lab on `host` must go, "" when it fits."""
    wanted = lab.playbook.networks.get(found.name)
    if wanted is None or host.name not in DRIVERS[wanted.driver].seen_on(lab, wanted):
        return "which is not in the playbook"
    return "which is other than the playbook says" if other(lab, wanted, host, found) else ""


def _mine(lab: Lab, found: HostFacts) -> list[NetworkFacts]:
    networks = found.docker.networks.values() if found.docker else ()
    return [n for n in networks if n.labels.get(LABEL) == lab.name]


def _removal(lab: Lab, found: HostFacts, done: set[str], going: Mapping[str, str]) -> Iterator[Action]:
    """Return how the lab's networks of these names go from a host. done: the ids that went already; it grows."""
    for network in _mine(lab, found):
        if network.name not in going or network.id in done:
            continue
        done.add(network.id)
        # What is still on it by now belongs to a host that is gone.
        for endpoint in network.endpoints:
            yield docker.Disconnect(
                host=found.name,
                title=f"drop the endpoint {endpoint.name} of a container that is gone",
                network=network.name,
                endpoint=endpoint.name,
            )
        why = f", {going[network.name]}" if going[network.name] else ""
        yield docker.RemoveNetwork(
            host=found.name,
            title=f"remove network {network.name}{why}",
            name=network.name,
            everywhere=network.spans,
        )


class RemoveNetworks:
    """Remove the networks, stale endpoints first."""

    title = "Remove the networks"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what carries the lab's label: global ones on one host, local ones on each."""
        done: set[str] = set()
        for host, found in facts.hosts.items():
            actions = list(_removal(lab, found, done, {n.name: "" for n in _mine(lab, found)}))
            if found.docker and GATEWAY_BRIDGE in found.docker.networks and found.records.get(GATEWAY_BRIDGE) == ABSENT:
                actions.append(docker.RemoveNetwork(host=host, title=f"remove {GATEWAY_BRIDGE}", name=GATEWAY_BRIDGE))
            yield from steps(actions, host, "no network of this lab")

"""`visible: {network, on}`: the network is there on each host, and it is one and the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from clusterctl.checks.check import Check, Kind, NameOrAll, Verdict, failed, ok, settled, without_docker
from clusterctl.checks.probe import Inspect
from clusterctl.model.names import ALL, HostName, Listed
from clusterctl.model.playbook import Driver
from clusterctl.networks import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network

SPANNING = ("global", "swarm")
"""The scopes of a network that spans hosts: by a cluster store, by Swarm."""


class Visible(Kind):
    """A network is there on each of the hosts."""

    kind: ClassVar[str] = "visible"

    network: NameOrAll = Field(description="The network, or `all`.")
    on: Literal["all"] | Annotated[tuple[HostName, ...], Listed] = Field(
        default="all",
        description="The hosts that must have it; unless given, every Docker host for an overlay, those with a "
        "container on it for the others.",
    )

    def networks(self) -> tuple[str, ...]:
        """Return the network."""
        return (self.network,)

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts."""
        return (ALL,) if self.on == ALL else tuple(self.on)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return one check a network."""
        for network in named(lab, self.network):
            hosts = DRIVERS[network.driver].seen_on(lab, network) if self.on == ALL else tuple(self.on)
            probes = tuple(Inspect(h, network.name) for h in hosts)
            expected = f"{network.driver} {network.subnet} on {', '.join(hosts)}" + (
                ", with one id" if network.driver is Driver.OVERLAY else ""
            )
            if unable := first_unable(facts, hosts):
                yield settled(self.kind, network.name, expected, unable)
                continue
            yield Check(self.kind, network.name, expected, probes, _Visible(network, probes))


class _Visible:
    def __init__(self, network: Network, probes: tuple[Inspect, ...]) -> None:
        self._network, self._probes = network, probes

    def __call__(self, answers: Answers) -> Verdict:
        seen = {p.host: answers.network(p) for p in self._probes}
        wrong = [w for host, raw in seen.items() for w in deviations(host, raw, self._network)]
        ids = {raw.get("Id", "") for raw in seen.values() if raw}
        if len(ids) > 1 and self._network.driver is Driver.OVERLAY:
            each = ", ".join(f"{h}: {str(raw.get('Id'))[:12]}" for h, raw in seen.items() if raw)
            wrong.append(f"it is not one network but several of the same name ({each})")
        if wrong:
            return failed(
                "; ".join(wrong), f"docker network inspect {self._network.name}", settles=not all(seen.values())
            )
        first = next(iter(seen.values()))
        return ok(f"{str(first['Id'])[:12]}, scope {first['Scope']}, {subnet(first)} on {', '.join(seen)}")


def named(lab: Lab, name: str) -> tuple[Network, ...]:
    """Return the network of that name, or every one."""
    return tuple(n for n in lab.playbook.networks.values() if name in (ALL, n.name))


def first_unable(facts: Facts, hosts: Iterable[str]) -> Verdict | None:
    """Return why one of the hosts cannot be asked, None where all can."""
    return next((why for h in hosts if (why := without_docker(facts, h))), None)


def subnet(raw: Mapping[str, Any]) -> str:
    """Return the subnet of an inspected network, "" where it has none."""
    config = (raw.get("IPAM") or {}).get("Config") or [{}]
    return str(config[0].get("Subnet", ""))


def deviations(host: str, raw: Mapping[str, Any], network: Network) -> list[str]:
    """Return how the network on a host is other than the playbook says."""
    if not raw:
        return [f"there is no network {network.name} on {host}"]
    scopes = SPANNING if network.driver is Driver.OVERLAY else ("local",)
    wrong = []
    if raw.get("Driver") != network.driver:
        wrong.append(f"on {host} its driver is {raw.get('Driver')}, not {network.driver}")
    if raw.get("Scope") not in scopes:
        wrong.append(f"on {host} its scope is {raw.get('Scope')}, not {scopes[0]}")
    if subnet(raw) != network.subnet:
        wrong.append(f"on {host} its subnet is {subnet(raw) or 'not set'}, not {network.subnet}")
    return wrong

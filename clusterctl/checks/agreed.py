"""`agreed: {network}`: all hosts tell the same of a network and of who is on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Kind, NameOrAll, Spot, Verdict, failed, locate, ok, settled
from clusterctl.checks.probe import Inspect
from clusterctl.checks.visible import deviations, first_unable, named
from clusterctl.model.finding import Severity
from clusterctl.model.inventory import Role
from clusterctl.model.playbook import Driver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network

REMOTE = "ep-"
"""What the key of an endpoint starts with on the hosts that its container is not on, with a cluster store."""

BALANCER = "lb-"
"""Swarm's own endpoint on each host of a network; no container."""


class Agreed(Kind):
    """`docker network inspect` says the same on all hosts."""

    kind: ClassVar[str] = "agreed"

    network: NameOrAll = Field(description="The network, or `all`.")

    def networks(self) -> tuple[str, ...]:
        """Return the network."""
        return (self.network,)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return one check a network."""
        hosts = tuple(h.name for h in lab.with_role(Role.DOCKER))
        for network in named(lab, self.network):
            expected = f"{', '.join(hosts)} say the same of {network.name} and its endpoints"
            if network.driver is not Driver.OVERLAY:
                why = failed(f"a {network.driver} network is each host's own, there is nothing to agree on")
                yield settled(self.kind, network.name, expected, why)
                continue
            names = [c.name for c in lab.playbook.containers.values() if network.name in c.networks]
            ends = [locate(lab, facts, n) for n in names]
            unable = first_unable(facts, hosts) or next((e for e in ends if isinstance(e, Verdict)), None)
            if unable:
                yield settled(self.kind, network.name, expected, unable)
                continue
            probes = tuple(Inspect(h, network.name) for h in hosts)
            spots = tuple(e for e in ends if isinstance(e, Spot))
            decide = _Agreed(network, probes, spots)
            yield Check(self.kind, network.name, expected, probes, decide)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An endpoint as one host lists it. key: the container's id, or ep- and the endpoint's id."""

    key: str
    name: str
    id: str
    mac: str
    ip: str


def _endpoints(raw: Mapping[str, Any]) -> list[_Endpoint]:
    return [
        _Endpoint(
            key,
            e.get("Name", ""),
            e.get("EndpointID", ""),
            e.get("MacAddress", ""),
            e.get("IPv4Address", "").partition("/")[0],
        )
        for key, e in sorted((raw.get("Containers") or {}).items())
        if not key.startswith(BALANCER)
    ]


@dataclass(frozen=True, slots=True)
class _Agreed:
    """The judgement of one network. spots: the playbook's containers on it."""

    network: Network
    probes: tuple[Inspect, ...]
    spots: tuple[Spot, ...]

    def __call__(self, answers: Answers) -> Verdict:
        seen = {p.host: answers.network(p) for p in self.probes}
        wrong = [w for host, raw in seen.items() for w in deviations(host, raw, self.network)]
        if wrong:
            hint = f"docker network inspect {self.network.name}"
            return failed("; ".join(wrong), hint, settles=not all(seen.values()))
        wrong = self._differences(seen)
        lists = {host: _endpoints(raw) for host, raw in seen.items()}
        # Swarm lists on each host only the containers of that host.
        told = any(raw.get("Scope") == "global" for raw in seen.values())
        owned = {e.id for endpoints in lists.values() for e in endpoints if not e.key.startswith(REMOTE)}
        for spot in self.spots:
            wrong += self._astray(spot, lists, told)
        stale = {
            e.name: host
            for host, endpoints in lists.items()
            for e in endpoints
            if e.key.startswith(REMOTE) and e.id not in owned
        }
        if stale:
            each = ", ".join(f"{name} (seen from {host})" for name, host in stale.items())
            wrong.append(f"stale endpoint, without a container on any of the hosts: {each}")
        if wrong:
            first = next(iter(stale), "")
            hint = f"docker network disconnect -f {self.network.name} {first}" if first else "restart the container"
            return failed("; ".join(wrong), hint)
        ids = {s.found.id for s in self.spots}
        mine = ", ".join(f"{s.name} {s.ip(self.network.name)}" for s in self.spots) or "no endpoint"
        strangers = sorted(
            e.name for es in lists.values() for e in es if not e.key.startswith(REMOTE) and e.key not in ids
        )
        if strangers:
            also = f"{mine}; also on it, not in the playbook: {', '.join(strangers)}"
            return Verdict(Severity.WARNING, also, settles=False)
        return ok(f"{', '.join(seen)} agree: {mine}")

    def _differences(self, seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
        first, *others = seen
        wrong = []
        for field in ("Id", "Driver", "Scope", "IPAM", "Options"):
            for host in others:
                one, other = seen[first].get(field) or {}, seen[host].get(field) or {}
                if one != other:
                    wrong.append(f"{field} differs: {first} says {_short(one)}, {host} says {_short(other)}")
        return wrong

    def _astray(self, spot: Spot, lists: Mapping[str, list[_Endpoint]], told: bool) -> list[str]:
        """Return where a container is missing, or listed as another than it is."""
        ip, mac = spot.ip(self.network.name), spot.mac(self.network.name)
        own = next((e for e in lists.get(spot.host.name, ()) if e.key == spot.found.id), None)
        if own is None:
            return [f"{spot.host.name} does not list {spot.name}, which runs there"]
        wrong = _differs(own, spot.name, ip, mac, spot.host.name)
        for host in lists if told else ():
            if host == spot.host.name:
                continue
            other = next((e for e in lists[host] if e.key == f"{REMOTE}{own.id}"), None)
            if other is None:
                wrong.append(f"{host} does not list {spot.name} of {spot.host.name}")
            else:
                wrong += _differs(other, spot.name, ip, mac, host)
        return wrong


def _differs(endpoint: _Endpoint, name: str, ip: str, mac: str, host: str) -> list[str]:
    pairs = (("name", endpoint.name, name), ("address", endpoint.ip, ip), ("MAC", endpoint.mac, mac))
    return [f"{host} lists {name} with the {what} {is_}, not {must}" for what, is_, must in pairs if is_ != must]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

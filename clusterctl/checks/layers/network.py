"""Layer 5, the networks: on every host the same, in the store, with endpoints that somebody has."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.checks.layers.judged import Judge
from clusterctl.commands.bridge import enter
from clusterctl.commands.docker import Disconnect
from clusterctl.model.finding import Evidence, Layer
from clusterctl.model.inventory import Role
from clusterctl.model.playbook import Driver
from clusterctl.networks import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network

JUDGE = Judge(Layer.NETWORK)
BASE = "/docker/network/v1.0"
UP = "this machine: clusterctl up"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a network as the store keeps it. locator: the address of its host."""

    id: str
    network: str
    name: str
    locator: str
    ip: str
    mac: str


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge every network of the playbook on the daemons that answered."""
    for network in lab.playbook.networks.values():
        faults = [
            *_present(lab, survey, network),
            *_alike(lab, survey, network),
            *_kept(lab, survey, network),
            *_overlaps(lab, survey, network),
        ]
        yield from faults
        if all(f.holds for f in faults):
            ids = network_ids(survey, network.name)
            where = ", ".join(ids) or "no host that answered"
            subnet = network.subnet or "a subnet of Docker's choice"
            yield JUDGE.ok("network", network.name, "the same on its hosts", f"{network.driver} {subnet} on {where}")


def network_ids(survey: Survey, name: str) -> dict[str, str]:
    """Return the network's id on each host that has it."""
    daemons = {h: f.docker for h, f in survey.facts.hosts.items() if f.docker}
    return {h: d.networks[name].id for h, d in daemons.items() if name in d.networks}


def endpoints(keys: Mapping[str, str] | str) -> tuple[Endpoint, ...]:
    """Return all endpoints that the store keeps."""
    found = []
    for key, value in keys.items() if isinstance(keys, Mapping) else ():
        if not key.startswith(f"{BASE}/endpoint/"):
            continue
        try:
            raw = json.loads(value)
            iface = raw.get("ep_iface") or {}
            found.append(
                Endpoint(
                    raw["id"],
                    key.split("/")[-2],
                    raw.get("name", ""),
                    raw.get("locator", ""),
                    str(iface.get("addr", "")).partition("/")[0],
                    iface.get("mac", ""),
                )
            )
        except (ValueError, KeyError, AttributeError):
            continue
    return tuple(found)


def _present(lab: Lab, survey: Survey, network: Network) -> Iterator[Judged]:
    """Judge whether the hosts that should have it do."""
    ids = network_ids(survey, network.name)
    asked = [h for h in DRIVERS[network.driver].seen_on(lab, network) if survey.facts.docker(h)]
    missing = [h for h in asked if h not in ids]
    if not missing:
        return
    keys = survey.keys if isinstance(survey.keys, Mapping) else {}
    kept = [k for k, v in keys.items() if k.startswith(f"{BASE}/network/") and f'"name":"{network.name}"' in v]
    none = Evidence("this machine", "clusterctl etcd keys", f"nothing named {network.name} below {BASE}/network")
    lacks = Evidence(missing[0], f"docker network inspect {network.name}", f"Error: No such network: {network.name}")
    expected = f"{network.name} is on {', '.join(asked)}"
    where = f"missing on {', '.join(missing)}"
    if network.driver is not Driver.OVERLAY:
        yield JUDGE.fault(
            "network-missing",
            network.name,
            expected,
            f"the network {network.name} is {where}",
            UP,
            lacks,
            completes=True,
        )
    elif kept:
        store = Evidence(missing[0], "clusterctl etcd keys", kept[0])
        seen = f"the network {network.name} is in the store, yet {where}: the daemon there does not read the store"
        hint = f"{missing[0]}: systemctl restart docker; then {UP}"
        yield JUDGE.fault("network-unseen", network.name, expected, seen, hint, lacks, store, completes=True)
    elif isinstance(survey.keys, str):
        seen = f"the network {network.name} is {where}, and the store could not be asked: {survey.keys}"
        yield JUDGE.fault("network-missing", network.name, expected, seen, UP, lacks)
    elif on_it := hosts_of(survey, network.name):
        yield _lost(keys, network, expected, on_it, (lacks, none))
    else:
        seen = f"the network {network.name} is not in the store, and {where}"
        yield JUDGE.fault("network-missing", network.name, expected, seen, UP, lacks, none, completes=True)


def _lost(
    keys: Mapping[str, str], network: Network, expected: str, on_it: Mapping[str, str], shown: tuple[Evidence, ...]
) -> Judged:
    """Judge a network that is gone from the store while containers stand on it."""
    which = ", ".join(f"{name} on {host}" for name, host in on_it.items())
    seen = f"the store has lost the network {network.name}, which {which} still stand on"
    pool = next((k for k, v in keys.items() if k.startswith(f"{BASE}/ipam/") and network.subnet in f"{k} {v}"), "")
    if not (network.subnet and pool):
        return JUDGE.fault("store-lost-network", network.name, expected, seen, UP, *shown, completes=True)
    # Docker makes no other one with this subnet as long as the pool is there, and nothing but Docker may remove it.
    kept = Evidence("this machine", "clusterctl etcd keys", f"{pool}: the pool {network.subnet} is still taken")
    hint = "this machine: clusterctl etcd restore FILE; or clusterctl down --keep-hosts, then clusterctl up"
    return JUDGE.fault("store-lost-network", network.name, expected, seen, hint, *shown, kept)


def _alike(lab: Lab, survey: Survey, network: Network) -> Iterator[Judged]:
    """Judge id, driver, subnet and VNI across the hosts."""
    ids = network_ids(survey, network.name)
    found = {h: d.networks[network.name] for h in ids if (d := survey.facts.docker(h))}
    expected = f"{network.driver} {network.subnet}, with one id and one VNI everywhere"
    for host, one in found.items():
        shown = Evidence(
            host, f"docker network inspect {network.name}", f"driver {one.driver}, subnet {one.subnet}, id {one.id}"
        )
        wrong = [
            f"its {what} is {is_}, not {must}"
            for what, is_, must in (("driver", one.driver, str(network.driver)), ("subnet", one.subnet, network.subnet))
            if must and is_ != must
        ]
        if wrong:
            seen = f"the network {network.name} on {host} is another than the playbook's: {'; '.join(wrong)}"
            hint = f"{host}: docker network rm {network.name}; then {UP}"
            yield JUDGE.fault("network-differs", network.name, expected, seen, hint, shown)
    if network.driver is not Driver.OVERLAY:
        return
    if len(set(ids.values())) > 1:
        shown_ids = [Evidence(h, f"docker network inspect -f '{{{{.Id}}}}' {network.name}", i) for h, i in ids.items()]
        seen = f"the hosts have different networks named {network.name}: their ids differ"
        hint = f"on one host of them: docker network rm {network.name}; then {UP}"
        yield JUDGE.fault("network-differs", network.name, expected, seen, hint, *shown_ids)
        return
    vnis = {}
    for host, id_ in ids.items():
        anatomy = survey.anatomy(host)
        space = anatomy.overlay(id_) if anatomy else None
        if space and space.vxlan:
            vnis[host] = space.vxlan.vni
    if len(set(vnis.values())) > 1:
        each = [Evidence(h, f"{enter(ids[h])} ip -d link show type vxlan", f"vxlan id {v}") for h, v in vnis.items()]
        seen = f"the hosts do not use one VNI for {network.name}: {', '.join(f'{h} {v}' for h, v in vnis.items())}"
        yield JUDGE.fault("vni", network.name, expected, seen, f"on each: systemctl restart docker; then {UP}", *each)


def _kept(lab: Lab, survey: Survey, network: Network) -> Iterator[Judged]:
    """Judge what the store keeps of it against the containers that exist."""
    ids = set(network_ids(survey, network.name).values())
    if network.driver is not Driver.OVERLAY or isinstance(survey.keys, str) or len(ids) != 1:
        return
    id_ = ids.pop()
    host = next(iter(network_ids(survey, network.name)))
    for part in ("network", "overlay/network"):
        key = f"{BASE}/{part}/{id_}"
        if key not in survey.keys:
            shown = Evidence("this machine", "clusterctl etcd keys", f"there is no {key}")
            seen = f"the store has lost the network {network.name}, which the daemons still have: {key} is missing"
            hint = f"this machine: clusterctl etcd restore FILE; or on every host: docker rm its containers; then {UP}"
            yield JUDGE.fault("store-lost-network", network.name, f"{key} is in the store", seen, hint, shown)
            return
    yield from _collision(survey, network, survey.keys[f"{BASE}/overlay/network/{id_}"])
    hosts = {h.cluster_address: h.name for h in lab.with_role(Role.DOCKER)}
    kept = [e for e in endpoints(survey.keys) if e.network == id_]
    for one in kept:
        yield from _stale(survey, network, one, hosts, host)
    for name, place in hosts_of(survey, network.name).items():
        if not any(e.name == name for e in kept):
            shown = Evidence(
                "this machine", "clusterctl etcd keys", f"no endpoint {name} below {BASE}/endpoint/{id_[:12]}"
            )
            lost = f"{name} runs on {place}, and the store has no endpoint of it on {network.name}"
            seen = f"{lost}: the others do not find it"
            hint = f"{place}: docker rm -f {name}; then {UP}"
            yield JUDGE.fault("endpoint-missing", name, f"the store has an endpoint {name}", seen, hint, shown)


def _collision(survey: Survey, network: Network, kept: str) -> Iterator[Judged]:
    """Judge whether a host has a VXLAN of its own with the network's VNI, so that Docker cannot make its."""
    vnis = {int(n) for n in re.findall(r'"Vni":\s*(\d+)', kept)}
    for host in network_ids(survey, network.name):
        anatomy = survey.anatomy(host)
        for link in anatomy.host.links if anatomy else ():
            if link.kind == "vxlan" and link.vni in vnis:
                shown = Evidence(host, f"ip -d link show {link.name}", f"vxlan id {link.vni} dstport {link.udp_port}")
                taken = f"{link.name} of {host} has the VNI of {network.name}, {link.vni}"
                seen = f"{taken}: Docker cannot make the overlay's own"
                hint = f"{host}: ip link del {link.name}"
                yield JUDGE.fault("vni-taken", network.name, "the VNI is Docker's alone", seen, hint, shown)


def hosts_of(survey: Survey, network: str) -> dict[str, str]:
    """Return the host of each container that runs on a network."""
    return {
        c.name: h
        for h, f in survey.facts.hosts.items()
        for c in (f.docker.containers.values() if f.docker else ())
        if network in c.networks and c.state in ("running", "paused")
    }


def _stale(survey: Survey, network: Network, one: Endpoint, hosts: Mapping[str, str], asker: str) -> Iterator[Judged]:
    """Judge an endpoint whose container must run on the host that it names."""
    place = hosts.get(one.locator, "")
    daemon = survey.facts.docker(place) if place else None
    if place and daemon is None:
        return  # whether it is stale cannot be told: its host or its daemon does not answer
    container = daemon.containers.get(one.name) if daemon else None
    lives = container is not None and container.state in ("running", "paused", "restarting")
    if lives and container is not None and container.networks.get(network.name, ("", ""))[0] in (one.ip, ""):
        return
    shown = Evidence(
        "this machine",
        "clusterctl etcd keys",
        f"{BASE}/endpoint/{one.network[:12]}/{one.id[:12]}: {one.name} {one.ip} {one.mac} at {one.locator}",
    )
    there = f"there is no such container on {place}" if place else f"{one.locator} is no host of the lab"
    if container is not None:
        state = container.networks.get(network.name, ("", ""))[0] if lives else container.state
        there = f"its container on {place} is {state}" if not lives else f"its container has {state}, not {one.ip}"
    has = Evidence(place or asker, "docker ps -a", there)
    seen = f"the store keeps a stale endpoint of {one.name} ({one.ip}) on {network.name}: {there}"
    hint = f"{asker}: docker network disconnect --force {network.name} {one.name}"
    drop = Disconnect(host=asker, title=f"drop the stale endpoint {one.name}", network=network.name, endpoint=one.name)
    stopped = container is not None and not lives
    if stopped:
        return  # Docker gives it back when the container starts: the layer of the containers tells of it
    yield JUDGE.fault(
        "stale-endpoint", one.name, "every endpoint has its container", seen, hint, shown, has, safe=[drop]
    )


def _overlaps(lab: Lab, survey: Survey, network: Network) -> Iterator[Judged]:
    """Judge whether a host has another way to the network's addresses, which then wins."""
    if not network.subnet or network.driver not in (Driver.OVERLAY, Driver.BRIDGE):
        return  # others share the hosts' own subnet on purpose
    wanted = ipaddress.ip_network(network.subnet)
    for host in network_ids(survey, network.name):
        anatomy, daemon = survey.anatomy(host), survey.facts.docker(host)
        if anatomy is None or daemon is None:
            continue
        own = f"br-{daemon.networks[network.name].id[:12]}"
        for link in anatomy.host.links:
            for address in link.addresses:
                other = ipaddress.ip_network(address, strict=False)
                if link.name not in (own, "lo") and wanted.overlaps(other):
                    shown = Evidence(host, f"ip -4 addr show {link.name}", f"{link.name} {address}")
                    seen = (
                        f"the subnet of {network.name}, {network.subnet}, collides with {link.name} of {host} ({other})"
                    )
                    hint = (
                        f"choose another subnet for {network.name} in the playbook, or give {link.name} another address"
                    )
                    yield JUDGE.fault("subnet", network.name, "no other interface has its addresses", seen, hint, shown)

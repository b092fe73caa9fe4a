"""`stored: {network}`: the store has keys for a network and its containers; they come with it and go with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Kind, NameOrAll, Verdict, failed, ok, settled
from clusterctl.checks.probe import KeysAround, Stages
from clusterctl.checks.visible import first_unable, named
from clusterctl.model.inventory import Role
from clusterctl.model.lab import LABEL
from clusterctl.model.playbook import Driver
from clusterctl.plan.command import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

PREFIX = "/docker/network/v1.0/"
TRIAL = "clusterctl-trial"
SUBNET = "198.18.255.0/24"
"""Set aside for benchmarks of networks (RFC 2544): no host has it."""


class Stored(Kind):
    """A network and its containers are keys in the cluster store."""

    kind: ClassVar[str] = "stored"

    network: NameOrAll = Field(description="The network, or `all`.")

    def networks(self) -> tuple[str, ...]:
        """Return the network."""
        return (self.network,)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return two checks a network: of its own keys, and of those that another one brings and takes away."""
        member, docker = lab.with_role(Role.ETCD)[0].name, lab.with_role(Role.DOCKER)[0].name
        make = ("docker", "network", "create", "--driver", "overlay", "--subnet", SUBNET)
        probe = KeysAround(
            member,
            PREFIX,
            docker,
            command(*make, "--label", f"{LABEL}={lab.name}", TRIAL),
            command("docker", "network", "rm", TRIAL),
        )
        for network in named(lab, self.network):
            names = [c.name for c in lab.playbook.containers.values() if network.name in c.networks]
            expected = f"keys for {network.name}" + (f" and the endpoints of {', '.join(names)}" if names else "")
            unable = first_unable(facts, (docker,))
            if network.driver is not Driver.OVERLAY:
                unable = failed(f"a {network.driver} network is its host's own: the store knows nothing of it")
            if unable:
                yield settled(self.kind, network.name, expected, unable)
                continue

            def has(answers: Answers, name: str = network.name, names: list[str] = names) -> Verdict:
                return _own(answers.stages(probe).before, name, names)

            yield Check(self.kind, network.name, expected, (probe,), has, disturbs=True)
        around = "a network that is created brings keys, and takes them away when it is removed"
        yield Check(self.kind, TRIAL, around, (probe,), lambda a: _around(a.stages(probe)), looks=1, disturbs=True)


def _own(keys: Mapping[str, str], network: str, names: list[str]) -> Verdict:
    id = next((v["id"] for v in _values(keys, "network/") if v.get("name") == network), "")
    if not id:
        return failed(f"no key of {len(keys)} below {PREFIX}network names {network}", "clusterctl etcd keys")
    here = {v.get("name"): v for v in _values(keys, f"endpoint/{id}/")}
    missing = [n for n in names if n not in here]
    if missing:
        return failed(f"network/{id[:12]} is there, but no endpoint of {', '.join(missing)}", "clusterctl etcd keys")
    vni = next((f", VNI {_vni(v)}" for k, v in keys.items() if k == f"{PREFIX}overlay/network/{id}"), "")
    ends = ", ".join(f"{n} {_address(here[n])}" for n in names)
    return ok(f"network/{id[:12]}{vni}" + (f"; endpoint/{id[:12]}: {ends}" if ends else ""))


def _values(keys: Mapping[str, str], below: str) -> Iterable[dict[str, Any]]:
    for key, value in keys.items():
        if key.startswith(PREFIX + below):
            try:
                found = json.loads(value)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found


def _vni(value: str) -> str:
    """Return the VNI that an overlay's key says; "?" where it says none."""
    try:
        return str(json.loads(value)["subnets"][0]["Vni"])
    except (ValueError, LookupError, TypeError):
        return "?"


def _address(endpoint: Mapping[str, Any]) -> str:
    interface = endpoint.get("ep_iface")
    address = interface.get("addr", "") if isinstance(interface, dict) else ""
    return str(address).partition("/")[0]


def _around(stages: Stages) -> Verdict:
    came = sorted(stages.between.keys() - stages.before.keys())
    stayed = [k for k in came if k in stages.after and "/ipam/" not in k and "/idm/" not in k]
    folders = sorted({k.removeprefix(PREFIX).partition("/")[0] for k in came})
    if not any(k.startswith(f"{PREFIX}network/") for k in came):
        return failed(f"no key came below {PREFIX}network")
    if stayed:
        return failed(f"{len(stayed)} of {len(came)} keys stayed, first {stayed[0]}", "clusterctl etcd keys")
    changed = sum(stages.before[k] != v for k, v in stages.between.items() if k in stages.before)
    return ok(
        f"{len(stages.before)} keys before; {len(came)} came ({', '.join(folders)}), {changed} had other values; "
        f"{len(stages.after)} after"
    )

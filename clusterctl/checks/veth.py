"""`veth: {of}`: each interface of a container on a bridge is one end of a veth pair; the other is on the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from clusterctl.checks import inside
from clusterctl.checks.check import Check, Each, Spot, Verdict, failed, ok, settled, spans, unknown
from clusterctl.checks.probe import OnHost
from clusterctl.model.playbook import BRIDGE
from clusterctl.plan.command import command
from clusterctl.topology import links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

DOCKER0 = "docker0"
NAMED = "com.docker.network.bridge.name"


class Veth(Each):
    """A container's interface and a port of the bridge on its host are the two ends of one veth pair."""

    kind: ClassVar[str] = "veth"

    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return one check for each bridge that it is on."""
        bridges = [n for n in spot.container.attached if not spans(lab, n)]
        if not bridges:
            why = failed(f"{spot.name} has no interface of its own on a bridge")
            yield settled(self.kind, spot.name, f"{spot.name} is on a bridge", why)
        ends = spot.run(*inside.ENDS)
        ports = OnHost(spot.host.name, command("ip", "-d", "-j", "link", root=False))
        for network in bridges:
            bridge, mac = bridge_of(facts, spot.host.name, network), spot.mac(network)
            expected = f"{spot.name} hangs on {bridge} of {spot.host.name} by a veth pair"

            def decide(answers: Answers, bridge: str = bridge, mac: str = mac) -> Verdict:
                near = inside.ends(answers.exec(ends).output).get(mac)
                if near is None:
                    return unknown(f"no interface of {spot.name} shows the MAC {mac}")
                name, index = near
                found = links.read(answers.result(ports).stdout.splitlines()).links
                far = next((link for link in found if link.index == index), None)
                return _port(f"{name} of {spot.name}", index, far, bridge)

            yield Check(self.kind, spot.name, expected, (ends, ports), decide)


def bridge_of(facts: Facts, host: str, network: str) -> str:
    """Return the name of the Linux bridge behind a network on a host."""
    docker = facts.docker(host)
    found = docker.networks.get(network) if docker else None
    if network == BRIDGE or found is None:
        return DOCKER0
    return found.options.get(NAMED) or f"br-{found.id[:12]}"


def _port(near: str, index: int, far: links.Link | None, bridge: str) -> Verdict:
    if far is None:
        return failed(f"the other end of {near} has the index {index}, which no link of the host has")
    if far.kind != "veth":
        return failed(f"the other end of {near} is {far.name}, which is no veth but {far.kind or 'a device'}")
    if far.master != bridge:
        return failed(
            f"the other end of {near} is {far.name}, a port of {far.master or 'no bridge'}, not of {bridge}",
            f"ip link set {far.name} master {bridge}",
        )
    if not far.up:
        return failed(f"the other end of {near}, {far.name}, is down", f"ip link set {far.name} up")
    return ok(f"the other end of {near} is {far.name} (index {index}), a port of {bridge}")

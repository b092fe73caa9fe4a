"""`forwarded: {from, to}`: the overlay on the sender's host knows where the target's frames go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, settled, shared_overlay, unknown
from clusterctl.checks.probe import InContainer, OnHost
from clusterctl.commands import bridge
from clusterctl.model.finding import Severity
from clusterctl.topology.overlay import Overlay, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container


class Forwarded(Pairs):
    """A forwarding entry leads to the target: over VXLAN to its host, or to its port on the same bridge."""

    kind: ClassVar[str] = "forwarded"

    def belongs(self, lab: Lab, source: Container, target: Container) -> bool:
        """Whether an overlay joins the two."""
        return bool(shared_overlay(lab, source, target))

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: of the forwarding entry, or of the bridge port when both are on one host."""
        subject = f"{source.name} → {target.name}"
        network = shared_overlay(lab, source.container, target.container)
        mac, host = target.mac(network), source.host.name
        if not network:
            expected = f"{source.name} and {target.name} share an overlay"
            yield settled(self.kind, subject, expected, failed("they share none, so no VXLAN joins them"))
            return
        state = overlay_on(facts, host, network)
        if state is None:
            expected = f"{host} has the network {network}"
            yield settled(self.kind, subject, expected, failed(f"there is no network {network} on {host}"))
        elif source.host == target.host:
            expected = f"{mac} is behind a port of the bridge on {host}, where both are"
            # Learnt entries age; the other end of the container's link does not.
            argv = ("sh", "-c", "grep . /sys/class/net/*/address /sys/class/net/*/iflink")
            ends = InContainer(host, target.name, argv, target.container.image)

            def local(answers: Answers) -> Verdict:
                return _on_bridge(read_overlay(answers, state), answers.exec(ends).output, target, mac)

            yield Check(self.kind, subject, expected, (state, ends), local)
        else:
            to = target.host.cluster_address
            expected = f"on {host} frames for {mac} go to {to} ({target.host.name})"

            def remote(answers: Answers) -> Verdict:
                return _by_vxlan(read_overlay(answers, state), target, mac, network)

            # The entry is there as soon as the container is; one that comes later was missed and asked for.
            yield Check(self.kind, subject, expected, (state,), remote, late=Severity.WARNING)


def overlay_on(facts: Facts, host: str, network: str) -> OnHost | None:
    """Return the probe for a network's namespace on a host; None where the host has no such network."""
    docker = facts.docker(host)
    found = docker.networks.get(network) if docker else None
    return OnHost(host, bridge.read_overlay(found.id), bridge.by_hand(found.id)) if found else None


def read_overlay(answers: Answers, probe: OnHost) -> Overlay | None:
    """Return what the probe found, None where the host has no namespace for the network."""
    result = answers.result(probe)
    return None if result.exit_code == bridge.ABSENT else parse(result.stdout)


def _by_vxlan(overlay: Overlay | None, target: Spot, mac: str, network: str) -> Verdict:
    if overlay is None:
        return failed(f"there is no namespace of {network}, as if no container of it ran there")
    if not overlay.vxlan:
        return failed(f"there is no VXLAN device in {overlay.namespace}", "systemctl restart docker")
    towards, want = overlay.towards(mac), target.host.cluster_address
    if towards == (want,):
        return ok(f"{overlay.vxlan}: {mac} dst {want}, VNI {overlay.vni}")
    hint = f"docker restart {target.name} (on {target.host.name}) announces it anew"
    if not towards:
        return failed(f"{overlay.vxlan} (VNI {overlay.vni}) has no entry for {mac}", hint)
    return failed(
        f"{overlay.vxlan} sends frames for {mac} to {', '.join(towards)}, not only to {want}", hint, settles=False
    )


def _on_bridge(overlay: Overlay | None, ends: str, target: Spot, mac: str) -> Verdict:
    if overlay is None:
        return failed(f"there is no namespace of the network on {target.host.name}")
    macs = dict(re.findall(r"^/sys/class/net/([^/]+)/address:(\S+)$", ends, re.MULTILINE))
    peers = dict(re.findall(r"^/sys/class/net/([^/]+)/iflink:(\d+)$", ends, re.MULTILINE))
    link = next((name for name, has in macs.items() if has == mac), "")
    if link not in peers:
        return unknown(f"no link of {target.name} shows the MAC {mac}")
    port = overlay.port_of(int(peers[link]))
    if port is None:
        return failed(f"the other end of {target.name}'s {link} is not a port of the bridge in {overlay.namespace}")
    if not port.up or port.state != "forwarding":
        return failed(f"port {port.name} of {port.master} is {'up' if port.up else 'down'}, {port.state}")
    return ok(f"same host: {target.name}'s {link} is port {port.name} of {port.master}, no VXLAN between them")

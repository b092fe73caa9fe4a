"""Whether each host reaches each other where the cluster must: what is called, and what came of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts import ports
from clusterctl.commands.underlay import BURSTS, Answered, Call, Heard, burst
from clusterctl.model.finding import Finding, Severity
from clusterctl.model.inventory import Role
from clusterctl.model.playbook import Driver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import Facts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab

MTU = "mtu"
VXLAN_HEADERS = 50
"""Bytes that VXLAN puts around a frame's packet: outer IP, UDP, VXLAN, inner Ethernet."""

OVERLAY_MTU = 1450
"""The MTU of an overlay network, and the driver's option that changes it."""
MTU_OPTION = "com.docker.network.driver.mtu"

SEEN = 3
"""Bursts that must be counted before they prove anything; traffic by chance looks like one once."""


def needed(source: Host, target: Host) -> tuple[str, ...]:
    """Return the ports ("udp 4789") that one host must reach on another."""
    both = {port for role in Role if role in source.roles and role in target.roles for port in ports.PORTS[role]}
    client = ports.PORTS[Role.ETCD][0]
    return tuple(p for p in ports.of(target) if p in both or p == client)


def packet(lab: Lab) -> int:
    """Return the size of the largest packet that the playbook's overlays send from host to host."""
    overlays = [n for n in lab.playbook.networks.values() if n.driver is Driver.OVERLAY]
    sizes = [n.options.get(MTU_OPTION, "") for n in overlays] or [""]
    return max(int(s) if s.isdigit() else OVERLAY_MTU for s in sizes) + VXLAN_HEADERS


def pairs(lab: Lab, facts: Facts) -> Iterator[tuple[Host, Host]]:
    """Return every ordered pair of hosts that answered."""
    there = [h for h in lab.inventory.hosts.values() if h.name in facts.hosts]
    return ((a, b) for a in there for b in there if a.name != b.name)


def to_call(lab: Lab, facts: Facts, source: Host, target: Host) -> dict[str, Call]:
    """Return how a host calls a peer, by port: as what holds the port there answers, or our listener."""
    found = {}
    for port in needed(source, target):
        proto, _, number = port.partition(" ")
        holder = ports.proper(port, target, facts.hosts[target.name])
        kind = "gossip" if holder == "dockerd" and proto == "udp" else "burst" if holder == "the kernel" else proto
        size = burst(list(lab.inventory.hosts).index(source.name)) if kind == "burst" else int(bool(holder))
        found[port] = Call(kind, target.cluster_address, int(number), size)
    found[MTU] = Call(MTU, target.cluster_address, 0, packet(lab))
    return found


def judge(
    lab: Lab,
    facts: Facts,
    heard: Mapping[str, Heard | str],
    called: Mapping[str, Mapping[Call, Answered] | str],
) -> Iterator[Finding]:
    """Judge every pair. heard, called: what the two scripts of each host printed, or why they did not."""
    for source, target in pairs(lab, facts):
        answers = called.get(source.name, f"{source.name} was not asked")
        met = heard.get(target.name, f"{target.name} was not asked")
        for port, call in to_call(lab, facts, source, target).items():
            answer = answers if isinstance(answers, str) else answers.get(call, f"{source.name} did not call")
            if port == MTU:
                yield _mtu(source, target, call, answer)
            else:
                yield _port(
                    source, target, port, call, answer, met, ports.proper(port, target, facts.hosts[target.name])
                )


def subject(source: Host, target: Host) -> str:
    """Return how a pair is called."""
    return f"{source.name} → {target.name}"


def _port(
    source: Host, target: Host, port: str, call: Call, answer: Answered | str, met: Heard | str, holder: str
) -> Finding:
    judged = _tcp if call.kind == "tcp" else _burst if call.kind == "burst" else _udp
    severity, seen = (
        (Severity.UNKNOWN, answer)
        if isinstance(answer, str)
        else judged(source, target, port, call, answer, met, holder)
    )
    hint = ""
    if severity is Severity.FAILED:
        hint = f"let {port} pass from {source.cluster_address} to {target.cluster_address}: on both hosts iptables -S"
    by_hand = f"{source.name}: nc -vz{'u' if port.startswith('udp') else ''} {target.cluster_address} {call.port}"
    expected = f"{source.name} reaches {port} of {target.name}"
    return Finding(port, subject(source, target), severity, expected, seen, hint, (by_hand,))


def _listens(port: str, met: Heard | str, holder: str, target: Host) -> str:
    """Return why nobody of ours listens on the port, "" where somebody does."""
    if holder or (isinstance(met, Heard) and port in met.bound):
        return ""
    if isinstance(met, str):
        return f"nothing listened there: {met}"
    return f"nothing of ours listens there: {met.held.get(port, f'{target.name} did not say why')}"


def _tcp(
    source: Host, target: Host, port: str, call: Call, answer: Answered, met: Heard | str, holder: str
) -> tuple[Severity, str]:
    if answer.ok:
        ours = "our listener" if isinstance(met, Heard) and port in met.bound else "what holds the port"
        return Severity.OK, f"connected to {holder or ours}"
    if why := _listens(port, met, holder, target):
        return Severity.UNKNOWN, why
    return Severity.FAILED, f"{answer.seen}, {answer.tries} tries, and {holder or 'our listener'} listens there"


def _udp(
    source: Host, target: Host, port: str, call: Call, answer: Answered, met: Heard | str, holder: str
) -> tuple[Severity, str]:
    if answer.ok:
        return Severity.OK, "answered by " + ("Docker's gossip" if call.kind == "gossip" else "our listener")
    if isinstance(met, Heard) and (port, source.cluster_address) in met.heard:
        return Severity.OK, "it arrived; the answer did not"
    if why := _listens(port, met, holder, target):
        return Severity.UNKNOWN, why
    if not answer.tries:
        return Severity.UNKNOWN, f"nothing was sent: {answer.seen}"
    asked = f"none of {answer.tries} packets arrived"
    if call.kind == "gossip":
        asked = f"Docker's gossip answered none of {answer.tries} pings"
    return Severity.FAILED, f"{asked} ({answer.seen})"


def _burst(
    source: Host, target: Host, port: str, call: Call, answer: Answered, met: Heard | str, holder: str
) -> tuple[Severity, str]:
    """The kernel takes VXLAN's packets in and says nothing; how many it took in is counted."""
    if isinstance(met, str):
        return Severity.UNKNOWN, f"held by the kernel, and its counter was not read: {met}"
    if not answer.ok:
        return Severity.UNKNOWN, f"held by the kernel, and not all was sent: {answer.seen}"
    counted = sum(call.size <= step < call.size + 5 for step in met.steps)
    seen = f"the kernel there counted {counted} of {BURSTS} bursts of {call.size} packets"
    if counted >= SEEN:
        return Severity.OK, seen
    if not counted and sum(met.steps) < call.size:
        return Severity.FAILED, f"{seen}, and {sum(met.steps)} UDP packets in all"
    return Severity.UNKNOWN, f"{seen} among {sum(met.steps)} UDP packets: too few, or too much else, to tell"


def _mtu(source: Host, target: Host, call: Call, answer: Answered | str) -> Finding:
    expected = f"packets of {call.size} bytes pass from {source.name} to {target.name} in one piece"
    by_hand = f"{source.name}: ping -c 1 -M do -s {call.size - 28} {target.cluster_address}"
    hint = ""
    if isinstance(answer, str):
        severity, seen = Severity.UNKNOWN, answer
    elif not answer.seen.isdigit():
        severity, seen = Severity.UNKNOWN, f"{answer.seen} to pings of any size: ICMP may be filtered"
    elif int(answer.seen) >= call.size:
        severity, seen = Severity.OK, f"{answer.seen} bytes pass"
    else:
        severity, seen = Severity.FAILED, f"{answer.seen} bytes pass, {call.size} do not"
        fits = int(answer.seen) - VXLAN_HEADERS
        hint = f"raise the MTU between the hosts, or in the playbook options: {{{MTU_OPTION}: '{fits}'}}"
    return Finding(MTU, subject(source, target), severity, expected, seen, hint, (by_hand,))


def watched(lab: Lab, facts: Facts, target: Host) -> list[int]:
    """Return the bursts that are sent to a host."""
    calls = [to_call(lab, facts, a, b).values() for a, b in pairs(lab, facts) if b.name == target.name]
    return sorted(c.size for found in calls for c in found if c.kind == "burst")

"""Layer 2, the underlay: what passes between each two hosts, which way, and what on them takes it away."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.checks import pairs
from clusterctl.checks.layers.judged import Judge
from clusterctl.checks.layers.rules import nft_drops, undoing, without_counters
from clusterctl.checks.layers.survey import DOCKER
from clusterctl.model.finding import Evidence, Layer, Severity
from clusterctl.stores import etcd
from clusterctl.topology.rules import WAYS_IN, WAYS_OUT, Packet, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.topology.anatomy import Namespace
    from clusterctl.topology.rules import Ended

JUDGE = Judge(Layer.UNDERLAY)

MEANS = {
    "tcp 2379": "etcd's clients",
    "tcp 2380": "etcd's members among each other",
    "tcp 7946": "Docker's gossip",
    "udp 7946": "Docker's gossip",
    "udp 4789": "the overlay's VXLAN",
}
"""What each port is for."""

ENDS_BADLY = ("unreachable", "blackhole", "prohibit", "RTNETLINK", "Network is")
"""How `ip route get` begins or what it says where the kernel sends nothing."""


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge each ordered pair of hosts that answered: the kernel's way, then what was measured."""
    hosts = survey.reached(tuple(lab.inventory.hosts.values()))
    for source in hosts:
        for target in (h for h in hosts if h is not source):
            yield from _pair(lab, survey, source, target)


def _pair(lab: Lab, survey: Survey, source: Host, target: Host) -> Iterator[Judged]:
    subject = pairs.subject(source, target)
    if lost := _route(survey, source, target):
        yield lost
        return
    if survey.between is None:
        return
    measured = [_blocked(f) for f in survey.between if f.subject == subject]
    measured = [f for f in measured if not _answered_by_halted(survey, target, f.check)]
    bad = [f for f in measured if not f.holds]
    if not bad:
        seen = ", ".join(f.check for f in measured) or "nothing to measure"
        yield JUDGE.ok("passes", subject, "every port of the cluster, and whole packets", seen)
        return
    failed = [f for f in bad if f.severity is Severity.FAILED]
    ports = [f for f in failed if f.check != pairs.MTU]
    if ports and len(ports) == len([f for f in measured if f.check != pairs.MTU]):
        yield _nothing(survey, source, target, ports)
        return
    for finding in bad:
        if finding.check == pairs.MTU:
            yield _mtu(lab, survey, source, target, finding)
        elif finding.severity is Severity.FAILED:
            yield _port(survey, source, target, finding)
        else:
            yield JUDGE.unknown(finding.check, subject, finding.expected, f"{subject}: {finding.seen}", finding.hint)


def _blocked(finding: Finding) -> Finding:
    """Return a measurement that failed at the sender's own rules as failed: the kernel tells the sender so."""
    if finding.severity is Severity.UNKNOWN and "not permitted" in finding.seen:
        return replace(finding, severity=Severity.FAILED)
    return finding


def _answered_by_halted(survey: Survey, target: Host, port: str) -> bool:
    """Whether the port is answered by a daemon that cannot run now: then its silence says nothing of the wire."""
    anatomy = survey.anatomy(target.name)
    halted = anatomy is not None and anatomy.process(DOCKER).halted
    return port.endswith(f" {etcd.GOSSIP_PORT}") and (halted or target.name in survey.silent)


def _route(survey: Survey, source: Host, target: Host) -> Judged | None:
    """Judge how the kernel would go to a peer."""
    anatomy = survey.anatomy(source.name)
    if anatomy is None:
        return None
    address = target.cluster_address
    said = anatomy.paths.get(address, "")
    nic = anatomy.host.with_address(source.cluster_address)
    goes = re.search(r"\bdev (\S+)", said)
    wrong = any(word in said for word in ENDS_BADLY) or said.startswith("local ")
    if not wrong and (nic is None or goes is None or goes[1] == nic.name or not nic.up):
        return None
    shown = Evidence(source.name, f"ip route get {address}", said)
    expected = f"{source.name} sends to {address} by the interface that has {source.cluster_address}"
    seen = f"{source.name} has no way to {target.name}: its routes send {address} elsewhere ({said})"
    hint = f"{source.name}: ip route get {address}; ip route del what leads it astray"
    return JUDGE.fault("route", pairs.subject(source, target), expected, seen, hint, shown)


def _nothing(survey: Survey, source: Host, target: Host, failed: Sequence[Finding]) -> Judged:
    where, hint, shown = _taken(survey, source, target, "tcp 2380" if len(failed) > 1 else failed[0].check)
    if arp := _arp(survey, source, target):
        where, hint, more = arp
        shown = [more]
    measured = [Evidence(source.name, f.commands[0].partition(": ")[2], f"{f.check}: {f.seen}") for f in failed]
    seen = f"nothing from {source.name} arrives at {target.name}, on no port: {where}"
    expected = f"{source.name} reaches {target.name}"
    return JUDGE.fault("cut-off", pairs.subject(source, target), expected, seen, hint, *shown, *measured)


def _arp(survey: Survey, source: Host, target: Host) -> tuple[str, str, Evidence] | None:
    """Return whether the source takes the target's address for another MAC, or has found none."""
    here, there = survey.anatomy(source.name), survey.anatomy(target.name)
    nic = there.host.with_address(target.cluster_address) if there else None
    entry = next((n for n in here.host.neighbours if n.ip == target.cluster_address), None) if here else None
    if entry is None or nic is None or entry.mac == nic.mac:
        return None
    shown = Evidence(source.name, f"ip neigh show {entry.ip}", f"{entry.ip} lladdr {entry.mac or '-'} {entry.state}")
    takes = f"{source.name} takes {entry.ip} for {entry.mac}, and {nic.name} of {target.name} has {nic.mac}"
    if "PERMANENT" in entry.state:
        delete = f"{source.name}: ip neigh del {entry.ip} dev {entry.device}"
        return f"by a permanent neighbour entry {takes}", delete, shown
    if entry.mac:
        ask = f"{source.name}: arping -D -I {entry.device} {entry.ip}; find who else has the address"
        return f"{takes}: two have the address", ask, shown
    nobody = f"nobody answers {source.name}'s ARP question for {entry.ip}"
    return nobody, f"{target.name}: ip link show {nic.name}", shown


def _port(survey: Survey, source: Host, target: Host, finding: Finding) -> Judged:
    where, hint, shown = _taken(survey, source, target, finding.check)
    measured = Evidence(source.name, finding.commands[0].partition(": ")[2], finding.seen)
    what = MEANS.get(finding.check, "")
    seen = f"{finding.check} ({what}) from {source.name} to {target.name} is dropped: {where}"
    return JUDGE.fault(
        f"{finding.check.replace(' ', '-')}-dropped", finding.subject, finding.expected, seen, hint, *shown, measured
    )


def _taken(survey: Survey, source: Host, target: Host, port: str) -> tuple[str, str, list[Evidence]]:
    """Return what takes packets to a port away: in words, what to type, and the evidence."""
    proto, _, number = port.partition(" ")
    for host, ways in ((target, WAYS_IN), (source, WAYS_OUT)):
        anatomy = survey.anatomy(host.name)
        if anatomy is None:
            continue
        nic = anatomy.host.with_address(host.cluster_address)
        name = nic.name if nic else ""
        packet = Packet(proto, int(number), source.cluster_address, target.cluster_address, name, name)
        rules = Rules.read(without_counters(anatomy.host.rules))
        if ended := next(rules.suspects(packet, ways), None):
            return _by_rule(host, ended, anatomy.host)
        if lines := nft_drops(anatomy.host, number):
            shown = Evidence(host.name, "nft list ruleset", "\n".join(lines))
            hint = f"{host.name}: nft -a list ruleset; then nft delete rule TABLE CHAIN handle NUMBER"
            return f"nftables on {host.name} drops it ({lines[-1]})", hint, [shown]
    ends = f"{source.cluster_address} and {target.cluster_address}"
    hint = f"let {port} pass between {ends}; to see where it ends, on both: tcpdump -ni any {proto} port {number}"
    return f"no rule on {source.name} or {target.name} does it, so something between them may", hint, []


def _by_rule(host: Host, ended: Ended, namespace: Namespace) -> tuple[str, str, list[Evidence]]:
    counted = next((r for r in namespace.rules if r.endswith(ended.rule)), ended.rule)
    shown = Evidence(host.name, "iptables-save -c", counted)
    if ended.rule.startswith("policy"):
        chain = ended.rule.rpartition(" ")[2]
        hint = f"{host.name}: iptables -P {chain} ACCEPT; or a rule in {chain} that accepts what the cluster needs"
        return f"the {ended.rule} on {host.name} does it", hint, [shown]
    return f"a rule on {host.name} does it ({ended.rule})", f"{host.name}: {undoing(ended.rule, ended.table)}", [shown]


def _mtu(lab: Lab, survey: Survey, source: Host, target: Host, finding: Finding) -> Judged:
    subject = pairs.subject(source, target)
    measured = Evidence(source.name, finding.commands[0].partition(": ")[2], finding.seen)
    if finding.severity is not Severity.FAILED:
        return _silent(survey, target, subject, finding)
    need = pairs.packet(lab)
    for host in (source, target):
        anatomy = survey.anatomy(host.name)
        nic = anatomy.host.with_address(host.cluster_address) if anatomy else None
        if nic and nic.mtu < need:
            shown = Evidence(host.name, f"ip link show {nic.name}", f"{nic.name} mtu {nic.mtu}")
            seen = (
                f"the MTU of {nic.name} on {host.name} is too small: {nic.mtu}, and the overlay's packets need {need}"
            )
            hint = f"{host.name}: ip link set {nic.name} mtu {need}; or {finding.hint.partition(', or ')[2]}"
            return JUDGE.fault("mtu", subject, finding.expected, seen, hint, shown, measured)
    seen = f"the MTU between {source.name} and {target.name} is too small for the overlay's packets: {finding.seen}"
    return JUDGE.fault("mtu", subject, finding.expected, seen, finding.hint, measured)


def _silent(survey: Survey, target: Host, subject: str, finding: Finding) -> Judged:
    """Judge a host that answers no ping, so that the path cannot be measured."""
    anatomy = survey.anatomy(target.name)
    if anatomy and anatomy.host.sysctls.get("ipv4/icmp_echo_ignore_all") == "1":
        shown = Evidence(target.name, "sysctl net.ipv4.icmp_echo_ignore_all", "net.ipv4.icmp_echo_ignore_all = 1")
        seen = f"{target.name} ignores pings, so the path to it cannot be measured: net.ipv4.icmp_echo_ignore_all is 1"
        hint = f"{target.name}: sysctl -w net.ipv4.icmp_echo_ignore_all=0"
        return JUDGE.fault("icmp-ignored", subject, finding.expected, seen, hint, shown, severity=Severity.UNKNOWN)
    return JUDGE.unknown("mtu", subject, finding.expected, f"{subject}: {finding.seen}", finding.hint)

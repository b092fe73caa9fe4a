"""Firewall rules that are in the way of the cluster's ports. Rules only warn: whether packets pass is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts import ports
from clusterctl.checks.hosts.judged import ok, unknown, warning
from clusterctl.topology.rules import WAYS_IN, WAYS_OUT, Packet, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clusterctl.commands.ground import Ground
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab

DOCKERS = "DOCKER-USER"
"""Docker makes this chain, and accepts what its containers forward, wherever it sets FORWARD to DROP."""


def judge(lab: Lab, host: Host, facts: HostFacts, ground: Ground | str) -> Iterator[Finding]:
    """Judge one host's rules against what its peers send."""
    expected = f"no rule in the way of {', '.join(ports.of(host))}"
    if isinstance(ground, str) or not ground.source:
        why = ground if isinstance(ground, str) else ground.why or "there is no iptables-save and no nft to list rules"
        yield unknown("firewall", host.name, expected, why)
        return
    rules = Rules.read(ground.rules)
    in_the_way = list(dict.fromkeys(_blocked(lab, host, facts, rules)))
    in_the_way += _by_nft(ground.nft, ports.of(host))
    hint = f"on {host.name}: iptables -S; let {', '.join(ports.of(host))} pass between the hosts"
    for seen in in_the_way:
        yield warning("firewall", host.name, expected, seen, hint)
    if in_the_way:
        return
    if rules.policies.get(("filter", "FORWARD")) == "DROP" and ("filter", DOCKERS) not in rules.chains:
        seen = "policy DROP of FORWARD, and not by Docker: containers may not get out"
        yield warning("firewall", host.name, expected, seen, f"on {host.name}: iptables -S FORWARD")
    else:
        yield ok("firewall", host.name, expected, f"none in the way, by {ground.source}")


def _blocked(lab: Lab, host: Host, facts: HostFacts, rules: Rules) -> Iterator[str]:
    here, interface = host.cluster_address, facts.interface(host.cluster_address)

    found: dict[tuple[str, str, bool], list[str]] = {}
    for peer in lab.inventory.hosts.values():
        if peer.name == host.name:
            continue
        for port in ports.of(host):
            proto, _, number = port.partition(" ")
            packet = Packet(proto, int(number), peer.cluster_address, here, way_in=interface)
            if end := rules.ends(packet, WAYS_IN):
                found.setdefault(("from", end.rule, end.sure), []).append(port)
        for port in ports.of(peer):
            proto, _, number = port.partition(" ")
            packet = Packet(proto, int(number), here, peer.cluster_address, way_out=interface)
            if end := rules.ends(packet, WAYS_OUT):
                found.setdefault(("to", end.rule, end.sure), []).append(port)
    for (way, rule, sure), which in found.items():
        yield f"{', '.join(dict.fromkeys(which))} {way} other hosts {'is' if sure else 'may be'} dropped: {rule}"


def _by_nft(lines: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    """Say which chains and rules of nftables' own tables drop: by their words, not walked through."""
    numbers = {p.partition(" ")[2] for p in wanted}
    for line in (one.strip() for one in lines):
        if "policy drop" in line and (" hook input " in f" {line}" or " hook output " in f" {line}"):
            yield f"what is not accepted may be dropped: nft {line}"
        words = line.replace(",", " ").split()
        drops = {"drop", "reject"} & set(words) and "policy" not in words
        if drops and numbers & set(words):
            yield f"some of it may be dropped: nft {line}"

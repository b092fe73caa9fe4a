"""`encapsulated: {from, to, by: vxlan}`: a real packet on the wire carries the containers' packet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from clusterctl.checks.captured import deaf, mute
from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, settled, shared_overlay, unknown
from clusterctl.checks.forwarded import overlay_on, read_overlay
from clusterctl.checks.probe import OnHost, last_line
from clusterctl.commands import tcpdump
from clusterctl.model.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container


class Encapsulated(Pairs):
    """An echo request between containers of two hosts leaves inside a VXLAN packet between the hosts."""

    kind: ClassVar[str] = "encapsulated"

    by: Literal["vxlan"] = Field(default="vxlan", description="What carries it: `vxlan`.")

    def belongs(self, lab: Lab, source: Container, target: Container) -> bool:
        """Whether an overlay joins the two across hosts."""
        return source.host != target.host and bool(shared_overlay(lab, source, target))

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: one ping, captured on its way out, compared with both hosts' VXLAN devices."""
        subject = f"{source.name} → {target.name}"
        network = shared_overlay(lab, source.container, target.container)
        here, there = source.host, target.host
        if not network:
            expected = f"{source.name} and {target.name} share an overlay"
            yield settled(self.kind, subject, expected, failed("they share none, so no VXLAN joins them"))
            return
        inner = (source.ip(network), target.ip(network))
        outer = (here.cluster_address, there.cluster_address)
        expected = f"VXLAN {outer[0]} → {outer[1]} carries {inner[0]} → {inner[1]}"
        if here == there:
            why = failed(
                f"both run on {here.name}: their packets cross its bridge and never reach the wire",
                "put them on different hosts",
            )
            yield settled(self.kind, subject, expected, why)
            return
        states = (overlay_on(facts, here.name, network), overlay_on(facts, there.name, network))
        interface = facts.hosts[here.name].interface(outer[0])
        if states[0] is None or states[1] is None:
            lacking = here.name if states[0] is None else there.name
            yield settled(self.kind, subject, expected, failed(f"there is no network {network} on {lacking}"))
            return
        if not interface:
            yield settled(self.kind, subject, expected, failed(f"no interface of {here.name} has {outer[0]}"))
            return
        near, far = states[0], states[1]
        maker = ("docker", "exec", source.name, "ping", "-c", "1", "-W", "1", inner[1])
        outside = tcpdump.vxlan_filter(*outer)
        # On a busy wire the first VXLAN packet may be another's, so the inner packet is in the filter;
        # the outer addresses are not, so that wrong ones are seen.
        capture = OnHost(
            here.name,
            tcpdump.capture(interface, f"{tcpdump.VXLAN} and {tcpdump.inner_echo(*inner)}", maker),
            tcpdump.by_hand(interface, outside, maker),
        )

        def decide(answers: Answers) -> Verdict:
            result = answers.result(capture)
            if why := deaf(result, here.name):
                return why
            vni = _one_vni(answers, near, far)
            if isinstance(vni, Verdict):
                return vni
            return judge_capture(result.stdout, vni, outer, inner, interface, source.container.image)

        yield Check(self.kind, subject, expected, (capture, near, far), decide)


def _one_vni(answers: Answers, near: OnHost, far: OnHost) -> int | Verdict:
    overlays = {p.host: read_overlay(answers, p) for p in (near, far)}
    found = {host: o.vni if o else 0 for host, o in overlays.items()}
    each = ", ".join(f"{host}: {vni or 'no VXLAN device'}" for host, vni in found.items())
    if 0 in found.values() or len(set(found.values())) > 1:
        return failed(
            f"the hosts do not have one VNI for the network ({each})", "does a container of it run on both hosts?"
        )
    return found[near.host]


@dataclass(frozen=True, slots=True)
class Packet:
    """A VXLAN packet as tcpdump decoded it. what: the inner packet in tcpdump's words."""

    outer: tuple[str, str]
    port: int
    vni: int
    inner: tuple[str, str]
    what: str


_OUTER = re.compile(r"(\d+(?:\.\d+){3})\.\d+ > (\d+(?:\.\d+){3})\.(\d+): (?:\[[^]]*\] )?VXLAN, .*\bvni (\d+)")
_INNER = re.compile(r"^\s+(\d+(?:\.\d+){3}) > (\d+(?:\.\d+){3}): (ICMP echo request.*)", re.MULTILINE)


def read_packet(text: str) -> Packet | None:
    """Read what `tcpdump -nn -vv` printed of a VXLAN packet with an echo request in it, None for any other."""
    outer = _OUTER.search(text)
    inner = _INNER.search(text, outer.end()) if outer else None
    if not outer or not inner:
        return None
    return Packet((outer[1], outer[2]), int(outer[3]), int(outer[4]), (inner[1], inner[2]), inner[3])


def judge_capture(
    text: str, vni: int, outer: tuple[str, str], inner: tuple[str, str], interface: str, image: str
) -> Verdict:
    """Compare what was captured with what must be in it."""
    capture = tcpdump.read_capture(text)
    if why := mute(capture, image):
        return why
    packet = read_packet(capture.packets)
    if packet is None:
        return _nothing(capture, interface, outer[0])
    wrong = [
        f"{what} {is_}, not {must}"
        for what, is_, must in (
            ("outer addresses", " → ".join(packet.outer), " → ".join(outer)),
            ("UDP port", packet.port, tcpdump.VXLAN_PORT),
            ("VNI", packet.vni, vni),
            ("inner addresses", " → ".join(packet.inner), " → ".join(inner)),
        )
        if is_ != must
    ]
    if wrong:
        return failed("; ".join(wrong), settles=False)
    seen = (
        f"on {interface}: {packet.outer[0]} > {packet.outer[1]} udp {packet.port}, VXLAN VNI {packet.vni}, "
        f"in it {packet.inner[0]} > {packet.inner[1]} {packet.what.partition(',')[0]}"
    )
    if capture.made != 0:
        return Verdict(Severity.WARNING, f"{seen}; but no reply came back", "the ping check says more")
    return ok(seen)


def _nothing(capture: tcpdump.Capture, interface: str, address: str) -> Verdict:
    if capture.packets.strip():
        return unknown(f"tcpdump decoded something else: {last_line(capture.packets)}")
    return failed(
        f"a ping was sent, but no VXLAN packet of it left {interface}",
        f"iptables -nvL OUTPUT; does the VXLAN packet leave by another interface than that of {address}?",
    )

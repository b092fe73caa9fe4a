"""`framed: {from, to}`: on the wire between the hosts travels the container's own frame, tagged where it must be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from clusterctl.checks.captured import deaf, mute
from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, settled, shared, unknown
from clusterctl.checks.probe import OnHost, last_line
from clusterctl.commands import tcpdump
from clusterctl.model.finding import Severity
from clusterctl.model.lan import on_the_wire
from clusterctl.model.playbook import Driver
from clusterctl.networks.lan import wire_of
from clusterctl.plan.command import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container, Network


class Framed(Pairs):
    """An echo request between containers of two hosts crosses the wire as it is, wrapped in nothing but Ethernet."""

    kind: ClassVar[str] = "framed"

    def belongs(self, lab: Lab, source: Container, target: Container) -> bool:
        """Whether a network on the hosts' wire joins the two across hosts."""
        return source.host != target.host and shared_wire(lab, source, target) is not None

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: one ping, captured on its way out of the host."""
        subject = f"{source.name} → {target.name}"
        network = shared_wire(lab, source.container, target.container)
        if network is None or source.host == target.host:
            seen = "they share no network that is on the hosts' wire"
            if network:
                seen = f"both run on {source.host.name}: their packets never reach the wire"
            yield settled(self.kind, subject, "a frame of its own on the wire", failed(seen))
            return
        inner = (source.ip(network.name), target.ip(network.name))
        wires = tuple(wire_of(lab, network, facts.hosts[s.host.name]) for s in (source, target))
        maker = ("docker", "exec", source.name, "ping", "-c", "1", "-W", "1", inner[1])
        capture = OnHost(
            source.host.name,
            tcpdump.capture(wires[0], tcpdump.echo(*inner), maker, link=True),
            tcpdump.by_hand(wires[0], tcpdump.echo(*inner), maker, link=True),
        )
        # Where the containers share the host's MAC, Docker names none for them.
        hosts = tuple(
            OnHost(s.host.name, command("cat", f"/sys/class/net/{w}/address"))
            for s, w in zip((source, target), wires, strict=True)
        )
        whose = "the container's" if network.driver is Driver.MACVLAN else "the host's"
        tag = f"tagged for VLAN {network.vlan}" if network.vlan else "without a VLAN tag"
        expected = f"{inner[0]} → {inner[1]} in a frame from {whose} MAC, {tag}"

        def decide(answers: Answers) -> Verdict:
            result = answers.result(capture)
            if why := deaf(result, source.host.name):
                return why
            macs = (source.mac(network.name), target.mac(network.name))
            if network.driver is not Driver.MACVLAN:
                macs = (answers.result(hosts[0]).stdout.strip(), answers.result(hosts[1]).stdout.strip())
            return judge_frame(result.stdout, Frame(macs, network.vlan, inner), wires[0], source.container.image)

        probes = (capture,) if network.driver is Driver.MACVLAN else (capture, *hosts)
        yield Check(self.kind, subject, expected, probes, decide)


def shared_wire(lab: Lab, one: Container, other: Container) -> Network | None:
    """Return the first network on the hosts' wire that both containers are on, None where there is none."""
    networks = (lab.playbook.networks[n] for n in shared(lab, one, other) if n in lab.playbook.networks)
    return next((n for n in networks if on_the_wire(n)), None)


@dataclass(frozen=True, slots=True)
class Frame:
    """An echo request in its frame. vlan: None where it has no tag."""

    macs: tuple[str, str]
    vlan: int | None
    addresses: tuple[str, str]


_MAC = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
_LINK = re.compile(rf"({_MAC}) > ({_MAC}), ethertype ")
_ECHO = re.compile(r"(\d+(?:\.\d+){3}) > (\d+(?:\.\d+){3}): ICMP echo request")


def read_frame(text: str) -> Frame | None:
    """Read what `tcpdump -e -nn -vv` printed of an echo request, None for anything else."""
    link = _LINK.search(text)
    echo = _ECHO.search(text, link.end()) if link else None
    if not link or not echo:
        return None
    tag = re.search(r"vlan (\d+), ", text[link.start() : echo.start()])
    return Frame((link[1], link[2]), int(tag[1]) if tag else None, (echo[1], echo[2]))


def judge_frame(text: str, must: Frame, interface: str, image: str) -> Verdict:
    """Compare what was captured with what must be in it."""
    capture = tcpdump.read_capture(text)
    if why := mute(capture, image):
        return why
    frame = read_frame(capture.packets)
    if frame is None and capture.packets.strip():
        return unknown(f"tcpdump decoded something else: {last_line(capture.packets)}")
    if frame is None:
        return failed(
            f"a ping was sent, but it did not leave {interface} in a frame of its own",
            "does the network's parent lead to this wire? docker network inspect",
        )
    return _compare(frame, must, interface, reply=capture.made == 0)


def _compare(frame: Frame, must: Frame, interface: str, *, reply: bool) -> Verdict:
    wrong = [
        f"{what} {is_}, not {wanted}"
        for what, is_, wanted in (
            ("source MAC", frame.macs[0], must.macs[0]),
            ("destination MAC", frame.macs[1], must.macs[1]),
            ("VLAN", frame.vlan or "none", must.vlan or "none"),
        )
        if is_ != wanted
    ]
    if wrong:
        return failed("; ".join(wrong), settles=False)
    tag = f", 802.1Q vlan {frame.vlan}" if frame.vlan else ""
    seen = f"on {interface}: {frame.macs[0]} > {frame.macs[1]}{tag}, {' > '.join(frame.addresses)} ICMP echo request"
    if not reply:
        return Verdict(Severity.WARNING, f"{seen}; but no reply came back", "the ping check says more")
    return ok(seen)

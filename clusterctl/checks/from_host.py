"""`from_host: {host, to, succeeds}`: a host itself reaches a container, or, where that is the lesson, does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Kind, Spot, Verdict, failed, locate, ok, settled, unknown, without_docker
from clusterctl.checks.ping import read_ping
from clusterctl.checks.probe import InContainer, OnHost, Ran
from clusterctl.model.names import DockerName, HostName
from clusterctl.plan.command import script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.ping import Echo
    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

# "$1" the address, then ping's options. What the host knows of the neighbour is asked just after.
_ASK = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
to=$1; shift
printf '\001 route\n'; ip -4 route get "$to"
printf '\001 ping\n'; ping -n "$@" "$to"; code=$?
printf '\001 neighbour\n'; ip -4 neigh show "$to"
printf '\001 end %s\n' "$code"
"""


class FromHost(Kind):
    """An echo request of a host itself is answered by a container."""

    kind: ClassVar[str] = "from_host"

    host: HostName = Field(description="The host that asks.")
    to: DockerName = Field(description="The container that is asked, at its address on its first network.")
    succeeds: bool = Field(
        default=True,
        description="false: it must fail, and by this alone: the host asks for the address on the container's own "
        "wire, and nobody there answers.",
    )

    def containers(self) -> tuple[str, ...]:
        """Return the container."""
        return (self.to,)

    def hosts(self) -> tuple[str, ...]:
        """Return the host."""
        return (self.host,)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return one check."""
        subject = f"{self.host} → {self.to}"
        answers_or_not = "answers" if self.succeeds else "does not answer"
        target = locate(lab, facts, self.to)
        if not isinstance(target, Spot):
            yield settled(self.kind, subject, f"{self.to} {answers_or_not} the host {self.host}", target)
            return
        if why := without_docker(facts, self.host):
            yield settled(self.kind, subject, f"{self.to} {answers_or_not} the host {self.host}", why)
            return
        address = next(iter(target.addresses), "")
        if not address:
            nothing = failed("it has no address, so nothing can be sent to it")
            yield settled(self.kind, subject, f"{self.to} {answers_or_not} the host {self.host}", nothing)
            return
        expected = f"{self.to} ({address}) {answers_or_not} the host {self.host}"
        packets = ("-c", "1", "-W", "1") if self.succeeds else ("-c", "3", "-i", "0.2", "-W", "1")
        by_hand = f"ping {' '.join(packets)} {address}; ip neigh show {address}"
        probe = OnHost(self.host, script(_ASK, address, *packets, within=10), by_hand)
        alive = InContainer(target.host.name, target.name, ("true",), target.container.image)

        def decide(answers: Answers) -> Verdict:
            asked = Asked(answers.result(probe).stdout)
            if self.succeeds:
                return _answered(asked, address)
            answers.running(alive)
            return _silent(asked, address, target)

        if self.succeeds:
            yield Check(self.kind, subject, expected, (probe,), decide)
        else:
            yield Check(self.kind, subject, expected, (probe, alive), decide, looks=1)


class Asked:
    """What the host printed. Raises ValueError where it is cut short."""

    def __init__(self, text: str) -> None:
        parts = dict(re.findall(r"^\x01 (\w+)[ \d]*\n([^\x01]*)", text, re.MULTILINE))
        end = re.search(r"^\x01 end (\d+)$", text, re.MULTILINE)
        if not end or not {"route", "ping", "neighbour"} <= parts.keys():
            raise ValueError("the host did not answer in full")
        self.echo: Echo = read_ping(Ran(int(end[1]), parts["ping"]))
        route = re.search(r"^\S+( via (\S+))? dev (\S+)", parts["route"], re.MULTILINE)
        self.via = route[2] or "" if route else ""
        self.device = route[3] if route else ""
        mac = re.search(r"lladdr (\S+)", parts["neighbour"])
        self.mac = mac[1] if mac else ""


def _answered(asked: Asked, address: str) -> Verdict:
    echo = asked.echo
    if not echo.sent:
        return unknown(f"ping did not send a packet: {echo.last or f'exit {echo.exit_code}'}")
    if not echo.received:
        way = f"via {asked.via}" if asked.via else f"out of {asked.device}"
        return failed(f"{echo.sent} sent to {address} {way}, none came back: {echo.last}", "ip route get, ip neigh")
    return ok(f"{address} answered on {asked.device} in {echo.milliseconds or '?'} ms")


def _silent(asked: Asked, address: str, target: Spot) -> Verdict:
    echo = asked.echo
    if echo.received:
        return failed(f"{address} answered: {echo.received} of {echo.sent} packets came back on {asked.device}")
    if not echo.sent or not asked.device:
        return unknown(f"ping did not say that nothing came back: {echo.last or f'exit {echo.exit_code}'}")
    if asked.via:
        return unknown(f"the host's way to {address} leads via {asked.via}, not onto the container's wire")
    if asked.mac:
        return unknown(
            f"{asked.mac} is known to have {address}, yet nothing came back: something drops packets", "iptables -nvL"
        )
    return ok(
        f"{echo.sent} packets for {address} out of {asked.device}: nobody there has that address to the host, though "
        f"{target.name} runs on {target.host.name}"
    )

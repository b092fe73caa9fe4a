"""`ping: {from, to, by, succeeds}`: an echo comes back, or, where that is the lesson, none does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, settled, shared, unknown
from clusterctl.checks.probe import NO_WAITING, QUICK, InContainer, Ran, last_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class By(StrEnum):
    """How the target is called."""

    NAME = "name"
    ADDRESS = "address"
    LOCALHOST = "localhost"


class Ping(Pairs):
    """An echo request from one container is answered by another."""

    kind: ClassVar[str] = "ping"

    by: By = Field(default=By.NAME, description="Whether the target is called by name or by address.")
    succeeds: bool = Field(
        default=True, description="false: it must fail, by an unknown name or by no packet that comes back."
    )

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check. One packet is enough to prove that it works, never that it does not."""
        networks = shared(lab, source.container, target.container)
        addresses = tuple(target.ip(n) for n in networks) or target.addresses
        subject = f"{source.name} → {target.name}"
        if not addresses:
            expected = f"{target.name} has an address"
            yield settled(self.kind, subject, expected, failed("it has none, so nothing can be sent to it"))
            return
        called = target.name if self.by is By.NAME else addresses[0]
        packets = ("-c", "1", "-W", "1") if self.succeeds else ("-c", "3", "-i", "0.2", "-W", "1")
        probe = InContainer(
            source.host.name,
            source.name,
            ("ping", *packets, called),
            source.container.image,
            # Where a name is not known, Docker asks the host's own servers for it, which may take 10 s. To
            # hear "bad address" that long must be waited; where it is to be known, another try is worth more.
            within=QUICK if self.succeeds else 25.0,
            env=() if self.succeeds else NO_WAITING,
        )
        # The facts are older than the silence; whoever does not answer must be alive at the same time.
        alive = InContainer(target.host.name, target.name, ("true",), target.container.image)
        where = "" if source.host == target.host else f"{source.host.name} and {target.host.name}"

        def decide(answers: Answers) -> Verdict:
            echo = read_ping(answers.exec(probe))
            if self.succeeds:
                return _reached(echo, target, addresses, where, source.name)
            answers.running(alive)
            return _not_reached(echo, target, addresses)

        by = f"by {self.by} ({called})"
        expected = f"{target.name} answers {by}" if self.succeeds else f"{target.name} does not answer {by}"
        if self.succeeds:
            yield Check(self.kind, subject, expected, (probe,), decide)
        else:
            yield Check(self.kind, subject, expected, (probe, alive), decide, looks=1)


@dataclass(frozen=True, slots=True)
class Echo:
    """What ping printed. sent is 0 where it says nothing of packets; address is whom it asked."""

    exit_code: int
    address: str = ""
    sent: int = 0
    received: int = 0
    milliseconds: str = ""
    unknown_name: bool = False
    no_route: bool = False
    last: str = ""
    cut: bool = False


def read_ping(answer: Ran) -> Echo:
    """Read the output of busybox's or iputils' ping."""
    text = answer.output
    address = re.search(r"^PING \S+ \(([\d.]+)\)", text, re.MULTILINE)
    count = re.search(r"^(\d+) packets transmitted, (\d+) (?:packets )?received", text, re.MULTILINE)
    time = re.search(r"\btime[=<]([\d.]+) ms", text)
    unknown_name = re.search(
        r"^ping: (bad address '|unknown host|\S+: (Name or service not known|Name does not resolve))",
        text,
        re.MULTILINE,
    )
    return Echo(
        exit_code=answer.exit_code,
        address=address[1] if address else "",
        sent=int(count[1]) if count else 0,
        received=int(count[2]) if count else 0,
        milliseconds=time[1] if time else "",
        unknown_name=bool(unknown_name) and not count,
        no_route=bool(re.search(r"^ping: (sendto|connect): Network (is )?unreachable", text, re.MULTILINE)),
        last=last_line(text),
        cut=answer.cut,
    )


def _reached(echo: Echo, target: Spot, addresses: tuple[str, ...], between: str, source: str) -> Verdict:
    if echo.unknown_name or (echo.cut and not echo.address):
        why = echo.last or f"not resolved within {QUICK:g} s"
        return failed(f"the name is not known: {why}", f"docker exec {source} nslookup {target.name} 127.0.0.11")
    if echo.no_route and echo.address in addresses:
        return failed(f"{echo.last}: no route leads to {echo.address}", f"docker exec {source} ip route")
    if not echo.sent or not echo.address:
        return unknown(f"ping did not send a packet: {echo.last or f'exit {echo.exit_code}'}")
    if echo.address not in addresses:
        return failed(
            f"{target.name} was taken for {echo.address}, its address is {', '.join(addresses)}",
            f"docker exec {source} cat /etc/hosts /etc/resolv.conf",
            settles=False,
        )
    if not echo.received or echo.exit_code != 0:
        hint = f"is udp port 4789 open between {between}? iptables -nvL" if between else "docker network inspect"
        return failed(f"{echo.sent} sent to {echo.address}, {echo.received} came back", hint)
    return ok(f"{echo.address} answered in {echo.milliseconds or '?'} ms")


def _not_reached(echo: Echo, target: Spot, addresses: tuple[str, ...]) -> Verdict:
    runs = f"{target.name} runs on {target.host.name}"
    if echo.received:
        return failed(f"{echo.address} answered: {echo.received} of {echo.sent} packets came back")
    if echo.unknown_name:
        return ok(f"{echo.last}; {runs}")
    if echo.no_route and echo.address in addresses:
        return ok(f"{echo.last}: no route leads to {echo.address}; {runs}")
    if not echo.sent or echo.exit_code == 0 or echo.cut:
        return unknown(f"ping did not say that nothing came back: {echo.last or f'exit {echo.exit_code}'}")
    if echo.address not in addresses:
        return unknown(f"{echo.address} was asked, which is not {target.name} ({', '.join(addresses)})")
    return ok(f"{echo.sent} packets sent to {echo.address}, none came back; {runs}")

"""`routed: {from, to, by}`: packets from one container to another pass through a third one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, locate, ok, settled, unknown
from clusterctl.checks.probe import InContainer, last_line
from clusterctl.model.names import DockerName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class Routed(Pairs):
    """The first hop on the way from one container to another is a third one, the second hop is the other."""

    kind: ClassVar[str] = "routed"

    by: DockerName = Field(description="The container that forwards them, on a network of each.")

    def containers(self) -> tuple[str, ...]:
        """Return both ends and the one between."""
        return (self.source, self.target, self.by)

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: the hops as traceroute finds them."""
        subject = f"{source.name} → {target.name}"
        router = locate(lab, facts, self.by)
        if isinstance(router, Verdict):
            yield settled(self.kind, subject, f"{self.by} forwards", router)
            return
        near = tuple(router.ip(n) for n in source.on if n in router.on)
        far = tuple(target.ip(n) for n in target.on if n in router.on)
        if not near or not far:
            apart = source.name if not near else target.name
            expected = f"{self.by} is on a network of {source.name} and on one of {target.name}"
            yield settled(self.kind, subject, expected, failed(f"it shares none with {apart}"))
            return
        argv = ("traceroute", "-n", "-q", "1", "-w", "2", "-m", "3", far[0])
        probe = InContainer(source.host.name, source.name, argv, source.container.image, within=8.0)
        wanted = (near[0], far[0])

        def decide(answers: Answers) -> Verdict:
            ran = answers.exec(probe)
            hops = read_hops(ran.output)
            if not hops:
                return unknown(f"traceroute showed no hop: {last_line(ran.output) or f'exit {ran.exit_code}'}")
            seen = " → ".join(h or "no answer" for h in hops)
            if hops == wanted:
                return ok(f"{source.name} → {seen}")
            return failed(
                f"the hops are {seen}, not {' → '.join(wanted)}",
                f"on {router.host.name}: docker exec {router.name} cat /proc/sys/net/ipv4/ip_forward",
            )

        yield Check(self.kind, subject, f"by way of {self.by} ({near[0]}) to {far[0]}", (probe,), decide)


def read_hops(text: str) -> tuple[str, ...]:
    """Return the addresses of the hops that `traceroute -n -q 1` found, "" for one that did not answer."""
    lines = re.findall(r"^ *\d+ +(?:(\d+(?:\.\d+){3})\b|\*)", text, re.MULTILINE)
    return tuple(lines)

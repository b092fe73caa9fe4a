"""`attaches: {on, network, reaches}`: a container that runs is attached to a network, reaches it, and is detached."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks import inside
from clusterctl.checks.check import Check, Kind, NameOrAll, Verdict, failed, locate, ok, settled, unknown
from clusterctl.checks.lifetime import image_on, trial_probe
from clusterctl.checks.ping import read_ping
from clusterctl.checks.probe import Ran, last_line
from clusterctl.commands import trial
from clusterctl.model.lab import LABEL
from clusterctl.model.names import HostName, NetworkName
from clusterctl.topology import links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class Attaches(Kind):
    """A container on the default bridge gets one more interface while it runs, and loses it again."""

    kind: ClassVar[str] = "attaches"

    on: HostName = Field(description="The host that the container is run on, for a moment.")
    network: NetworkName = Field(description="The network that it is attached to.")
    reaches: NameOrAll = Field(description="The container on that network that it must then reach by name.")

    def hosts(self) -> tuple[str, ...]:
        """Return the host."""
        return (self.on,)

    def tries_on(self) -> tuple[str, ...]:
        """Return the host."""
        return (self.on,)

    def networks(self) -> tuple[str, ...]:
        """Return the network."""
        return (self.network,)

    def containers(self) -> tuple[str, ...]:
        """Return the container to be reached."""
        return (self.reaches,)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return one check, which makes a container and removes it."""
        subnet, subject = lab.playbook.networks[self.network].subnet, f"{self.network} on {self.on}"
        expected = f"a running container gets an address in {subnet}, reaches {self.reaches}, and loses it again"
        target = locate(lab, facts, self.reaches)
        if isinstance(target, Verdict):
            yield settled(self.kind, subject, expected, target)
            return
        label = f"{LABEL}={lab.name}"
        probe = trial_probe(self.on, trial.attach(image_on(lab, self.on), label, self.network, self.reaches))
        address = target.ip(self.network)

        def decide(answers: Answers) -> Verdict:
            parts = links.sections(answers.result(probe).stdout)
            if not parts.keys() >= {"alone", "attached", "ping", "detached"}:
                return unknown("the trial was cut short")
            alone, attached, detached = (
                inside.addresses("\n".join(parts[p])) for p in ("alone", "attached", "detached")
            )
            came = [h for h in attached if h not in alone]
            mine = next((h for h in came if IPv4Address(h.ip) in IPv4Network(subnet)), None)
            if mine is None:
                return failed(f"no interface came with an address in {subnet}")
            echo = read_ping(Ran(0, "\n".join(parts["ping"])))
            if not echo.received or echo.address != address:
                said = last_line("\n".join(parts["ping"]))
                return failed(f"{mine.interface} came with {mine.address}, but {self.reaches} was not reached: {said}")
            if mine in detached:
                return failed(f"{mine.interface} with {mine.address} stayed after it was detached")
            return ok(
                f"{mine.interface} came with {mine.address}, {self.reaches} ({address}) answered, "
                f"{mine.interface} went again"
            )

        yield Check(self.kind, subject, expected, (probe,), decide, looks=1, disturbs=True)

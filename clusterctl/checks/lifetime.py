"""`lifetime: {on, network}`: a veth pair comes with a container and goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks import inside
from clusterctl.checks.check import Check, Kind, Verdict, failed, ok, settled, unknown, without_docker
from clusterctl.checks.probe import OnHost
from clusterctl.checks.veth import bridge_of
from clusterctl.commands import trial
from clusterctl.model.lab import LABEL
from clusterctl.model.names import AnyNetworkName, HostName
from clusterctl.model.playbook import BRIDGE
from clusterctl.topology import links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.command import Command


class Lifetime(Kind):
    """A container that is run for a moment has a veth pair on the bridge, which is gone with it."""

    kind: ClassVar[str] = "lifetime"

    on: HostName = Field(description="The host.")
    network: AnyNetworkName = Field(default=BRIDGE, description="The bridge network; Docker's own unless given.")

    def hosts(self) -> tuple[str, ...]:
        """Return the host."""
        return (self.on,)

    def tries_on(self) -> tuple[str, ...]:
        """Return the host."""
        return (self.on,)

    def networks(self) -> tuple[str, ...]:
        """Return the network, Docker's own aside."""
        return () if self.network == BRIDGE else (self.network,)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return one check, which makes a container and removes it."""
        bridge = bridge_of(facts, self.on, self.network)
        expected = f"a veth pair comes to {bridge} with a container, and goes with it"
        if unable := without_docker(facts, self.on):
            yield settled(self.kind, self.on, expected, unable)
            return
        probe = trial_probe(self.on, trial.lifetime(image_on(lab, self.on), f"{LABEL}={lab.name}", self.network))

        def decide(answers: Answers) -> Verdict:
            parts = links.sections(answers.result(probe).stdout)
            if not parts.keys() >= {"before", "ends", "during", "after"}:
                return unknown("the trial was cut short")
            before, during, after = (links.read(parts[p]).links for p in ("before", "during", "after"))
            peers = {index for name, index in inside.ends("\n".join(parts["ends"])).values() if name != "lo"}
            came = next((link for link in during if link.index in peers and link.master == bridge), None)
            if came is None:
                return failed(f"no veth of the container came to {bridge}")
            if any(link.index == came.index for link in before):
                return unknown(f"{came.name} (index {came.index}) was there before the container")
            if any(link.index == came.index for link in after):
                return failed(f"{came.name} came with the container and stayed without it", f"ip link del {came.name}")
            return ok(f"{came.name} (index {came.index}) came to {bridge} with the container and went with it")

        yield Check(self.kind, self.on, expected, (probe,), decide, looks=1, disturbs=True)


def trial_probe(host: str, command: Command) -> OnHost:
    """Return the probe for a trial, shown as a person would do it."""
    return OnHost(host, command, command.typed)


def image_on(lab: Lab, host: str) -> str:
    """Return an image that is on a host: that of one of the containers there."""
    return lab.playbook.images_on(host)[0]

"""`address: {of, is}`: the container has this address, by its own word and by Docker's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from clusterctl.checks import inside
from clusterctl.checks.check import Check, Each, Spot, Verdict, failed, ok, settled
from clusterctl.model.lab import LABEL
from clusterctl.model.names import AnyNetworkName, IPv4, OrEmpty
from clusterctl.model.playbook import BRIDGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class Address(Each):
    """A container has an address on a network: the one that Docker says, on an interface of its own."""

    kind: ClassVar[str] = "address"

    on: Annotated[AnyNetworkName, OrEmpty] = Field(default="", description="The network; its first one unless given.")
    equals: Annotated[IPv4, OrEmpty] = Field(
        default="", alias="is", description="The address; the one that Docker says unless given."
    )

    def networks(self) -> tuple[str, ...]:
        """Return the network, Docker's own aside."""
        return () if self.on in ("", BRIDGE) else (self.on,)

    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return one check."""
        network = self.on or next(iter(spot.on), "")
        told = spot.ip(network)
        wanted = self.equals or told
        expected = f"{spot.name} has {wanted or 'an address'} on {network or 'a network'}"
        if not told:
            yield settled(self.kind, spot.name, expected, failed(f"Docker gave it no address on {network or 'any'}"))
            return
        probe = spot.run(*inside.ADDRESSES)

        def decide(answers: Answers) -> Verdict:
            found = inside.addresses(answers.exec(probe).output)
            held = next((h for h in found if h.ip == told), None)
            if held is None:
                has = ", ".join(h.address for h in found if h.interface != "lo") or "none"
                return failed(f"Docker says {told}, the container has {has}", f"docker inspect {spot.name}")
            if told != wanted:
                return failed(f"it has {told}, not {wanted}", _holder(lab, facts, spot, network, wanted), settles=False)
            return ok(f"{held.interface} has {held.address}")

        yield Check(self.kind, spot.name, expected, (probe,), decide)


def _holder(lab: Lab, facts: Facts, spot: Spot, network: str, address: str) -> str:
    """Return who has the address that it should have, as a hint."""
    docker = facts.docker(spot.host.name)
    for other in docker.containers.values() if docker else ():
        if other.networks.get(network, ("", ""))[0] == address:
            whose = "" if other.labels.get(LABEL) == lab.name else ", which is not of this lab"
            return f"{address} is that of {other.name}{whose}"
    return f"docker network inspect {network}"

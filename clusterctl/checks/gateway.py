"""`gateway: {of, is}`: the way out of a container leads to the bridge of its host, or there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, WrapValidator

from clusterctl.checks import inside
from clusterctl.checks.check import Check, Each, Spot, Verdict, failed, ok, unknown
from clusterctl.checks.probe import OnHost
from clusterctl.model.names import IPv4
from clusterctl.model.playbook import NONE
from clusterctl.plan.command import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class Gateway(Each):
    """A container's default route leads to an address that an interface of its host has."""

    kind: ClassVar[str] = "gateway"

    equals: Annotated[IPv4, WrapValidator(lambda v, check: v if v in ("", NONE) else check(v))] = Field(
        default="", alias="is", description="The gateway, or `none`; any that its host has unless given."
    )

    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return one check."""
        routes = spot.run(*inside.ROUTES)
        if self.equals == NONE:
            yield Check(self.kind, spot.name, f"{spot.name} has no default route", (routes,), _None(spot, routes))
            return
        host = OnHost(spot.host.name, command(*inside.ADDRESSES, root=False))
        expected = f"the way out of {spot.name} is {self.equals or 'an address'}, which {spot.host.name} has"

        def decide(answers: Answers) -> Verdict:
            gateway, interface = inside.default_route(answers.exec(routes).output)
            if not gateway:
                return failed("it has no default route", f"docker exec {spot.name} ip route")
            if self.equals and gateway != self.equals:
                return failed(f"its default route leads to {gateway}, not to {self.equals}", settles=False)
            held = next((h for h in inside.addresses(answers.result(host).stdout) if h.ip == gateway), None)
            if held is None:
                return failed(f"its default route leads to {gateway}, which no interface of {spot.host.name} has")
            return ok(f"default via {gateway} dev {interface}; {gateway} is {held.interface} of {spot.host.name}")

        yield Check(self.kind, spot.name, expected, (routes, host), decide)


class _None:
    def __init__(self, spot: Spot, routes: object) -> None:
        self._spot, self._routes = spot, routes

    def __call__(self, answers: Answers) -> Verdict:
        answer = answers.exec(self._routes)  # type: ignore[arg-type]
        gateway, interface = inside.default_route(answer.output)
        if gateway:
            return failed(f"its default route leads to {gateway} by {interface}")
        if answer.exit_code != 0:
            return unknown(f"ip route: {answer.output.strip() or f'exit {answer.exit_code}'}")
        left = answer.output.strip().splitlines()
        return ok(f"{len(left)} routes, none of them a default" if left else "its routing table is empty")

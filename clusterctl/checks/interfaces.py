"""`interfaces: {of, are}` or `{of, same_as}`: what a container sees of the network around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from clusterctl.checks import inside
from clusterctl.checks.check import Check, Each, Spot, Verdict, failed, locate, ok, settled
from clusterctl.checks.probe import InContainer, OnHost
from clusterctl.model.names import DockerName, Listed, OptionName, OrEmpty, wrong
from clusterctl.model.playbook import HOST
from clusterctl.plan.command import command

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class Interfaces(Each):
    """A container has exactly these interfaces, or those of its host or of another container."""

    kind: ClassVar[str] = "interfaces"

    are: Annotated[tuple[OptionName, ...], Listed] = Field(default=(), description="Their names.")
    same_as: Annotated[DockerName, OrEmpty] = Field(
        default="", description="`host`, or the container that it shares them with: names, MACs and addresses."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.are) == bool(self.same_as):
            raise wrong("must say which interfaces, once", "one of are, same_as")
        return self

    def containers(self) -> tuple[str, ...]:
        """Return the container, and the one that it is compared with."""
        return (self.of, *([self.same_as] if self.same_as not in ("", HOST) else []))

    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return one check."""
        mine = (spot.run(*inside.LINKS), spot.run(*inside.ADDRESSES))
        if self.are:
            expected = f"{spot.name} has exactly {', '.join(self.are)}"
            yield Check(self.kind, spot.name, expected, mine, self._names(mine))
            return
        if self.same_as == HOST:
            name = spot.host.name
            theirs: tuple[InContainer, ...] | tuple[OnHost, ...] = tuple(
                OnHost(name, command(*argv, root=False)) for argv in (inside.LINKS, inside.ADDRESSES)
            )
        else:
            name = self.same_as
            other = locate(lab, facts, name)
            if isinstance(other, Verdict):
                yield settled(self.kind, spot.name, f"{name} runs", other)
                return
            theirs = (other.run(*inside.LINKS), other.run(*inside.ADDRESSES))
        expected = f"{spot.name} sees the interfaces of {name}, and no other"
        yield Check(self.kind, spot.name, expected, (*mine, *theirs), _same(mine, theirs, name))

    def _names(self, mine: tuple[InContainer, InContainer]) -> _Judge:
        def decide(answers: Answers) -> Verdict:
            links, held = _read(answers, mine)
            listed = _listed(links, held)
            if set(links) != set(self.are):
                return failed(f"it has {listed}")
            return ok(listed)

        return decide


if TYPE_CHECKING:
    from collections.abc import Callable

    _Judge = Callable[[Answers], Verdict]
    _Seen = tuple[dict[str, str], tuple[inside.Held, ...]]


def _read(answers: Answers, probes: tuple[InContainer, ...] | tuple[OnHost, ...]) -> _Seen:
    links, held = (answers.exec(p).output if isinstance(p, InContainer) else answers.result(p).stdout for p in probes)
    return inside.interfaces(links), inside.addresses(held)


def _listed(links: dict[str, str], held: tuple[inside.Held, ...]) -> str:
    ips = {name: " ".join(h.address for h in held if h.interface == name) for name in links}
    return ", ".join(f"{name} {ips[name]}".rstrip() for name in links) or "none"


def _same(mine: tuple[InContainer, ...], theirs: tuple[InContainer, ...] | tuple[OnHost, ...], name: str) -> _Judge:
    def decide(answers: Answers) -> Verdict:
        (own, has), (other, holds) = _read(answers, mine), _read(answers, theirs)
        missing, more = sorted(other.items() - own.items()), sorted(own.items() - other.items())
        if missing or more or set(has) != set(holds):
            return failed(f"it has {_listed(own, has)}; {name} has {_listed(other, holds)}")
        shown = {n: mac for n, mac in own.items() if any(h.interface == n for h in has)}
        rest = len(own) - len(shown)
        return ok(_listed(shown, has) + (f", and {rest} without an address" if rest else ""))

    return decide

"""A phase: a pure function from what is wanted and what was found to what is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.model.facts import Facts
    from clusterctl.plan.action import Action


class Section(StrEnum):
    """A part of the facts that can be read by itself."""

    MACHINE = "machine"
    HOST = "host"
    DOCKER = "docker"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Noop:
    """Nothing to do on a host, and why."""

    host: str
    reason: str


def steps(actions: Iterable[Action], host: str, otherwise: str) -> Iterable[Action | Noop]:
    """Return the actions, or the reason why there are none."""
    return list(actions) or [Noop(host, otherwise)]


Wanted = TypeVar("Wanted", contravariant=True)  # noqa: PLC0105  # the name a reader expects


class Phase(Protocol[Wanted]):
    """One step of a recipe.

    title: what it brings about, as a user would say it.
    reads: the parts of the facts that it decides from.
    """

    title: str
    reads: frozenset[Section]

    def plan(self, wanted: Wanted, facts: Facts, /) -> Iterable[Action | Noop]:
        """Decide. Pure: no input or output. Raises Refused when the facts forbid the phase."""

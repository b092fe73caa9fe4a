"""What can be expected of a lab, one file a kind: probes as data, and a pure judgement of what came back."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.checks.check import Check, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Expectation


NAMES = (
    "address",
    "agreed",
    "attaches",
    "binds",
    "connects",
    "encapsulated",
    "forwarded",
    "framed",
    "from_host",
    "gateway",
    "hosts_file",
    "interfaces",
    "lifetime",
    "ping",
    "resolves",
    "routed",
    "stored",
    "veth",
    "visible",
)
"""The keys of the expectations in a playbook; each is a file here of the same name."""


class Kinds(Mapping[str, type[Kind]]):
    """The kinds of expectations by their keys in a playbook; only those that it uses are imported."""

    def __getitem__(self, key: str) -> type[Kind]:
        if key not in NAMES:
            raise KeyError(key)
        return _kind(key)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


@functools.cache
def _kind(key: str) -> type[Kind]:
    module = importlib.import_module(f"clusterctl.checks.{key}")
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, Kind)]
    (found,) = (k for k in kinds if k.__module__ == module.__name__)
    return found


KINDS = Kinds()


def checks_of(lab: Lab, facts: Facts) -> tuple[Check, ...]:
    """Return every check of the lab's playbook, in its order. Pure."""
    return tuple(c for e in lab.playbook.expect for c in checks_for(lab, facts, e))


def checks_for(lab: Lab, facts: Facts, expectation: Expectation) -> tuple[Check, ...]:
    """Return the checks of one expectation, each with its reason. Pure."""
    if not isinstance(expectation, Kind):
        return ()
    return tuple(replace(c, why=expectation.why) for c in expectation.checks(lab, facts))

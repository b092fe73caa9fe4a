"""Makes a guide from a plan: stage by stage, host by host, in an order that one person can follow."""

from __future__ import annotations

import shlex
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.model.inventory import Role
from clusterctl.plan.action import MACHINE, WaitFor
from clusterctl.providers.access import CONFIG
from clusterctl.report.guide import certificates, typed, words
from clusterctl.report.guide.manual import HERE, Chapter, HostLine, Manual, Part, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.lang import Lang
    from clusterctl.plan.action import Action
    from clusterctl.plan.runner import Planned

CURL = "command -v curl || { apt-get update && apt-get install -y --no-install-recommends curl; }"


def build(
    lab: Lab, making: Sequence[Planned], clearing: Sequence[Planned], assumed: Facts, lang: Lang, arguments: str
) -> Manual:
    """Return the guide.

    making: the plan of `up` on the assumed hosts. clearing: the plan of what takes that away again.
    arguments: what clusterctl is called with for this lab.
    """
    said = _Said(lang)
    proof = (Part(HERE, (said.step("run the checks", f"clusterctl verify {arguments}"),)),)
    chapters = [
        _hosts(lab, said, arguments),
        *_chapters(lab, making, said),
        Chapter(*words.titled("Prove it", lang), proof),
        *_chapters(lab, clearing, said),
    ]
    return Manual(
        lab=lab.name,
        playbook=lab.playbook.name,
        lang=lang,
        aim=lab.playbook.lesson.to(lang),
        ssh_config=shell_path(lab.state / CONFIG),
        hosts=tuple(_lines(lab, assumed)),
        chapters=tuple(chapters),
    )


def shell_path(path: Path) -> str:
    """Return a path as one would type it, from the home folder where it is in there."""
    home = Path.home()
    return f"~/{shlex.quote(str(path.relative_to(home)))}" if path.is_relative_to(home) else shlex.quote(str(path))


class _Said:
    """Makes steps, each with its why where it is met first."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        self._met: set[str] = set()

    def step(self, title: str, shell: str) -> Step:
        """Return a step in the guide's language."""
        shown, why = words.titled(title, self.lang)
        first = why not in self._met
        self._met.add(why)
        return Step(shown, why if first else "", shell)


def _chapters(lab: Lab, planned: Sequence[Planned], said: _Said) -> Iterator[Chapter]:
    config, pki = shell_path(lab.state / CONFIG), shell_path(lab.state / "pki")
    for phase in planned:
        actions = [a for a in phase.actions if not a.note]
        if not actions:
            continue
        made = certificates.parts(actions, pki, config, said.step) or _parts(actions, phase.facts, config, said)
        yield Chapter(*words.titled(phase.title, said.lang), tuple(made))


def _hosts(lab: Lab, said: _Said, arguments: str) -> Chapter:
    inventory = " ".join(shlex.split(arguments)[-2:])
    make = said.step("bring the hosts up", f"clusterctl hosts up {inventory}")
    curl = [
        Part(h.name, (said.step("have curl, to ask etcd with", CURL),))
        for h in lab.inventory.hosts.values()
        if Role.ETCD in h.roles
    ]
    title, why = words.titled(f"The hosts ({lab.inventory.provider})", said.lang)
    return Chapter(title, why, (Part(HERE, (make,)), *curl))


def _lines(lab: Lab, assumed: Facts) -> Iterator[HostLine]:
    for host in lab.inventory.hosts.values():
        found = assumed.hosts[host.name]
        has = tuple(f"{name} {version}" for name, version in sorted(found.versions.items()))
        roles = tuple(str(r) for r in host.roles)
        yield HostLine(host.name, host.cluster_address, roles, found.os_name, has)


def _parts(actions: Sequence[Action], facts: Facts, config: str, said: _Said) -> Iterator[Part]:
    for place, group in groupby(_in_order(actions), key=lambda a: "" if a.at == MACHINE else a.at):
        together = tuple(group)
        here = [said.step(*sent) for a in together if (sent := typed.sent(a, config))]
        if here:
            yield Part(HERE, tuple(here))
        yield Part(place or HERE, tuple(said.step(a.title, typed.lines(a, facts)) for a in together))


def _in_order(actions: Iterable[Action]) -> list[Action]:
    """Return the actions as one person carries them out: what waits for others comes after what they do."""
    rounds: dict[str, int] = {}
    order = []
    for index, action in enumerate(actions):
        before = rounds.get(action.host, 0)
        waits = isinstance(action, WaitFor)
        # Even rounds do, odd ones wait.
        rounds[action.host] = before if before % 2 == waits else before + 1
        order.append((action.turn, rounds[action.host], index, action))
    return [action for *_, action in sorted(order, key=lambda o: o[:3])]

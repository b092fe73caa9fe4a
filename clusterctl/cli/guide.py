"""clusterctl guide: the whole lab as a manual to follow by hand."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from clusterctl.cli import options
from clusterctl.model.lang import Lang

if TYPE_CHECKING:
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.phase import Phase, Section
    from clusterctl.plan.runner import Planned
    from clusterctl.report.guide.manual import Manual


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("guide", epilog="Example: clusterctl guide playbooks/overlay.yml --lang zh --write guide.md")(guide)


def guide(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    lang: options.Language = Lang.EN,
    write: options.Write = None,
    output: options.OutputAs = options.Output.TABLE,
) -> None:
    """Print the lab as a by-hand manual in Markdown: each command, on which host, in order, and why. Asks no host."""
    from clusterctl.cli import render, wiring
    from clusterctl.report.guide.markdown import markdown

    lab = wiring.load(inventory, playbook)
    manual = written(lab, lang, _arguments(inventory, playbook))
    if output is options.Output.JSON:
        render.document(guide=manual.document())
        return
    text = markdown(manual)
    if write is None:
        print(text, end="")
        return
    write.write_text(text, encoding="utf-8")
    print(f"{write}: {len(manual.chapters)} chapters, {manual.steps} steps")


def _arguments(inventory: Path, playbook: Path | None) -> str:
    words = [*([str(playbook)] if playbook else []), "-i", str(inventory)]
    return shlex.join(words)


@dataclass(frozen=True)
class Assumed:
    """Reads no host: what a host is like is what it is taken for, until an action foresees something else."""

    facts: Facts

    def read(self, sections: frozenset[Section], known: Facts) -> Facts:
        """Return the facts that are assumed, and those foreseen since."""
        return replace(known, hosts={**self.facts.hosts, **known.hosts})


def written(lab: Lab, lang: Lang, arguments: str) -> Manual:
    """Return the guide for hosts on which nothing was done yet. Raises Refused where they cannot carry the lab."""
    import datetime
    import functools

    from clusterctl import recipes
    from clusterctl.cli.progress import Quiet
    from clusterctl.model.facts import Facts
    from clusterctl.plan.runner import Runner
    from clusterctl.providers import debian
    from clusterctl.providers.registry import provider as find_provider
    from clusterctl.report.guide.build import build
    from clusterctl.stores.certificates import ByHand, create_authority

    provider = find_provider(lab.inventory.provider)
    hosts = {h.name: provider.fresh(lab, h) or debian.bare(h) for h in lab.inventory.hosts.values()}
    assumed = Facts(hosts=hosts)

    @functools.cache
    def authority() -> ByHand:
        return ByHand(create_authority(lab.name, datetime.datetime.now(datetime.UTC)))

    def no_door(host: str) -> NoReturn:
        raise AssertionError(f"{host} was to be left alone")

    def plan(recipe: list[Phase[Lab]], facts: Facts) -> tuple[Planned, ...]:
        return Runner(wanted=lab, reader=Assumed(facts), doors=no_door, listener=Quiet()).show(recipe)

    making = plan(recipes.by_hand(authority), assumed)
    made = making[-1].facts
    for action in making[-1].actions:
        made = action.predict(made)
    return build(lab, making, plan(recipes.clear_by_hand(), made), assumed, lang, arguments)

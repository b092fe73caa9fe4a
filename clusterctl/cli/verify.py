"""clusterctl verify: what the playbook expects, proven on the running lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.facts import Facts
    from clusterctl.model.report import Report
    from clusterctl.plan.phase import Section
    from clusterctl.plan.runner import Listener


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", epilog="Example: clusterctl verify -i inventory/local.yml -o json")(verify)


@options.reaching
def verify(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    output: options.OutputAs = options.Output.TABLE,
    lang: options.Explained = None,
    strict: options.Strict = False,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Prove what the playbook expects: names, pings, forwarding, the packet on the wire. Leaves all as it is."""
    from clusterctl.cli import render, wiring
    from clusterctl.cli.progress import shown
    from clusterctl.model.errors import InputError

    early = wiring.Early(access, wiring.facts)
    lab = wiring.load_standing(inventory, playbook, early)
    if not lab.playbook_text:
        raise InputError(f"{lab.name}: no playbook stands on this cluster", hint="clusterctl up NAME, or name one here")
    with (
        wiring.session(lab, "verify", changes=False, access=access, early=early) as session,
        shown(quiet=quiet) as listener,
    ):
        found = prove(session, listener)
    if output is options.Output.JSON:
        render.document(lab=lab.name, report=found.document())
    elif lang:
        render.explained(found, lab.playbook.lesson.to(lang), lang)
    else:
        render.report(found)
    if not found.holds(strict=strict):
        raise typer.Exit(1)


def prove(
    session: Session,
    listener: Listener,
    facts: Facts | None = None,
    fresh: frozenset[Section] = frozenset(),
    *,
    disturbing: bool = True,
) -> Report:
    """Perform the checks of the playbook.

    facts: what was read before. fresh: the parts of them that are as good as new; the others are read now.
    disturbing: also those that make something for a moment.
    """
    from clusterctl.checks.perform import perform
    from clusterctl.model.facts import Facts
    from clusterctl.plan.phase import Section

    title = "Verify"
    listener.phase_started(title)
    started = time.monotonic()
    facts = session.reader(tolerant=True).read(frozenset({Section.HOST, Section.DOCKER}) - fresh, facts or Facts())
    found = perform(session.lab, facts, session.doors, disturbing=disturbing)
    listener.phase_finished(title, time.monotonic() - started)
    return found

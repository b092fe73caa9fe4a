"""clusterctl up: from machines to a verified lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Early, Session
    from clusterctl.model.lab import Lab
    from clusterctl.model.report import Report

EXAMPLE = "Example: clusterctl up playbooks/overlay.yml -i inventory/local.yml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up", epilog=EXAMPLE)(up)


@options.reaching
def up(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    parallel: options.Parallel = 16,
    access: Access = options.ACCESS,
    lang: options.Explained = None,
    strict: options.Strict = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make the hosts, the cluster, its networks and containers, and verify them; only what is missing is done."""
    from clusterctl.cli import wiring

    early = wiring.Early(access, wiring.facts)
    lab = wiring.load(inventory, playbook, early)
    if dry_run:
        _show(lab, output, access, early)
        return
    started = time.monotonic()
    with wiring.session(
        lab, f"up {lab.playbook.name}", changes=True, access=access, strict=True, early=early
    ) as session:
        done, report = _carry_out(session, parallel=parallel, verbose=verbose, quiet=quiet)
    seconds = time.monotonic() - started
    from clusterctl.cli import render

    if output is options.Output.JSON:
        render.document(lab=lab.name, actions=done, seconds=round(seconds, 3), report=report.document())
    else:
        if lang:
            render.explained(report, lab.playbook.lesson.to(lang), lang)
        else:
            render.report(report)
        print(f"{lab.name}: {f'{done} actions' if done else 'nothing to do'}, {seconds:.1f} s in all")
        if done and report.holds(strict=strict):
            print("next: clusterctl status · clusterctl verify · clusterctl down")
    # A playbook that expects nothing is built as it says; only `verify` on its own fails for it.
    if report.findings and not report.holds(strict=strict):
        raise typer.Exit(1)


def _carry_out(session: Session, *, parallel: int, verbose: bool, quiet: bool) -> tuple[int, Report]:
    from clusterctl import recipes
    from clusterctl.cli import wiring
    from clusterctl.cli.verify import prove
    from clusterctl.cli.work import shown_work

    with shown_work(session, verbose=verbose, quiet=quiet) as listener:
        runner = session.runner(listener, parallel=parallel)
        facts = runner.run(recipes.up(session.provider, session.authority))
        wiring.write_private(session.lab.state / wiring.PLAYBOOK, session.lab.playbook_text)
        return runner.done, prove(session, listener, facts, runner.fresh, disturbing=False)


def _show(lab: Lab, output: options.Output, access: Access, early: Early) -> None:
    from clusterctl import recipes
    from clusterctl.cli import wiring
    from clusterctl.cli.plan import show
    from clusterctl.cli.progress import Quiet

    with wiring.session(lab, "up --dry-run", changes=False, access=access, early=early) as session:
        planned = session.runner(Quiet(), tolerant=True).show(recipes.up(session.provider, session.authority))
    show(lab.name, planned, as_json=output is options.Output.JSON)

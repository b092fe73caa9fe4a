"""clusterctl clean: the hosts' Docker cleared of everything, named first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options
from clusterctl.model.thing import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.cli.access import Access
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.model.thing import Thing

Only = Annotated[
    list[Kind] | None,
    typer.Option(
        "--only", envvar="CLUSTERCTL_ONLY", help="Just these; can be given more than once.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clean", epilog="Example: clusterctl clean -i inventory/local.yml --only images --hosts docker1")(clean)


@options.reaching
def clean(
    inventory: options.Inventory = options.INVENTORY,
    only: Only = None,
    hosts: options.Hosts = "",
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    parallel: options.Parallel = 16,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Clear the environment: ALL containers, images and networks on the hosts, also those that clusterctl did not make.

    They are listed by name first. Docker itself, its own networks and named volumes stay.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.chosen import with_hosts
    from clusterctl.cli.consent import ask
    from clusterctl.phases.clean import everything

    lab = with_hosts(wiring.load_hosts(inventory), hosts)
    started = time.monotonic()
    facts = _read(lab, access, quiet=quiet)
    things = everything(facts, only or list(Kind))
    _refuse_what_is_held(facts, things)
    table = output is options.Output.TABLE
    if table:
        _print(lab, things)
    done = 0
    if things and not dry_run:
        ask(f"lab {lab.name}: REMOVE {_counted(things)} on {', '.join(_hosts(things))}", yes=yes)
        done = _carry_out(lab, access, things, parallel=parallel, verbose=verbose, quiet=quiet)
    if table:
        if done:
            print(f"{lab.name}: clean, {done} removed, {time.monotonic() - started:.1f} s")
        return
    found: dict[str, dict[str, list[str]]] = {h: {str(k): [] for k in Kind} for h in lab.inventory.hosts}
    for thing in things:
        found[thing.host][thing.kind].append(thing.name)
    render.document(lab=lab.name, dry_run=dry_run, removed=done, hosts=found)


def _read(lab: Lab, access: Access, *, quiet: bool) -> Facts:
    from clusterctl.cli import wiring
    from clusterctl.cli.progress import shown
    from clusterctl.model.errors import Reason, Refused
    from clusterctl.model.facts import Facts
    from clusterctl.plan.phase import Section

    with wiring.session(lab, "clean", changes=False, access=access, strict=True) as session, shown(quiet=quiet) as out:
        started = time.monotonic()
        out.phase_started("Look at what is there")
        facts = session.reader().read(frozenset({Section.HOST, Section.DOCKER}), Facts())
        out.phase_finished("Look at what is there", time.monotonic() - started)
    hint = "systemctl start docker there, or leave it out with --hosts"
    if silent := [h for h in facts.hosts if facts.docker(h) is None]:
        raise Refused([Reason(h, "Docker does not run, so what it has cannot be named", hint) for h in silent])
    return facts


def _refuse_what_is_held(facts: Facts, things: Sequence[Thing]) -> None:
    from clusterctl.model.errors import Refused
    from clusterctl.phases.clean import held

    if reasons := list(held(facts, things)):
        raise Refused(reasons)


def _carry_out(lab: Lab, access: Access, things: Sequence[Thing], *, parallel: int, verbose: bool, quiet: bool) -> int:
    from clusterctl.cli import wiring
    from clusterctl.cli.work import shown_work
    from clusterctl.phases.clean import CleanHosts

    with (
        wiring.session(lab, "clean", changes=True, access=access, strict=True) as session,
        shown_work(session, verbose=verbose, quiet=quiet) as listener,
    ):
        runner = session.runner(listener, parallel=parallel)
        runner.run([CleanHosts(things)])
        return runner.done


def _hosts(things: Sequence[Thing]) -> list[str]:
    return list(dict.fromkeys(t.host for t in things))


def _counted(things: Sequence[Thing]) -> str:
    counts = {kind: sum(t.kind is kind for t in things) for kind in Kind}
    words = [f"{n} {str(kind).removesuffix('s') if n == 1 else kind}" for kind, n in counts.items() if n]
    return ", ".join(words)


def _print(lab: Lab, things: Sequence[Thing]) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    if not things:
        print(f"{lab.name}: nothing to remove on {', '.join(lab.inventory.hosts)}")
        return
    made = render.table("host", "", "name", "what it is", "whose", title="What goes")
    for thing in things:
        whose = f"lab {thing.owner}" if thing.owner else "not of a lab"
        kind = str(thing.kind).removesuffix("s")
        made.add_row(thing.host, kind, Text(thing.name), Text(thing.what), Text(whose))
    render.console().print(made)

"""clusterctl doctor: the cause of what does not work, its evidence, and what to type; `--fix` types it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clusterctl.checks.layers.diagnosis import Diagnosis
    from clusterctl.checks.layers.judged import Judged
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Phase, Section
    from clusterctl.plan.runner import Listener

ROUNDS = 4
"""How many causes one run mends, one after the other."""

HEALS_WITHIN = 20.0
"""Seconds that a lab may take to be well after it was mended: gossip, leaders and leases need theirs."""

Fix = Annotated[
    bool,
    typer.Option("--fix", envvar="CLUSTERCTL_FIX", help="Name remedies that harm nothing, ask, carry them out."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: clusterctl doctor -i inventory/local.yml --fix")(doctor)


@options.reaching
def doctor(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    fix: Fix = False,
    yes: options.Yes = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the lowest broken layer, from the hosts up to what containers reach, and say the cause and the remedy.

    Changes nothing without --fix. Exits 0 when the lab is healthy, 1 when something was found.
    """
    from clusterctl.cli import render, wiring

    lab = wiring.load_standing(inventory, playbook)
    found = _look(lab, access, quiet=quiet)
    mended: list[Mended] = []
    if fix:
        if output is not options.Output.JSON:
            _print(found, advise=False)
        found = _mend(lab, access, found, mended, yes=yes, quiet=quiet, verbose=verbose)
    if output is options.Output.JSON:
        render.document(lab=lab.name, **found.document(), fixed=[m.document() for m in mended])
    elif not fix or mended:
        _print(found)
    if not found.healthy:
        raise typer.Exit(1)


def diagnose(session: Session) -> Diagnosis:
    """Look at every layer of a lab."""
    from clusterctl.checks.layers.diagnosis import Doctor
    from clusterctl.remote.reader import NOT_THERE

    lab, reader = session.lab, session.reader()

    def absent() -> dict[str, str]:
        present = session.provider.present(lab)
        return {h: "" if h in present else NOT_THERE for h in lab.inventory.hosts}

    return Doctor(lab, absent, lambda host: reader.one(host, docker=False), session.doors).diagnose()


def _look(lab: Lab, access: Access, *, quiet: bool) -> Diagnosis:
    from clusterctl.cli import wiring
    from clusterctl.cli.progress import shown

    with wiring.session(lab, "doctor", changes=False, access=access) as session, shown(quiet=quiet) as listener:
        listener.phase_started("Look at every layer")
        started = time.monotonic()
        found = diagnose(session)
        listener.phase_finished("Look at every layer", time.monotonic() - started)
        return found


def _mend(
    lab: Lab, access: Access, found: Diagnosis, mended: list[Mended], *, yes: bool, quiet: bool, verbose: bool
) -> Diagnosis:
    """Mend cause after cause, as long as each has a remedy that harms nothing and the user consents."""
    from clusterctl.cli import wiring
    from clusterctl.cli.work import shown_work

    tried: set[tuple[str, str]] = set()
    for _ in range(ROUNDS):
        cause = found.cause
        if cause is None or (key := (cause.finding.check, cause.finding.subject)) in tried:
            break
        tried.add(key)
        with wiring.session(lab, "doctor --fix", changes=True, access=access, strict=False) as session:
            remedies = _remedies(session, found)
            if not remedies.actions:
                _say(f"{lab.name}: nothing that is safe to do by itself mends this; see the remedy")
                break
            _announce(lab.name, remedies.actions, yes=yes)
            with shown_work(session, verbose=verbose, quiet=quiet) as listener:
                _carry_out(session, remedies, listener)
        mended.append(Mended(cause, remedies.actions))
        found = _until_it_heals(lab, access, key, quiet=quiet)
    return found


def _until_it_heals(lab: Lab, access: Access, key: tuple[str, str], *, quiet: bool) -> Diagnosis:
    """Look again until the lab is healthy or its cause is another one; gossip and leaders take a moment."""
    deadline = time.monotonic() + HEALS_WITHIN
    while True:
        found = _look(lab, access, quiet=quiet)
        cause = found.cause
        settled = cause is None or ((cause.finding.check, cause.finding.subject) != key and _safe(found))
        if settled or time.monotonic() > deadline:
            return found
        time.sleep(1)


@dataclass(frozen=True)
class Remedies:
    """What is to be done: deeds of the finding's own, or all that `up` would do. actions: what is shown for it."""

    actions: tuple[Action, ...]
    completes: bool


@dataclass(frozen=True)
class Mended:
    """A cause, and what was done about it."""

    cause: Judged
    actions: tuple[Action, ...]

    def document(self) -> dict[str, Any]:
        """Return it as a JSON-able dict."""
        from clusterctl.checks.layers.diagnosis import document

        done = [{"host": a.host, "title": a.title, "shell": a.shell()} for a in self.actions]
        return {"cause": document(self.cause), "actions": done}


def _safe(found: Diagnosis) -> list[Action]:
    """Return the deeds that mend the cause, and what else is broken in its layer."""
    judged: Iterable[Judged] = [found.cause, *found.also()] if found.cause else []
    return list({(a.host, a.shell()): a for j in judged for a in j.safe}.values())


def _remedies(session: Session, found: Diagnosis) -> Remedies:
    from clusterctl import recipes
    from clusterctl.cli.progress import Quiet
    from clusterctl.model.errors import ClusterctlError

    safe = _safe(found)
    if safe or found.cause is None or not found.cause.completes:
        return Remedies(tuple(safe), completes=False)
    try:
        planned = session.runner(Quiet(), tolerant=True).show(recipes.up(session.provider, session.authority))
    except ClusterctlError as error:
        _say(f"clusterctl up would mend it, and cannot be planned now: {error.message}")
        return Remedies((), completes=True)
    return Remedies(tuple(a for p in planned for a in p.actions), completes=True)


class _Deeds:
    """A phase that does what it was given."""

    title = "Mend it"
    reads: frozenset[Section] = frozenset()

    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = actions

    def plan(self, lab: Lab, facts: Facts) -> Sequence[Action]:
        """Return the deeds."""
        return self._actions


def _carry_out(session: Session, remedies: Remedies, listener: Listener) -> None:
    from clusterctl import recipes

    phases: list[Phase[Lab]] = [_Deeds(remedies.actions)]
    if remedies.completes:
        phases = recipes.up(session.provider, session.authority)
    session.runner(listener).run(phases)


def _announce(lab: str, actions: Sequence[Action], *, yes: bool) -> None:
    """Name the remedies on stderr, and ask."""
    from clusterctl.cli.consent import ask

    _say(f"{lab}: these remedies harm nothing:")
    for number, action in enumerate(actions, 1):
        first, *more = action.shell().splitlines() or [""]
        _say(f"  {number}. {action.host}: {action.title}: {first if len(first) < 200 else first[:200] + '…'}")
        if more:
            _say(f"     … and {len(more)} lines more; clusterctl up --dry-run shows them")
    ask(f"{lab}: {len(actions)} remed{'y' if len(actions) == 1 else 'ies'}", yes=yes)


def _say(text: str) -> None:
    import sys

    print(text, file=sys.stderr, flush=True)


def _print(found: Diagnosis, *, advise: bool = True) -> None:
    from rich.text import Text

    from clusterctl.cli import render
    from clusterctl.model.finding import Layer

    out = render.console()
    made = render.table("", "layer", "what was looked at", title=f"lab {found.lab}, bottom up")
    for layer in Layer:
        state = found.state(layer)
        words, style = render.MARKS.get(state, ("- " + state, "dim"))
        made.add_row(Text(words, style=style), str(layer), Text(_summary(found, layer, state)))
    out.print(made)
    for judged in found.judged:
        if judged.finding.severity == "warning" and found.state(judged.finding.layer or Layer.HOST) != "not judged":
            out.print(Text(f"! {judged.finding.seen}", style="yellow"), soft_wrap=True)
    cause = found.cause
    if cause is None:
        out.print(Text(f"{found.lab}: healthy, {found.seconds:.1f} s", style="green"))
        return
    finding = cause.finding
    style = render.MARKS[finding.severity][1]
    out.print(Text.assemble(("cause: ", "bold"), (f"{finding.seen}", style)), soft_wrap=True)
    for shown in finding.evidence:
        out.print(Text(f"  {shown.host}$ {shown.command}", style="cyan"), soft_wrap=True)
        for line in shown.output.splitlines() or [""]:
            out.print(Text(f"    {line}", style="dim"), soft_wrap=True)
    out.print(Text.assemble(("remedy: ", "bold"), finding.hint), soft_wrap=True)
    for other in found.also():
        out.print(Text(f"also: {other.finding.seen}", style=style), soft_wrap=True)
    if advise and (_safe(found) or cause.completes):
        out.print(Text("next: clusterctl doctor --fix does it, after naming it"))
    broken = f"the {finding.layer} layer is broken ({finding.check}, {finding.subject})"
    out.print(Text(f"{found.lab}: {broken}, {found.seconds:.1f} s", style=style), soft_wrap=True)


def _summary(found: Diagnosis, layer: Any, state: str) -> str:
    """Return a line about a layer: its subjects where all is well, else what is not."""
    if state == "not judged":
        return "it stands on what is broken below" if found.cause else "not looked at"
    bad = [j.finding for j in found.of(layer) if not j.holds]
    if bad:
        return ", ".join(dict.fromkeys(f"{f.check} {f.subject}" for f in bad))
    return ", ".join(dict.fromkeys(j.finding.subject for j in found.of(layer))) or "nothing there"

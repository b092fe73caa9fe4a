"""clusterctl check: whether the hosts can carry the cluster, each by itself and between each two."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.finding import Finding
    from clusterctl.model.lab import Lab
    from clusterctl.model.report import Report
    from clusterctl.plan.runner import Listener


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog="Example: clusterctl check -i inventory/local.yml --hosts docker1,docker2")(check)


@options.reaching
def check(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    hosts: options.Hosts = "",
    output: options.OutputAs = options.Output.TABLE,
    strict: options.Strict = False,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """See whether the hosts can carry the cluster: kernel, clock, ports, firewall, and what passes between each two.

    Changes nothing; before `up` and at any time. Exits 1 when something does not hold or cannot be told.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.chosen import with_hosts
    from clusterctl.cli.progress import shown

    lab = with_hosts(wiring.load(inventory, playbook), hosts)
    with wiring.session(lab, "check", changes=False, access=access) as session, shown(quiet=quiet) as listener:
        found = survey(session, listener)
    if output is options.Output.JSON:
        render.document(lab=lab.name, report=found.document())
    else:
        _print(lab, found)
    if not found.holds(strict=strict):
        raise typer.Exit(1)


def survey(session: Session, listener: Listener) -> Report:
    """Look at every host, then between them."""
    from clusterctl.checks.survey import look_at_hosts, look_between
    from clusterctl.model.report import Report
    from clusterctl.phases.preflight import readiness
    from clusterctl.remote.reader import NOT_THERE

    lab, started = session.lab, time.monotonic()
    present = session.provider.present(lab)
    listener.phase_started("Look at the hosts")
    absent = {h: "" if h in present else NOT_THERE for h in lab.inventory.hosts}
    facts, grounds = look_at_hosts(absent, session.reader().one, session.doors)
    listener.phase_finished("Look at the hosts", time.monotonic() - started)
    listener.phase_started("Measure between them")
    at = time.monotonic()
    between = look_between(lab, facts, session.doors)
    listener.phase_finished("Measure between them", time.monotonic() - at)
    findings = (*readiness(lab, facts, grounds), *between)
    return Report(lab.name, findings, "Can the hosts carry the cluster?", time.monotonic() - started)


def _print(lab: Lab, found: Report) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    out = render.console()
    pairs = [f for f in found.findings if " → " in f.subject]
    made = render.table("", "host", "check", "seen", title=found.title)
    for finding in sorted((f for f in found.findings if " → " not in f.subject), key=lambda f: _place(lab, f.subject)):
        words, style = render.MARKS[finding.severity]
        seen = Text(finding.seen, style="" if finding.holds else style)
        made.add_row(Text(words, style=style), finding.subject, finding.check, seen)
    out.print(made)
    if pairs:
        names = list(dict.fromkeys(f.subject.partition(" → ")[0] for f in pairs))
        made = render.table("from", *(f"to {n}" for n in names), title="Between them: etcd, gossip, VXLAN, path MTU")
        for source in names:
            cells = [_cell([f for f in pairs if f.subject == f"{source} → {target}"]) for target in names]
            made.add_row(source, *cells)
        out.print(made)
    for finding in pairs:
        if not finding.holds:
            style = render.MARKS[finding.severity][1]
            out.print(Text(f"{finding.check} {finding.subject}: {finding.seen}", style=style), soft_wrap=True)
    render.closing(found)


def _place(lab: Lab, host: str) -> int:
    return list(lab.inventory.hosts).index(host)


def _cell(findings: Sequence[Finding]) -> Text:
    """Return a cell of the matrix: `ok`, or all that is not."""
    from rich.text import Text

    from clusterctl.cli import render

    if not findings:
        return Text("-")
    out = Text()
    for finding in findings:
        if not finding.holds:
            words, style = render.MARKS[finding.severity]
            out.append(f"{', ' if out else ''}{finding.check} {words.partition(' ')[0]}", style=style)
    return out or Text("ok", style="green")

"""clusterctl compare: Docker's kinds of networks on the same hosts, measured side by side."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options
from clusterctl.model.compared import Compared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.compared import Cell, NearFar, Row
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.runner import Listener, Runner

Only = Annotated[
    list[Compared] | None,
    typer.Option("--only", envvar="CLUSTERCTL_ONLY", help="Just these; may be given twice.", show_default=False),
]

LEGEND = (
    "near: a container on the same host; far: one on another host. name, address: whether it is reached by that. "
    "host, other: whether the container is reached by its own host, and by a container of another network there. "
    "payload: bytes of the largest ping that passes in one piece. trip: there and back, the mean of ten."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog="Example: clusterctl compare --only bridge --only overlay --only macvlan")(compare)


@options.reaching
def compare(
    inventory: options.Inventory = options.INVENTORY,
    only: Only = None,
    hosts: options.Hosts = "",
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make each kind of Docker network on two hosts, measure it, and take it away again.

    Names, reach, isolation, MTU, the largest payload, round trip and throughput: each for a container on the same
    host (near) and for one on another host (far). Nothing that is there is touched.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.chosen import with_hosts
    from clusterctl.cli.work import shown_work

    lab = with_hosts(wiring.load_hosts(inventory), hosts)
    started = time.monotonic()
    with (
        wiring.session(lab, "compare", changes=True, access=access, strict=True) as session,
        shown_work(session, verbose=verbose, quiet=quiet) as listener,
    ):
        rows = tuple(_Comparison(session, listener).rows([k for k in Compared if not only or k in only]))
    seconds = time.monotonic() - started
    if output is options.Output.JSON:
        render.document(lab=lab.name, networks=[r.document() for r in rows], seconds=round(seconds, 3))
        return
    _print(rows)
    print(f"{lab.name}: {len(rows)} kinds of networks, {seconds:.1f} s; all that was made for it is gone again")


class _Comparison:
    """Makes, measures and removes; removes also when it is interrupted or fails."""

    def __init__(self, session: Session, listener: Listener) -> None:
        self._session, self._listener = session, listener
        self._lab = session.lab
        self._reader = session.reader(devices=[str(k) for k in Compared if k in (Compared.MACVLAN, Compared.IPVLAN)])

    def _runner(self, lab: Lab, *, stop: threading.Event | None = None) -> Runner[Lab]:
        runner = replace(self._session.runner(self._listener), wanted=lab, reader=self._reader)
        return replace(runner, stop=stop) if stop else runner

    def _read(self) -> Facts:
        from clusterctl.model.facts import Facts
        from clusterctl.plan.phase import Section

        return self._reader.read(frozenset({Section.HOST, Section.DOCKER}), Facts())

    def rows(self, kinds: Sequence[Compared]) -> Iterator[Row]:
        """Return a row for each kind, in order."""
        from clusterctl.phases.comparison import RemoveComparison, before

        facts = self._read()
        self._refuse(facts)
        keep = before(facts)
        # What an earlier one has left, which was killed.
        self._runner(self._lab).run([RemoveComparison(keep)])
        for kind in kinds:
            try:
                yield self._row(kind, facts)
            finally:
                # Also after Ctrl-C: what was made goes, with a stop of its own that nobody has set.
                self._runner(self._lab, stop=threading.Event()).run([RemoveComparison(keep)])

    def _refuse(self, facts: Facts) -> None:
        from clusterctl.model.errors import Reason, Refused
        from clusterctl.model.inventory import Role
        from clusterctl.phases.comparison import strangers

        daemons = [h.name for h in self._lab.with_role(Role.DOCKER)]
        reasons = [Reason(h, "Docker does not run", "clusterctl up") for h in daemons if facts.docker(h) is None]
        reasons += [
            Reason(host, f"{name} is not of this lab, and its name is needed", f"docker inspect {name}")
            for host, name in strangers(facts, self._lab)
        ]
        if reasons:
            raise Refused(reasons)

    def _row(self, kind: Compared, facts: Facts) -> Row:
        from clusterctl.checks.comparison import measure
        from clusterctl.model.compared import Row
        from clusterctl.phases import comparison, containers, images, networks

        wanted = comparison.playbook_of(kind, self._lab)
        if why := comparison.missing(kind, wanted, facts):
            return Row(kind, missing=why)
        runner = self._runner(wanted)
        runner.run([images.ProvideImages(), networks.CreateNetworks(), containers.RunContainers()])
        title = f"Measure {kind}"
        self._listener.phase_started(title)
        started = time.monotonic()
        made = comparison.setting(kind, wanted, self._read())
        row = measure(made, self._session.doors, lambda: runner.check_stop(title))
        self._listener.phase_finished(title, time.monotonic() - started)
        return row


def _print(rows: Sequence[Row]) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    heads = ("network", "name", "address", "host", "other", "MTU", "payload", "trip, ms", "Mbit/s")
    out = render.console()
    made = render.table(*heads, title="Who is reached, and how fast: near / far")
    made.columns[0].no_wrap = True
    for row in rows:
        if row.missing:
            made.add_row(str(row.network), Text("not here", style="yellow"))
            continue
        made.add_row(
            str(row.network),
            _both(row.name),
            _both(row.address),
            _one(row.by_host),
            _one(row.by_outsider),
            _one(row.mtu),
            _one(row.payload),
            _both(row.milliseconds),
            _both(row.megabits),
        )
    out.print(made)
    out.print(LEGEND)
    for row in rows:
        if row.missing:
            out.print(Text(f"{row.network}: not here: {row.missing}", style="yellow"), soft_wrap=True)


def _both(pair: NearFar) -> str:
    return f"{_one(pair.near)} / {_one(pair.far)}"


def _one(cell: Cell) -> str:
    match cell.value:
        case None:
            return "-"
        case bool():
            return "yes" if cell.value else "no"
        case float():
            return f"{cell.value:.2f}"
        case _:
            return str(cell.value)

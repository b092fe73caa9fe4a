"""clusterctl status: how the lab is, layer by layer, once or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.report.status import Status


class StatusOutput(StrEnum):
    """How a status is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    PROMETHEUS = "prometheus"


StatusAs = Annotated[
    StatusOutput,
    typer.Option(
        "-o",
        "--output",
        envvar="CLUSTERCTL_OUTPUT",
        help="A table, a JSON or YAML document, or a file for Prometheus' textfile collector.",
    ),
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep",
        envvar="CLUSTERCTL_DEEP",
        help="Also send packets: between the hosts on every port of the cluster, between all containers.",
    ),
]
Watch = Annotated[bool, typer.Option("-w", "--watch", envvar="CLUSTERCTL_WATCH", help="Go on until Ctrl-C.")]
Every = Annotated[
    float, typer.Option("--every", min=0.5, envvar="CLUSTERCTL_EVERY", help="Seconds between two looks of --watch.")
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=1,
        envvar="CLUSTERCTL_TIMEOUT",
        help="Seconds for each host's answer; what has none by then is unknown.",
    ),
]
Write = Annotated[
    Path | None,
    typer.Option(
        "--write", envvar="CLUSTERCTL_WRITE", help="Write it into this file, whole at a time, instead of printing it."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog="Example: clusterctl status --watch -i inventory/local.yml")(status)


@options.reaching
def status(
    inventory: options.Inventory = options.INVENTORY,
    output: StatusAs = StatusOutput.TABLE,
    deep: Deep = False,
    watch: Watch = False,
    every: Every = 2.0,
    write: Write = None,
    timeout: Timeout = 8.0,
    strict: options.Strict = False,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Show every layer, bottom up: hosts, etcd, Docker, networks, forwarding, containers. Changes nothing.

    Exits 1 when something is off or cannot be told, by the worst that was found; `doctor` finds the cause.
    """
    from clusterctl.checks.glimpse import GLIMPSE
    from clusterctl.cli import wiring
    from clusterctl.cli.progress import shown

    early = wiring.Early(access, wiring.facts if deep else lambda: GLIMPSE)
    lab = wiring.load_standing(inventory, None, early)
    with wiring.session(lab, "status", changes=False, access=access, early=early) as session:
        look = looker(session, deep=deep, within=timeout)
        if watch:
            _watch(look, output, write, every)
        with shown(quiet=quiet) as listener:
            listener.phase_started("Look at every layer")
            found = look()
    _show(found, output, write)
    if not found.holds(strict=strict):
        raise typer.Exit(1)


def looker(session: Session, *, deep: bool, within: float) -> Callable[[], Status]:
    """Return what looks at a lab; connections stay open from one look to the next."""
    from clusterctl.checks.layers import judge
    from clusterctl.checks.layers.glance import Glance
    from clusterctl.remote.reader import NOT_THERE
    from clusterctl.report.status import build

    lab = session.lab
    glance = Glance(lab, session.doors, within)

    def absent() -> dict[str, str]:
        present = session.provider.present(lab)
        return {h: "" if h in present else NOT_THERE for h in lab.inventory.hosts}

    def look() -> Status:
        started = time.monotonic()
        if deep:
            return _deep(session, absent, started)
        survey = glance.look(absent())
        return build(lab, survey, [j.finding for j in judge(lab, survey)], seconds=time.monotonic() - started)

    return look


def _deep(session: Session, absent: Callable[[], dict[str, str]], started: float) -> Status:
    """Look as `doctor` does, packets and all."""
    from clusterctl.checks.layers.diagnosis import Doctor
    from clusterctl.checks.layers.reachability import pairs
    from clusterctl.checks.ping import read_ping
    from clusterctl.checks.probe import Answers, Unanswered
    from clusterctl.report.status import ReachRow, build

    lab, reader = session.lab, session.reader()
    survey, judged = Doctor(lab, absent, lambda h: reader.one(h, docker=False), session.doors).look()
    findings = [j.finding for j in judged]
    rows: list[ReachRow] | None = None
    if survey.answers is not None:
        answers, rows = Answers(survey.answers), []
        for pair in pairs(lab, survey):
            finding = next((f for f in findings if f.subject == pair.subject and str(f.layer) == "reachability"), None)
            state, why = (str(finding.severity), finding.seen) if finding else ("unknown", "")
            names = (pair.source.name, pair.target.name, pair.network)
            try:
                echo = read_ping(answers.exec(pair.address))
            except Unanswered as error:
                rows.append(ReachRow(state, error.trouble.seen, *names))
                continue
            took = float(echo.milliseconds) if echo.milliseconds else None
            rows.append(ReachRow(state, "" if state == "ok" else why, *names, echo.sent, echo.received, took))
    return build(lab, survey, findings, rows, time.monotonic() - started)


def _text(found: Status, output: StatusOutput, *, lines: bool = False) -> str:
    """Return a status as text. lines: one line a document, for streams."""
    from clusterctl.model.report import SCHEMA_VERSION

    document = {"schema_version": SCHEMA_VERSION, **found.document()}
    if output is StatusOutput.JSON:
        import json

        return json.dumps(document, indent=None if lines else 2, ensure_ascii=False) + "\n"
    if output is StatusOutput.YAML:
        import json

        import yaml

        plain = json.loads(json.dumps(document))
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, explicit_start=lines)
    if output is StatusOutput.PROMETHEUS:
        from clusterctl.report import prometheus

        return prometheus.text(found)
    from clusterctl.cli.render import console
    from clusterctl.cli.statusview import view

    out = console()
    with out.capture() as captured:
        out.print(view(found))
    return captured.get()


def _show(found: Status, output: StatusOutput, write: Path | None, *, lines: bool = False) -> None:
    if write is None:
        sys.stdout.write(_text(found, output, lines=lines))
        sys.stdout.flush()
        return
    from clusterctl.cli.wiring import write_whole

    write_whole(write, _text(found, output))


def _watch(look: Callable[[], Status], output: StatusOutput, write: Path | None, every: float) -> None:
    """Look again and again until Ctrl-C, which ends with 130."""
    import signal

    from clusterctl.cli.statusview import live

    # Ctrl-C must not leave the terminal as it is while it is drawn on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if output is StatusOutput.TABLE and write is None and sys.stdout.isatty():
            live(_looks(look, every), every)
        for found in _looks(look, every):
            if output is StatusOutput.TABLE and write is None:
                print(f"{time.strftime('%H:%M:%S')}", flush=True)
            _show(found, output, write, lines=True)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise typer.Exit(130) from None
    finally:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


def _looks(look: Callable[[], Status], every: float) -> Iterator[Status]:
    while True:
        started = time.monotonic()
        yield look()
        time.sleep(max(0.0, every - (time.monotonic() - started)))

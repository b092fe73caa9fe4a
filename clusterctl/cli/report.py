"""clusterctl report: everything there is to say of the lab, on one page."""

from __future__ import annotations

import sys
import time
from itertools import combinations
from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options
from clusterctl.model.lang import Lang

if TYPE_CHECKING:
    from pathlib import Path as File

    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.plan.runner import Listener
    from clusterctl.report.page.page import Findings
    from clusterctl.topology.listen import Seen
    from clusterctl.topology.path import Path
    from clusterctl.topology.topology import Topology


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog="Example: clusterctl report playbooks/overlay.yml --write lab.html")(report)


@options.reaching
def report(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    write: options.Write = None,
    lang: options.Language = Lang.EN,
    output: options.OutputAs = options.Output.TABLE,
    strict: options.Strict = False,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Write the picture, the checks, the path of each pair, a capture and the transcript onto one HTML page.

    The page stands alone: no file and no network is needed to read it. Exits 1 when a check does not hold.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.progress import shown
    from clusterctl.model.errors import InputError
    from clusterctl.report.page.page import document, page

    as_json = output is options.Output.JSON
    if write is None and not as_json and sys.stdout.isatty():
        raise InputError("a page does not go to a terminal", hint="--write lab.html")
    early = wiring.Early(access, wiring.facts)
    lab = wiring.load(inventory, playbook, early)
    with (
        wiring.session(lab, "report", changes=False, access=access, early=early) as session,
        shown(quiet=quiet) as listener,
    ):
        found = look(session, listener)
    text = page(found, lang) if write or not as_json else ""
    if write:
        write.write_text(text, encoding="utf-8")
    if as_json:
        render.document(**document(found))
    elif write:
        held = sum(f.holds for f in found.report.findings)
        print(f"{write}: {held} of {len(found.report.findings)} checks hold, {len(text) / 1024:.0f} KiB")
    else:
        sys.stdout.write(text)
    if not found.report.holds(strict=strict):
        raise typer.Exit(1)


def look(session: Session, listener: Listener) -> Findings:
    """Look at everything, in one session."""
    from clusterctl import __version__
    from clusterctl.cli import net
    from clusterctl.cli.verify import prove
    from clusterctl.model.facts import Facts
    from clusterctl.plan.phase import Section
    from clusterctl.report.page.page import Findings

    wanted = frozenset({Section.HOST, Section.DOCKER})
    facts = session.reader(tolerant=True).read(wanted, Facts())
    proven = prove(session, listener, facts, wanted)
    topology = net.read(session, listener)
    pairs = tuple(_pairs(session, topology))
    seen, why_not = _captured(session, listener, topology, pairs)
    return Findings(
        lab=session.lab,
        facts=facts,
        report=proven,
        topology=topology,
        pairs=pairs,
        seen=seen,
        why_not=why_not,
        transcript=_transcript(session.lab.state / "transcripts"),
        when=time.strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
    )


def _pairs(session: Session, topology: Topology) -> list[tuple[Path, Path]]:
    """Return the path between each two containers of the playbook that run, and the way back."""
    from clusterctl.model.errors import InputError
    from clusterctl.topology.trace import end, trace

    ends = []
    for container in session.lab.playbook.containers.values():
        try:
            ends.append(end(topology, f"{container.host}:{container.name}"))
        except InputError:
            continue
    return [(trace(topology, one, other), trace(topology, other, one)) for one, other in combinations(ends, 2)]


def _captured(
    session: Session, listener: Listener, topology: Topology, pairs: tuple[tuple[Path, Path], ...]
) -> tuple[Seen | None, str]:
    """Capture a ping between one pair: best one that crosses hosts by a tunnel. Returns why not, where it cannot."""
    from clusterctl.model.errors import ClusterctlError
    from clusterctl.topology.listen import see

    whole = [(there, back) for there, back in pairs if there.hops and not there.broken and not back.broken]
    if not whole:
        return None, "no two containers reach each other"
    there, back = max(whole, key=lambda p: _tells(p[0]))
    listener.phase_started("Ping and listen")
    started = time.monotonic()
    try:
        return see(topology, there, back, session.doors), ""
    except ClusterctlError as error:
        return None, error.message
    finally:
        listener.phase_finished("Ping and listen", time.monotonic() - started)


def _tells(path: Path) -> tuple[bool, bool]:
    """Rank a path by what there is to learn from it: a tunnel, else another host."""
    return any(h.outer for h in path.hops), path.source.host.name != path.target.host.name


def _transcript(folder: File) -> tuple[str, str]:
    """Return the name and the text of the last `up`, empty where there is none."""
    runs = sorted(folder.glob("*-up-*.log"), key=lambda p: p.stat().st_mtime_ns) if folder.is_dir() else []
    return (runs[-1].name, runs[-1].read_text(encoding="utf-8", errors="replace")) if runs else ("", "")

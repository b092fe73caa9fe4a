"""Results on stdout: a table for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from clusterctl.model.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from clusterctl.model.lang import Lang
    from clusterctl.model.report import Report

MARKS = {
    "ok": ("✓ ok", "green"),
    "warning": ("! warning", "yellow"),
    "unknown": ("? unknown", "magenta"),
    "failed": ("✗ FAILED", "red"),
}
WIDTH = 160
"""Columns where there is no terminal to ask."""


def console() -> Console:
    """Return the console for results; wide enough for whole lines when they go into a pipe."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)


def document(**values: Any) -> None:
    """Print one JSON document."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=2, ensure_ascii=False))


def table(*columns: str, title: str = "") -> Table:
    """Return a plain table."""
    from rich import box
    from rich.table import Table

    made = Table(*columns, box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    made.title_style = "bold"
    return made


def report(found: Report) -> None:
    """Print a report: one line a finding, what was expected beside what was seen, hints below."""
    from rich.markup import escape
    from rich.text import Text

    out = console()
    if not found.findings:
        closing(found)
        return
    made = table("", "check", "subject", "expected", "seen", title=found.title)
    for finding in found.findings:
        words, style = MARKS[finding.severity]
        made.add_row(
            Text(words, style=style),
            finding.check,
            escape(finding.subject),
            escape(finding.expected),
            Text(finding.seen, style="" if finding.holds else style),
        )
    out.print(made)
    closing(found)


def explained(found: Report, title: str, lang: Lang) -> None:
    """Print a report for learners: what was expected, what was seen, and why."""
    from rich.text import Text

    from clusterctl.cli.explain import explain

    console().print(Text(title or found.name, style="bold"))
    explain(found.findings, lang)
    closing(found)


def closing(found: Report) -> None:
    """Print what to do about what does not hold, and how it all ended."""
    from rich.text import Text

    out = console()
    for finding in found.findings:
        if not finding.holds:
            for line in (*(f"$ {c}" for c in finding.commands), *([f"hint: {finding.hint}"] if finding.hint else [])):
                out.print(Text(f"{finding.check} {finding.subject}: {line}"), soft_wrap=True)
    if not found.findings:
        out.print(Text(f"{found.name}: the playbook expects nothing, so nothing was verified"))
        return
    held = sum(f.holds for f in found.findings)
    verdict = "all hold" if found.holds() else f"{len(found.findings) - held} do not hold"
    out.print(
        Text.assemble(
            f"{found.name}: {len(found.findings)} checks, ",
            (verdict, "green" if found.holds() else "red"),
            f", {found.seconds:.1f} s",
        )
    )
    if not found.holds():
        out.print(Text("next: clusterctl doctor looks for the cause"))
    if found.left_out:
        what = f"{found.left_out} more make something for a moment and take it away again"
        out.print(Text(f"{what}: clusterctl verify", style="dim"))

"""Findings for learners: what was expected, what was seen, and why, in their language."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from clusterctl.model.finding import Severity
from clusterctl.model.lang import Lang
from clusterctl.report.said import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.model.finding import Finding

WORDS = {
    Lang.EN: ("expected", "seen", "why", "try"),
    Lang.ZH: ("期望", "看到", "原因", "试试"),
}
CHINESE = {
    Severity.OK: "✓ 成立",
    Severity.WARNING: "! 注意",
    Severity.UNKNOWN: "? 未知",
    Severity.FAILED: "✗ 不成立",
}
NARROWEST, WIDEST = 60, 110


def explain(found: Sequence[Finding], lang: Lang, *, heads: bool = True) -> None:
    """Print findings one below the other; a reason that several share stands once, below the last of them.

    heads: whether each begins with what it is about.
    """
    for i, finding in enumerate(found):
        after = found[i + 1] if i + 1 < len(found) else None
        _finding(finding, lang, heads=heads, why=after is None or after.why != finding.why)


def _finding(finding: Finding, lang: Lang, *, heads: bool, why: bool) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    out = render.console()
    mark, style = render.MARKS[finding.severity]
    expected, seen, because, hint = WORDS[lang]
    head = Text(CHINESE[finding.severity] if lang is Lang.ZH else mark, style=style)
    if heads:
        head.append(f"  {finding.check} {finding.subject}", style="bold")
    rows = [(expected, said(finding.expected, lang)), (seen, said(finding.seen, lang))]
    if why and finding.why:
        rows.append((because, finding.why.to(lang)))
    if finding.hint and not finding.holds:
        rows.append((hint, finding.hint))
    width = max(NARROWEST, min(out.width, WIDEST))
    lines = [line for word, text in rows for line in _row(word, text, width, lang)]
    out.print(Text.assemble("  ", head), soft_wrap=True)
    for line in lines:
        out.print(Text(line), soft_wrap=True)


def _row(word: str, text: str, width: int, lang: Lang) -> list[str]:
    """Lay a text out beside its word; a Chinese sign takes two columns."""
    from rich.cells import cell_len

    indent = 4 + (10 if lang is Lang.EN else 6)
    first = f"    {word}".ljust(indent - (cell_len(word) - len(word)))
    if lang is Lang.EN:
        return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * indent) or [first]
    lines, line = [], ""
    for part in _parts(text):
        if line and cell_len(line + part) > width - indent and part not in "，。；：、）”！？":
            lines.append(line.rstrip())
            line = part.lstrip()
        else:
            line += part
    pieces = [*lines, line]
    return [first + pieces[0], *(" " * indent + piece for piece in pieces[1:])]


def _parts(text: str) -> list[str]:
    """Take a text apart where a line may end: between Chinese signs, never inside a word of others."""
    import re

    return re.findall(r"[^\s\u2e80-\u9fff\u3000-\u303f\uff00-\uffef]+\s*|.", text)

"""Prints a plan: each phase, each host, each command as one would type it, files as diffs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.plan.action import WriteFile
from clusterctl.plan.phase import Noop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.plan.runner import Planned


def show(lab: str, planned: Sequence[Planned], *, as_json: bool) -> None:
    """Print the plan; nothing of it has been done."""
    from clusterctl.cli import render

    total = sum(len(p.actions) for p in planned)
    if as_json:
        phases = [
            {
                "title": p.title,
                "steps": [
                    {"host": s.host, "nothing_to_do": s.reason}
                    if isinstance(s, Noop)
                    else {
                        "host": s.host,
                        "at": s.at,
                        "title": s.title,
                        "here": s.here(),
                        "shell": s.shell(),
                        "diff": _diff(s, p),
                    }
                    for s in p.steps
                ],
            }
            for p in planned
        ]
        render.document(lab=lab, actions=total, phases=phases)
        return
    from rich.text import Text

    out = render.console()
    for phase in planned:
        out.print(Text(phase.title, style="bold"))
        for step in phase.steps:
            if isinstance(step, Noop):
                out.print(Text(f"  {step.host}: nothing to do: {step.reason}", style="dim"), soft_wrap=True)
                continue
            out.print(Text.assemble("  ", (step.host, "cyan"), f": {step.title}"), soft_wrap=True)
            for line in (_diff(step, phase) or f"{step.here()}\n{step.shell()}".strip()).splitlines():
                style = {"+": "green", "-": "red"}.get(line[:1], "dim") if _diff(step, phase) else "dim"
                out.print(Text(f"      {line}", style=style), soft_wrap=True)
    out.print(Text(f"{lab}: {total} actions planned, nothing was changed" if total else f"{lab}: nothing to do"))


def _diff(step: object, phase: Planned) -> str:
    return step.diff(phase.facts) if isinstance(step, WriteFile) else ""

"""The last thing that goes: clusterctl's own notes on the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.plan import files
from clusterctl.plan.action import Run
from clusterctl.plan.command import script
from clusterctl.plan.phase import Noop, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action


_FORGET = 'rm -rf "$1"; rmdir "$2" 2>/dev/null || true'


class ForgetRecords:
    """Remove what was noted of each host's first state, now that it is back."""

    title = "Remove our notes"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove the notes where there are any."""
        forget = script(_FORGET, files.WAS, files.STATE, typed=f"rm -r {files.STATE}")
        for name, found in facts.hosts.items():
            if found.records:
                yield Run(host=name, title="remove our notes", command=forget)
            else:
                yield Noop(name, "no notes there")

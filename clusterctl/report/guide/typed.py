"""An action as the lines that a person pastes into a root shell on its host."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from clusterctl.plan import files
from clusterctl.plan.action import WaitFor, WriteFile

if TYPE_CHECKING:
    from clusterctl.model.facts import Facts
    from clusterctl.plan.action import Action


def lines(action: Action, facts: Facts) -> str:
    """Return the lines. facts: how the hosts are before the action.

    What only grows is appended to: a host's own file may say more than what the guide takes it for.
    """
    if isinstance(action, WaitFor):
        return until(action.condition.shell())
    if isinstance(action, WriteFile):
        host = facts.hosts.get(action.host)
        before = host.content(action.path) if host else ""
        kept = f"{files.keep(action.path, there=bool(before))}\n" if action.record else ""
        if before and action.content.startswith(before):
            return kept + files.append(action.path, action.content.removeprefix(before).rstrip("\n"))
        return kept + action.shell()
    return action.shell()


def sent(action: Action, ssh_config: str) -> tuple[str, str] | None:
    """Return the title and the line by which the reader brings over what the action needs; None where it is nothing."""
    if not action.here():
        return None
    program, file, to = shlex.split(action.here())
    return f"send {PurePath(file).name} to {action.host}", f"{program} -F {ssh_config} {shlex.join([file, to])}"


def until(look: str) -> str:
    """Return a loop that ends when every one of these lines says yes."""
    each = " &&\n  ".join(look.splitlines())
    return f"until {each}; do\n  sleep 1\ndone"

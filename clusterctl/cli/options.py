"""The flags that every command spells the same way."""

from __future__ import annotations

import functools
import inspect
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clusterctl.cli.access import Access
from clusterctl.model.lang import Lang

if TYPE_CHECKING:
    from collections.abc import Callable


class Output(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


Inventory = Annotated[
    Path,
    typer.Option(
        "-i",
        "--inventory",
        envvar="CLUSTERCTL_INVENTORY",
        help="The hosts; “-” reads standard input.",
        show_default=True,
    ),
]
INVENTORY = Path("inventory/local.yml")

Playbook = Annotated[
    Path | None,
    typer.Argument(
        envvar="CLUSTERCTL_PLAYBOOK",
        help="What to build and what must hold: a file, or the name of one that `clusterctl lessons` lists; "
        "by default what the lab was brought up with, else overlay.",
        show_default=False,
    ),
]
Hosts = Annotated[
    str,
    typer.Option("--hosts", envvar="CLUSTERCTL_HOSTS", help="Hosts by name, with commas; all of them by default."),
]
OutputAs = Annotated[
    Output, typer.Option("-o", "--output", envvar="CLUSTERCTL_OUTPUT", help="A table, or one JSON document.")
]
Yes = Annotated[
    bool, typer.Option("-y", "--yes", envvar="CLUSTERCTL_YES", help="Consent to what is named; for scripts.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", envvar="CLUSTERCTL_DRY_RUN", help="Print the plan and change nothing.")
]
Parallel = Annotated[
    int, typer.Option("--parallel", min=1, max=64, envvar="CLUSTERCTL_PARALLEL", help="Hosts worked on at once.")
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", envvar="CLUSTERCTL_VERBOSE", help="Show each command, and why not.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", envvar="CLUSTERCTL_QUIET", help="No progress.")]
Language = Annotated[
    Lang, typer.Option("--lang", envvar="CLUSTERCTL_LANG", help="The language of the texts for learners.")
]
Write = Annotated[
    Path | None, typer.Option("--write", envvar="CLUSTERCTL_WRITE", help="The file to write.", show_default=False)
]
Explained = Annotated[
    Lang | None,
    typer.Option(
        "--lang",
        envvar="CLUSTERCTL_LANG",
        help="Explain each check: what is expected, what is seen, and why.",
        show_default=False,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", envvar="CLUSTERCTL_STRICT", help="Let warnings fail as well.")]

ACCESS = Access()
_REACHING = {
    "accept_host_keys": "Accept new host keys of hosts of your own (never changed ones); for scripts.",
    "ask_password": "Ask for the SSH password, once.",
    "ask_sudo_password": "Ask for sudo's password, once.",
}
"""The flags of every command that reaches hosts: the fields of `Access`."""


def reaching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes an `access` the flags that it is made of."""

    @functools.wraps(command)
    def run(**words: Any) -> None:
        access = Access(**{name: words.pop(name) for name in _REACHING})
        command(**words, access=access)

    signature = inspect.signature(command, eval_str=True, locals={"Access": Access})
    parameters = []
    for parameter in signature.parameters.values():
        parameters += _flags() if parameter.name == "access" else [parameter]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _flags() -> list[inspect.Parameter]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(
            name,
            kind,
            default=False,
            annotation=Annotated[
                bool,
                typer.Option(f"--{name.replace('_', '-')}", envvar=f"CLUSTERCTL_{name.upper()}", help=text),
            ],
        )
        for name, text in _REACHING.items()
    ]

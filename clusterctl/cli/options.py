"""The flags that every command spells the same way."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clusterctl.model.lang import Lang


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

AcceptHostKeys = Annotated[
    bool,
    typer.Option(
        "--accept-host-keys",
        envvar="CLUSTERCTL_ACCEPT_HOST_KEYS",
        help="Accept new host keys of hosts of your own (never changed ones); for scripts.",
    ),
]
AskPassword = Annotated[
    bool, typer.Option("--ask-password", envvar="CLUSTERCTL_ASK_PASSWORD", help="Ask for the SSH password, once.")
]
AskSudoPassword = Annotated[
    bool,
    typer.Option("--ask-sudo-password", envvar="CLUSTERCTL_ASK_SUDO_PASSWORD", help="Ask for sudo's password, once."),
]

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

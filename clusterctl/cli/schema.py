"""clusterctl schema: the JSON Schema of what users write, for their editors."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer


class Which(StrEnum):
    """One of the two files that users write."""

    INVENTORY = "inventory"
    PLAYBOOK = "playbook"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema", epilog="Example: clusterctl schema playbook > playbook.schema.json")(schema)


def schema(which: Annotated[Which, typer.Argument(help="The file that the schema is for.")]) -> None:
    """Print the JSON Schema (2020-12) of an inventory or a playbook."""
    from clusterctl.checks import KINDS
    from clusterctl.model.playbook import json_schema

    print(json.dumps(json_schema(which.value, KINDS), indent=2))

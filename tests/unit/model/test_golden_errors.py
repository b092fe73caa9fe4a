"""What users read when a file is wrong: tests/golden/errors/NAME.yml beside its text, NAME.txt.

The first word of NAME says what the file is: an inventory, a playbook, or a playbook that is looked at
`together` with inventory/local.yml. Write the texts anew, then read the diff:

    CLUSTERCTL_GOLDEN=write pytest tests/unit/model/test_golden_errors.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from clusterctl.checks import KINDS
from clusterctl.model.errors import InputError
from clusterctl.model.inventory import load_inventory
from clusterctl.model.playbook import check_together, load_playbook

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "tests/golden/errors").glob("*.yml"))


def problems(path: Path, kinds) -> str:
    text, kind = path.read_text(), path.name.split("-")[0]
    with pytest.raises(InputError) as caught:
        if kind == "inventory":
            load_inventory(text, path.name)
        else:
            playbook = load_playbook(text, path.name, KINDS if "lessons" in path.name or kind == "together" else kinds)
            inventory = load_inventory((ROOT / "inventory/local.yml").read_text(), "local.yml")
            if kind == "together":
                check_together(inventory, playbook, text, path.name)
    return f"{caught.value}\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_error_reads_as_it_is_written_down(path: Path, kinds) -> None:
    expected = path.with_suffix(".txt")
    found = problems(path, kinds)
    if os.environ.get("CLUSTERCTL_GOLDEN") == "write":
        expected.write_text(found)
    assert found == expected.read_text()


def test_there_is_no_text_without_its_file() -> None:
    assert {path.with_suffix(".txt") for path in FILES} == set((ROOT / "tests/golden/errors").glob("*.txt"))

"""Finds playbooks by name: those in the folder `playbooks` where one works, then those that come with clusterctl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import clusterctl
from clusterctl.model.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.playbook import Playbook

FOLDER = Path("playbooks")
SUFFIX = ".yml"
DEFAULT = Path("overlay")


def folders() -> tuple[Path, ...]:
    """Return the folders that playbooks are looked for in, the nearest first."""
    package = Path(clusterctl.__file__).parent
    # In a checkout they are beside the package, in an installation inside of it.
    return tuple(dict.fromkeys((FOLDER, package / FOLDER, package.parent / FOLDER)))


def find(given: Path) -> Path:
    """Return the file of a playbook given by its name or its path. Raises InputError where no name is known."""
    if given.exists() or str(given) == "-":
        return given
    if given.parent not in (Path(), FOLDER) or given.suffix not in ("", SUFFIX):
        return given
    for folder in folders():
        file = folder / f"{given.stem}{SUFFIX}"
        if file.is_file():
            return file
    if given.suffix:
        return given
    from clusterctl.model.source import meant

    known = sorted(path.stem for path in files())
    hint = "clusterctl lessons lists those that there are; a path names a file of your own"
    raise InputError(f"there is no playbook {given}{meant(str(given), known)}", hint=hint)


def files() -> Iterator[Path]:
    """Return the files of all playbooks, each name once."""
    seen = set[str]()
    for folder in folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if path.stem not in seen:
                seen.add(path.stem)
                yield path


@dataclass(frozen=True, slots=True)
class Lesson:
    """A playbook that is part of the course, and its file."""

    file: Path
    playbook: Playbook


def lessons() -> tuple[Lesson, ...]:
    """Return the lessons in the order of the course. Raises InputError with the problems of all of them."""
    from clusterctl.checks import KINDS
    from clusterctl.model.playbook import load_playbook

    found, problems = list[Lesson](), list[Problem]()
    for file in files():
        try:
            playbook = load_playbook(file.read_text(encoding="utf-8"), str(file), KINDS)
        except InputError as error:
            problems += error.problems
            continue
        if playbook.chapter:
            found.append(Lesson(file, playbook))
    if problems:
        raise InputError(problems)
    return tuple(sorted(found, key=lambda lesson: (lesson.playbook.chapter, lesson.playbook.name)))

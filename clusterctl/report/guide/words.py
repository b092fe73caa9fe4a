"""The guide's words in each language, beside the code: words.yml."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterctl.model.lang import Lang

FILE = Path(__file__).with_name("words.yml")


@dataclass(frozen=True, slots=True)
class Entry:
    """How a title reads in each language, and why its step is there. {names} stand for what differs."""

    titles: Mapping[str, str]
    why: Mapping[str, str]
    pattern: re.Pattern[str]


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    names = (f"(?P<{p}>.+)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
    return re.compile("".join(names))


def _entry(title: str, said: Mapping[str, Any]) -> Entry:
    return Entry({"en": title, "zh": said["zh"]}, said["why"], _pattern(title))


@functools.cache
def _read() -> tuple[Mapping[str, Mapping[str, str]], Mapping[str, Entry]]:
    said = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return said["frame"], {title: _entry(title, entry) for title, entry in said["titles"].items()}


def entries() -> Mapping[str, Entry]:
    """Return every title of a phase or an action that there are words for, as it is written down."""
    return _read()[1]


def frame(key: str, lang: Lang, **values: str) -> str:
    """Return one of the guide's own sentences."""
    return _read()[0][key][lang].strip().format(**values)


def find(title: str) -> tuple[Entry, Mapping[str, str]] | None:
    """Return the entry that a title is of, and what its {names} stand for; None where there is none."""
    known = entries()
    if title in known:
        return known[title], {}
    for entry in _with_names(known.values()):
        if found := entry.pattern.fullmatch(title):
            return entry, found.groupdict()
    return None


def _with_names(known: Iterable[Entry]) -> Iterable[Entry]:
    return (e for e in known if e.pattern.groups)


def titled(title: str, lang: Lang) -> tuple[str, str]:
    """Return a title and why its step is there; a title without words stays as it is, without a why."""
    found = find(title)
    if found is None:
        return title, ""
    entry, names = found
    return (title if lang == "en" else entry.titles[lang].format(**names)), entry.why[lang].strip()

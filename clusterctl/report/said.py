"""What checks say, in the language of the reader: their English sentences are the keys of a catalog, said.yml."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import yaml

from clusterctl.model.lang import Lang

FILE = Path(__file__).with_name("said.yml")


@functools.cache
def catalog() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return each sentence as a pattern, {names} standing for what differs, and its translation."""
    sentences = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    # What is said with more words of its own is meant before what leaves more open.
    fixed = {en: len(re.sub(r"\{\w+\}", "", en)) for en in sentences}
    return tuple((_pattern(en), zh) for en, zh in sorted(sentences.items(), key=lambda item: -fixed[item[0]]))


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", sentence)
    names = (f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile("".join(names), re.DOTALL)


def said(text: str, lang: Lang) -> str:
    """Return a sentence of a check in a language; one that is not in the catalog stays in English."""
    if lang is not Lang.ZH:
        return text
    for pattern, translated in catalog():
        if found := pattern.fullmatch(text):
            values = {name: said(value, lang) for name, value in found.groupdict().items()}
            return translated.format(**values)
    return text

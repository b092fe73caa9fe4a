"""The languages of the texts for learners; apart, since every command's options name them."""

from __future__ import annotations

from enum import StrEnum


class Lang(StrEnum):
    """A language of the texts for learners."""

    EN = "en"
    ZH = "zh"

"""How wide text is, and how it is cut to a width: as DejaVu Sans has it, than which few fonts are wider."""

from __future__ import annotations

import unicodedata

# Hundredths of the font's size for the characters from the space to the tilde.
_WIDTHS = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69,
    61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63,
    59, 82, 59, 59, 52, 64, 34, 64, 84,
)  # fmt: skip
_BOLD = 1.12


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is, in the unit of the size."""
    total = sum(_WIDTHS[ord(c) - 32] if " " <= c <= "~" else 102 if _wide(c) else 66 for c in text)
    return total / 100 * size * (_BOLD if bold else 1)


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def wrap(text: str, size: float, most: float) -> list[str]:
    """Return a text in lines that are at most so wide, but for words that are wider themselves."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer, size) > most:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def cut(text: str, size: float, most: float, *, bold: bool = False) -> str:
    """Return a text that is at most so wide; what is too much goes out of its middle."""
    if width(text, size, bold=bold) <= most:
        return text
    keep = len(text)
    while keep > 1:
        keep -= 1
        head = (keep + 1) // 2
        shorter = f"{text[:head]}…{text[len(text) - (keep - head) :]}"
        if width(shorter, size, bold=bold) <= most:
            return shorter
    return "…"

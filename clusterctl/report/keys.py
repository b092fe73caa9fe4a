"""What Docker keeps in the store, as a tree, and what changes in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEANINGS = {
    "/docker/nodes": "the daemons; each renews its key every 20 s, without that it goes after 60 s",
    "/docker/network/v1.0/network": "the networks of global scope",
    "/docker/network/v1.0/endpoint": "each network's containers: their names, MAC and IP addresses",
    "/docker/network/v1.0/endpoint_count": "how many containers each network has",
    "/docker/network/v1.0/overlay": "each overlay's subnet and VNI",
    "/docker/network/v1.0/idm": "the VNIs that are taken, as a bit mask",
    "/docker/network/v1.0/ipam": "the address pools, and the addresses taken in each as a bit mask",
}
"""What is below a key, as far as it is known."""

SHORT = 12
"""Characters of a network's or an endpoint's id, as Docker's own tables show it."""

ID = 64


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree. value: short JSON, "" for a folder. meaning: what is below it."""

    depth: int
    name: str
    value: str = ""
    meaning: str = ""


def brief(value: str, width: int = 0) -> str:
    """Return a value on one line, without what is empty in it; cut to `width` where that is given."""
    try:
        found = json.loads(value)
    except ValueError:
        text = " ".join(value.split())
    else:
        text = json.dumps(_filled(found), separators=(", ", ": "), ensure_ascii=False)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return f"{text[: width - 1]}…" if width and len(text) > width else text


def _filled(value: object) -> object:
    """Leave out what says nothing: null, false, empty texts, lists and mappings."""
    if isinstance(value, dict):
        filled = {k: _filled(v) for k, v in value.items()}
        return {k: v for k, v in filled.items() if v or (v == 0 and v is not False)}
    return [_filled(v) for v in value] if isinstance(value, list) else value


def shortened(part: str) -> str:
    """Return an id as Docker's tables show it; any other name as it is."""
    long = len(part) == ID and all(c in "0123456789abcdef" for c in part)
    return part[:SHORT] if long else "".join(c if c.isprintable() else "?" for c in part)


def tree(keys: Mapping[str, str], *, width: int = 0) -> Iterator[Line]:
    """Lay keys out as a tree, each folder named once."""
    above: list[str] = []
    for key, value in sorted(keys.items()):
        parts = key.strip("/").split("/")
        shared = 0
        while shared < len(parts) - 1 and above[shared : shared + 1] == [parts[shared]]:
            shared += 1
        for depth in range(shared, len(parts) - 1):
            meaning = MEANINGS.get("/" + "/".join(parts[: depth + 1]), "")
            yield Line(depth, f"{shortened(parts[depth])}/", meaning=meaning)
        yield Line(len(parts) - 1, shortened(parts[-1]), brief(value, width))
        above = parts[:-1]


@dataclass(frozen=True, slots=True)
class Change:
    """A key that came ("+"), went ("-") or has another value now ("~")."""

    sign: str
    key: str
    value: str = ""
    before: str = ""


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Return what is different, by key."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        if key not in before:
            found.append(Change("+", key, value=after[key]))
        elif key not in after:
            found.append(Change("-", key, before=before[key]))
        elif before[key] != after[key]:
            found.append(Change("~", key, value=after[key], before=before[key]))
    return tuple(found)

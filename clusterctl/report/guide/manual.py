"""What a guide is made of; the same for every language but for its words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterctl.model.lang import Lang

HERE = ""
"""The machine that the reader works from, where a host's name would stand."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to type. why: said once, where it is met first."""

    title: str
    why: str
    shell: str


@dataclass(frozen=True, slots=True)
class Part:
    """The steps on one host, in order."""

    host: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One stage of the lab. why: what it is there for."""

    title: str
    why: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class HostLine:
    """What a host is taken for. has: the programs that are there already."""

    name: str
    address: str
    roles: tuple[str, ...]
    system: str
    has: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manual:
    """The whole guide. aim: what there is to learn from the lab, in the words of the playbook."""

    lab: str
    playbook: str
    lang: Lang
    aim: str
    ssh_config: str
    hosts: tuple[HostLine, ...]
    chapters: tuple[Chapter, ...]

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return sum(len(p.steps) for c in self.chapters for p in c.parts)

    def document(self) -> dict[str, Any]:
        """Return the guide as a JSON-able dict."""
        return asdict(self)

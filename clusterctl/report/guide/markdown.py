"""A guide as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clusterctl.report.guide.manual import HERE
from clusterctl.report.guide.words import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.report.guide.manual import Chapter, HostLine, Manual, Part


def markdown(manual: Manual) -> str:
    """Return the whole guide. A block of commands says after `sh` which host it is for; the reader's own has none."""
    lang = manual.lang
    names = " · ".join(h.name for h in manual.hosts)
    blocks = [
        f"# {frame('title', lang, lab=manual.lab, playbook=manual.playbook)}",
        *([f"> {_plain(manual.aim)}"] if manual.aim else []),
        frame("intro", lang, ssh_config=manual.ssh_config, hosts=names, host=manual.hosts[0].name),
        f"## {frame('assumed', lang)}",
        frame("assumed_why", lang),
        "\n".join(_table(manual)),
    ]
    for number, chapter in enumerate(manual.chapters, 1):
        blocks += _chapter(number, chapter, manual)
    return "\n\n".join([*blocks, frame("end", lang)]) + "\n"


def _table(manual: Manual) -> Iterator[str]:
    heads = [frame(f"column_{c}", manual.lang) for c in ("host", "address", "roles", "system", "has")]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for host in manual.hosts:
        yield f"| {' | '.join(_row(host, manual))} |"


def _row(host: HostLine, manual: Manual) -> tuple[str, ...]:
    has = ", ".join(host.has) or frame("nothing", manual.lang)
    return host.name, host.address, ", ".join(host.roles), host.system, has


def _chapter(number: int, chapter: Chapter, manual: Manual) -> Iterator[str]:
    yield f"## {number}. {chapter.title}"
    if chapter.why:
        yield chapter.why
    for part in chapter.parts:
        yield from _part(part, manual)


def _part(part: Part, manual: Manual) -> Iterator[str]:
    where = frame("on", manual.lang, host=part.host) if part.host != HERE else frame("here", manual.lang)
    yield f"### {where}"
    for step in part.steps:
        yield f"**{_plain(_capital(step.title))}{frame('stop', manual.lang)}** {step.why}".strip()
        # What is in the block must not end it.
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", step.shell)), default=0))
        yield f"{fence}sh {part.host}".strip() + f"\n{step.shell}\n{fence}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """Return a user's text so that Markdown takes it for text."""
    return re.sub(r"([\\`*\[\]<>#|])", r"\\\1", " ".join(text.split()))

"""clusterctl lessons: the course, one line a lesson."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options
from clusterctl.model.lang import Lang

if TYPE_CHECKING:
    from clusterctl.cli.playbooks import Lesson

HEADS = {
    Lang.EN: ("", "name", "what you learn", "hosts"),
    Lang.ZH: ("", "名称", "学什么", "主机"),
}
NEXT = {
    Lang.EN: "clusterctl lesson NAME walks through one step by step; clusterctl up NAME builds it at once",
    Lang.ZH: "clusterctl lesson 名称：一步一步地做；clusterctl up 名称：一次建好",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lessons", epilog="Example: clusterctl lessons --lang zh")(lessons)


def lessons(
    lang: options.Language = Lang.EN,
    output: options.OutputAs = options.Output.TABLE,
) -> None:
    """List the lessons: what one learns in each, and the hosts that it needs."""
    from clusterctl.cli import playbooks, render

    found = playbooks.lessons()
    if output is options.Output.JSON:
        render.document(lessons=[_document(lesson) for lesson in found])
        return
    made = render.table(*HEADS[lang])
    for column, justify in ((0, "right"), (3, "right")):
        made.columns[column].justify = justify  # type: ignore[assignment]
    for lesson in found:
        playbook = lesson.playbook
        made.add_row(str(playbook.chapter), playbook.name, playbook.lesson.to(lang), str(len(playbook.hosts)))
    render.console().print(made)
    print(NEXT[lang])


def _document(lesson: Lesson) -> dict[str, object]:
    playbook = lesson.playbook
    return {
        "chapter": playbook.chapter,
        "name": playbook.name,
        "lesson": playbook.lesson.model_dump(),
        "about": playbook.about.model_dump(),
        "hosts": list(playbook.hosts),
        "expectations": len(playbook.expect),
        "file": str(lesson.file),
    }

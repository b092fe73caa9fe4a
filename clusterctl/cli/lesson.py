"""clusterctl lesson: one lesson step by step, each with its command first, then what is expected, seen, and why."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clusterctl.cli import options
from clusterctl.model.lang import Lang

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterctl.checks.check import Check
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.finding import Finding
    from clusterctl.plan.action import Action
    from clusterctl.plan.runner import Runner

Name = Annotated[str, typer.Argument(help="The lesson's name, or the file of a playbook.", show_default=False)]

WORDS = {
    Lang.EN: {
        "ready": "The cluster stands; what was on it before has been taken away.",
        "done": "done in {seconds} s",
        "key": "any key: go on · q: stop here",
        "build": "Build it",
        "prove": "Look at it",
        "stopped": "stopped here, the cluster and what was built stand",
        "left": "it stands until you take it away: clusterctl down --keep-cluster",
        "next": "next",
    },
    Lang.ZH: {
        "ready": "集群已就绪，之前留在上面的内容已清除。",
        "done": "完成，用时 {seconds} 秒",
        "key": "按任意键继续 · 按 q 停在这里",
        "build": "搭建",
        "prove": "观察",
        "stopped": "停在这里，集群和已搭建的内容都保留",
        "left": "环境会一直保留，清除请用：clusterctl down --keep-cluster",
        "next": "下一课",
    },
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lesson", epilog="Example: clusterctl lesson bridge --lang zh")(lesson)


@options.reaching
def lesson(
    name: Name,
    inventory: options.Inventory = options.INVENTORY,
    lang: options.Language = Lang.EN,
    yes: options.Yes = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Walk through a lesson: each command before it is carried out, each check with its reason. Waits for a key.

    The cluster is made first where it does not stand, and cleared of what the lab has on it. -y waits for no key.
    """
    from pathlib import Path

    from clusterctl.cli import render, wiring
    from clusterctl.model.errors import InputError

    as_json = output is options.Output.JSON
    lab = wiring.load(inventory, Path(name))
    if not yes and not as_json and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("a lesson waits for keys, and there is no terminal", hint="add --yes to walk through at once")
    started = time.monotonic()
    with wiring.session(lab, f"lesson {lab.playbook.name}", changes=True, access=access, strict=True) as session:
        walk = Walk(session, lang, waits=not (yes or as_json), shows=not as_json)
        _make_ready(session, verbose=verbose, quiet=quiet)
        walk.through()
    seconds = time.monotonic() - started
    holds = all(f["holds"] for s in walk.steps for f in s["findings"])
    if as_json:
        told = {"holds": holds, "seconds": round(seconds, 3), "steps": walk.steps}
        render.document(lab=lab.name, lesson=lab.playbook.name, **told)
    if not holds:
        raise typer.Exit(1)


def _make_ready(session: Session, *, verbose: bool, quiet: bool) -> None:
    """Make the cluster, and take away what an earlier lesson left; the images come as well, before the first step."""
    from clusterctl import recipes
    from clusterctl.cli import wiring
    from clusterctl.cli.work import shown_work

    with shown_work(session, verbose=verbose, quiet=quiet) as listener:
        session.runner(listener).run(recipes.before_lesson(session.provider, session.authority))
        wiring.write_private(session.lab.state / wiring.PLAYBOOK, session.lab.playbook_text)


@dataclass
class Walk:
    """One walk through a lesson, and what was done and seen on it.

    waits: for a key before each step. shows: whether it prints; the steps are kept in any case.
    """

    session: Session
    lang: Lang
    waits: bool
    shows: bool
    steps: list[dict[str, Any]] = field(default_factory=list)
    _began: float = 0.0

    def through(self) -> None:
        """Build step by step, then look step by step."""
        from clusterctl.cli.interrupt import stopping
        from clusterctl.model.errors import Interrupted

        playbook = self.session.lab.playbook
        self._print(f"[bold]{playbook.name}[/]: ", playbook.lesson.to(self.lang))
        if playbook.about:
            self._print("", playbook.about.to(self.lang), width=88)
        self._print("[dim]", self._word("ready"))
        with stopping(self.session.stop):
            if self._build() and self._look():
                self._end()
            else:
                self._print("\n", f"{self._word('stopped')}; {self._word('left')}")
            if self.session.stop.is_set():
                raise Interrupted("the lesson was left", hint=self._word("left"))

    def _build(self) -> bool:
        from clusterctl import recipes
        from clusterctl.cli.progress import Quiet

        self._print("\n[bold underline]", self._word("build"))
        runner: Runner[Any] = self.session.runner(Quiet())
        for action in runner.walk(recipes.build_lesson()):
            if not action.shell().startswith("docker "):
                continue  # a note of ours, nothing that a learner would type
            self._ended()
            self._command(action)
            if not self._go_on():
                return False
            self._began = time.monotonic()
        self._ended()
        return True

    def _ended(self) -> None:
        """Say how long the command took that was shown before."""
        if self._began:
            self._print("  [dim]", self._word("done").format(seconds=f"{time.monotonic() - self._began:.1f}"))
        self._began = 0.0

    def _command(self, action: Action) -> None:
        lines = action.shell().splitlines()
        self.steps.append({"title": action.title, "commands": [f"{action.host}: {n}" for n in lines], "findings": []})
        self._print(f"\n[cyan]{action.host}[/]: ", self._title(action.title))
        for line in lines:
            self._print("  [bold green]$ ", line)

    def _look(self) -> bool:
        from clusterctl.checks import checks_for
        from clusterctl.checks.perform import look
        from clusterctl.model.facts import Facts
        from clusterctl.plan.phase import Section

        session = self.session
        self._print("\n[bold underline]", self._word("prove"))
        for expectation in session.lab.playbook.expect:
            facts = session.reader(tolerant=True).read(frozenset({Section.HOST, Section.DOCKER}), Facts())
            checks = checks_for(session.lab, facts, expectation)
            self._asked(checks)
            if not self._go_on():
                return False
            found = look(checks, session.doors)
            self.steps[-1]["findings"] = [_document(f) for f in found]
            self._seen(found)
        return True

    def _asked(self, checks: Sequence[Check]) -> None:
        lines = list(dict.fromkeys(line for check in checks for line in check.commands()))
        kinds = ", ".join(dict.fromkeys(f"{c.kind} {c.subject}" for c in checks))
        self.steps.append({"title": kinds, "commands": lines, "findings": []})
        self._print("\n[bold]", kinds)
        for line in lines:
            host, _, typed = line.partition(": ")
            self._print(f"  [cyan]{host}[/] [bold green]$ ", typed)

    def _seen(self, found: Sequence[Finding]) -> None:
        from clusterctl.cli.explain import explain

        if self.shows:
            explain(found, self.lang, heads=len(found) > 1)

    def _end(self) -> None:
        from clusterctl.cli import playbooks

        self._print("\n", self._word("left"))
        here = self.session.lab.playbook
        names = [lesson.playbook.name for lesson in playbooks.lessons()] if self.shows else []
        if here.name in names[:-1]:
            self._print("", f"{self._word('next')}: clusterctl lesson {names[names.index(here.name) + 1]}")

    def _go_on(self) -> bool:
        """Wait for a key; whether it goes on from here."""
        from clusterctl.cli import keypress

        if not self.waits:
            return not self.session.stop.is_set()
        print(f"  {self._word('key')}", end="", flush=True)
        key = keypress.wait(self.session.stop).lower()
        print("\r\x1b[K", end="", flush=True)  # the question goes with its answer
        return key not in ("", "q", "\x03", "\x04")

    def _title(self, title: str) -> str:
        from clusterctl.report.guide.words import titled

        return titled(title, self.lang)[0]

    def _word(self, key: str) -> str:
        return WORDS[self.lang][key]

    def _print(self, style: str, text: str, width: int = 0) -> None:
        from rich.markup import escape

        from clusterctl.cli import render

        if self.shows:
            out = render.console()
            out.print(f"{style}{escape(text)}", width=min(width, out.width) or None, soft_wrap=not width)


def _document(found: Finding) -> dict[str, Any]:
    return {
        "check": found.check,
        "subject": found.subject,
        "severity": str(found.severity),
        "holds": found.holds,
        "expected": found.expected,
        "seen": found.seen,
        "why": found.why.model_dump(exclude_defaults=True),
    }

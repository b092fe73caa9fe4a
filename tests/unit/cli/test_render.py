from __future__ import annotations

import json

import pytest
from clusterctl.cli import plan, render
from clusterctl.cli.progress import PlainProgress, Quiet, shown
from clusterctl.model.errors import HostError
from clusterctl.model.facts import Facts, File, HostFacts
from clusterctl.model.finding import Finding, Severity
from clusterctl.model.report import Report
from clusterctl.plan.action import Run, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop
from clusterctl.plan.runner import Planned

HOSTILE = "[red]x[/] [/nothing] :smile: \\[b]"
FACTS = Facts(hosts={"docker1": HostFacts("docker1", files={"/etc/x": File("a\n")})})
RUN = Run(host="docker1", title="restart etcd", command=command("systemctl", "restart", "etcd"))
STEPS = (
    Noop("docker2", f"fine {HOSTILE}"),
    RUN,
    WriteFile(host="docker1", title="write x", path="/etc/x", content=f"{HOSTILE}\n"),
    WriteFile(host="docker1", title="write k", path="/k", content="PRIVATE", secret=True),
)
PLANNED = (Planned("Start", STEPS, FACTS),)


def test_a_plan_shows_commands_diffs_and_reasons_and_takes_no_word_for_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan.show("lab", PLANNED, as_json=False)
    assert capsys.readouterr().out == (
        "Start\n"
        f"  docker2: nothing to do: fine {HOSTILE}\n"
        "  docker1: restart etcd\n"
        "      systemctl restart etcd\n"
        "  docker1: write x\n"
        "      --- docker1:/etc/x\n"
        "      +++ docker1:/etc/x\n"
        "      @@ -1 +1 @@\n"
        "      -a\n"
        f"      +{HOSTILE}\n"
        "  docker1: write k\n"
        "      install -D -m 0644 -o root -g root /dev/stdin /k <<'EOF'\n"
        "      (7 secret bytes)\n"
        "      EOF\n"
        "lab: 3 actions planned, nothing was changed\n"
    )


def test_a_plan_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    plan.show("lab", PLANNED, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["actions"]) == (1, 3)
    steps = document["phases"][0]["steps"]
    assert steps[0]["nothing_to_do"].startswith("fine")
    assert steps[1]["shell"] == "systemctl restart etcd"
    assert "PRIVATE" not in json.dumps(document)


def report(severity: Severity) -> Report:
    finding = Finding("ping", f"a → {HOSTILE}", severity, HOSTILE, HOSTILE, hint="look", commands=("docker1: ping",))
    return Report("lab", (finding,), title="a lesson")


@pytest.mark.parametrize(
    ("severity", "mark", "verdict"),
    [
        ("ok", "✓ ok", "all hold"),
        ("warning", "! warning", "all hold"),
        ("unknown", "? unknown", "1 do not hold"),
        ("failed", "✗ FAILED", "1 do not hold"),
    ],
)
def test_a_report_says_each_severity_in_words(
    severity: str, mark: str, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    render.report(report(Severity(severity)))
    out = capsys.readouterr().out
    assert mark in out
    assert f"lab: 1 checks, {verdict}" in out
    assert ("hint: look" in out) is (verdict != "all hold")
    assert "\x1b" not in out


def test_a_report_takes_no_word_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    render.report(report(Severity.FAILED))
    assert capsys.readouterr().out.count("[red]x[/] [/nothing]") == 5


def test_plain_progress_is_one_line_a_step_with_its_host_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress(verbose=False) as progress:
        progress.phase_started("Start")
        progress.nothing_to_do(Noop("docker2", "fine"))
        progress.action_started(RUN)
        progress.action_finished(RUN, 1.26, "healthy")
        progress.action_started(RUN)
        progress.action_failed(RUN, 2, HostError("docker1", "no"))
        progress.phase_finished("Start", 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "docker1: restart etcd: done in 1.3 s\ndocker1: restart etcd: FAILED after 2.0 s\n"


def test_verbose_progress_also_shows_commands_reasons_and_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress(verbose=True) as progress:
        progress.nothing_to_do(Noop("docker2", "fine"))
        progress.action_started(RUN)
        progress.action_finished(RUN, 1, "healthy")
    assert capsys.readouterr().err.splitlines() == [
        "docker2: nothing to do: fine",
        "docker1: $ systemctl restart etcd",
        "docker1: restart etcd: done in 1.0 s",
        "docker1: healthy",
    ]


def test_without_a_terminal_progress_is_plain_and_quiet_is_quiet() -> None:
    with shown() as listener:
        assert isinstance(listener, PlainProgress)
    with shown(quiet=True) as listener:
        assert isinstance(listener, Quiet)


def test_a_report_says_where_to_go_on_and_that_nothing_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Finding("ping", "a → b", Severity.FAILED, "an answer", "none")
    render.report(Report("lab", (bad,)))
    assert "next: clusterctl doctor looks for the cause" in capsys.readouterr().out
    render.report(Report("lab", ()))
    assert capsys.readouterr().out == "lab: the playbook expects nothing, so nothing was verified\n"

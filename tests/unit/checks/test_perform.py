"""Probes over doors: equal ones once, each with an answer, and never an exception."""

import shutil
import subprocess
import time
from dataclasses import replace

import pytest
from clusterctl.checks import checks_of, perform
from clusterctl.checks.check import Check, failed, ok
from clusterctl.checks.probe import InContainer, Inspect, OnHost, Ran, Trouble
from clusterctl.model.errors import HostError, TimedOut, Unreachable
from clusterctl.model.finding import Severity
from clusterctl.model.report import Report
from clusterctl.plan.command import Result, command
from clusterctl.plan.door import Exec
from recorded_lab import facts, inspected, lab


class Door:
    """A host whose containers run commands here, and whose rest answers as it is told."""

    def __init__(self, **answers):
        self.asked = []
        self.answers = answers
        self.docker = self

    def _answer(self, kind, what, default):
        self.asked.append((kind, what))
        given = self.answers.get(kind, default)
        if isinstance(given, Exception):
            raise given
        return given(what) if callable(given) else given

    def run(self, command):
        return self._answer("run", command, Result("a", command, 0, "out", ""))

    def inspect_network(self, name):
        return self._answer("inspect", name, {"Id": "x"})

    def exec(self, container, argv, within=0):
        def here(argv):
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            return Exec(done.returncode, done.stdout)

        return self._answer("exec", tuple(argv), here)


def inside(*argv, container="c", within=2.0):
    return InContainer("a", container, argv, within=within)


def test_equal_probes_are_asked_once_and_those_of_one_container_together():
    door = Door()
    echo, false, run = inside("echo", "it's"), inside("sh", "-c", "echo no >&2; exit 7"), OnHost("a", command("x"))
    answers = perform.ask([echo, run, false, run, echo], {"a": door}.__getitem__)
    assert answers[echo] == Ran(0, "it's")
    assert answers[false] == Ran(7, "no")
    assert answers[run].stdout == "out"
    assert len(door.asked) == 2


def test_a_missing_tool_and_a_slow_one_are_told_apart():
    door = Door()
    missing, slow = inside("no-such-tool"), inside("sleep", "5", within=0.2)
    answers = perform.ask([missing, slow], {"a": door}.__getitem__)
    assert (answers[missing].exit_code, answers[missing].cut) == (127, False)
    assert answers[slow].cut


def test_without_a_shell_each_is_asked_alone():
    no_shell = Exec(126, 'OCI runtime exec failed: exec: "sh": executable file not found in $PATH: unknown')
    door = Door(exec=lambda argv: no_shell if argv[0] == "sh" else Exec(0, argv[0]))
    one, two = inside("one"), inside("two")
    assert perform.ask([one, two], {"a": door}.__getitem__) == {one: Exec(0, "one"), two: Exec(0, "two")}


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (HostError("a", "No such container: c"), Severity.FAILED),
        (Unreachable("a", "no route"), Severity.UNKNOWN),
        (TimedOut("a", "x", 2, ""), Severity.UNKNOWN),
        (RuntimeError("surprise"), Severity.UNKNOWN),
    ],
)
def test_an_error_is_an_answer(error, severity):
    door = Door(exec=error, run=error, inspect=error)
    probes = [inside("x"), OnHost("a", command("x")), Inspect("a", "n")]
    for answer in perform.ask(probes, {"a": door}.__getitem__).values():
        assert isinstance(answer, Trouble)
        assert answer.severity is severity
        assert str(error.args[0]) in answer.seen


def test_a_host_without_a_door_is_an_answer():
    assert isinstance(perform.ask([Inspect("b", "n")], {}.__getitem__)[Inspect("b", "n")], Trouble)


def test_a_probe_that_hangs_is_given_up_and_delays_no_other(monkeypatch):
    monkeypatch.setattr(perform, "GRACE", 0.1)
    door = Door(inspect=lambda _: time.sleep(30))
    hangs, others = Inspect("a", "n", within=0.2), [OnHost("a", command(str(i))) for i in range(3)]
    answers = perform.ask([hangs, *others], {"a": door}.__getitem__, parallel=1)
    assert "no answer within" in answers[hangs].seen
    assert all(answers[o].stdout == "out" for o in others)


def counted(results, **options):
    """Return a check that is judged by the next of the results each time."""
    left = iter(results)
    return Check("k", "s", "e", (Inspect("a", "n"),), lambda _: next(left), **options)


def test_what_settles_is_looked_at_again_and_that_is_said(monkeypatch):
    monkeypatch.setattr(perform, "PAUSES", (0.0, 0.0))
    doors = {"a": Door()}.__getitem__
    (found,) = perform.look([counted([failed("not yet"), ok("now")])], doors)
    assert (found.severity, found.seen) == (Severity.OK, "now (at look 2; before: not yet)")
    (found,) = perform.look([counted([failed("no"), ok("now")], late=Severity.WARNING)], doors)
    assert found.severity is Severity.WARNING
    (found,) = perform.look([counted([failed("1"), failed("2"), failed("3")])], doors)
    assert found.seen == "3"
    (found,) = perform.look([counted([failed("1", settles=False)])], doors)
    assert found.seen == "1"
    (found,) = perform.look([counted([failed("once")], looks=1)], doors)
    assert found.seen == "once"


def test_a_report_of_nothing_proves_nothing():
    empty = Report("lab", ())
    assert not empty.holds()
    assert empty.document()["worst"] == "unknown"


def test_a_report_is_one_document():
    door = Door(inspect=inspected("docker1"))
    report = perform.perform(lab("visible: {network: qyt_overlay}"), facts(), lambda _: door)
    document = report.document()
    assert document["schema_version"] == 1
    assert document["findings"][0]["severity"] == "ok"
    assert document["findings"][0]["commands"] == [f"docker{i}: docker network inspect qyt_overlay" for i in (1, 2)]
    warned = Report("lab", (replace(report.findings[0], severity=Severity.WARNING),))
    assert warned.holds()
    assert not warned.holds(strict=True)


def test_checks_are_pure():
    wanted = lab("ping: {from: all, to: all}", "agreed: {network: all}")
    assert checks_of(wanted, facts()) == checks_of(wanted, facts())


@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed: apt-get install busybox-static")
def test_the_bundle_runs_in_busybox():
    door = Door(exec=lambda argv: Door().exec("c", ("busybox", *argv)))
    slow = inside("sleep", "5", within=0.2)
    answers = perform.ask([inside("echo", "x"), slow], {"a": door}.__getitem__)
    assert answers[inside("echo", "x")] == Ran(0, "x")
    assert answers[slow].cut

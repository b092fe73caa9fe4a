from __future__ import annotations

import io
import re

from clusterctl.model.errors import HostError
from clusterctl.plan.action import Run, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.journal import Journal, Tee
from clusterctl.plan.phase import Noop

RESTART = Run(host="docker1", title="restart etcd", command=command("systemctl", "restart", "etcd"))


def lines(out: io.StringIO) -> list[str]:
    """Return the transcript's lines without their times."""
    found = out.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ", line) for line in found)
    return [line.partition(" ")[2] for line in found]


def test_a_transcript_is_one_plain_line_an_event_with_its_host() -> None:
    out = io.StringIO()
    journal = Journal(out)
    journal.phase_started("Start etcd")
    journal.nothing_to_do(Noop("docker2", "etcd runs"))
    journal.action_started(RESTART)
    journal.action_finished(RESTART, 1.234, "healthy\nv2 answers")
    journal.phase_finished("Start etcd", 1.3)
    assert lines(out) == [
        "-: == Start etcd",
        "docker2: nothing to do: etcd runs",
        "docker1: restart etcd",
        "docker1: $ systemctl restart etcd",
        "docker1: done in 1.23 s: restart etcd: healthy",
        "docker1: v2 answers",
        "-: -- Start etcd: 1.30 s",
    ]


def test_a_failure_is_written_down_with_its_cause() -> None:
    out = io.StringIO()
    Journal(out).action_failed(RESTART, 2, HostError("docker1", "no such unit"))
    assert lines(out) == ["docker1: FAILED after 2.00 s: restart etcd: docker1: no such unit"]


def test_no_secret_is_written_down() -> None:
    out = io.StringIO()
    action = WriteFile(host="docker1", title="write the key", path="/k", content="PRIVATE", mode=0o600, secret=True)
    journal = Journal(out)
    journal.action_started(action)
    journal.action_finished(action, 0, "/k: 7 bytes")
    assert "PRIVATE" not in out.getvalue()
    assert "(7 secret bytes)" in out.getvalue()


def test_every_listener_hears_every_event() -> None:
    outs = [io.StringIO(), io.StringIO()]
    tee = Tee([Journal(out) for out in outs])
    tee.phase_started("a")
    tee.nothing_to_do(Noop("docker1", "fine"))
    tee.action_started(RESTART)
    tee.action_finished(RESTART, 0, "")
    tee.action_failed(RESTART, 0, ValueError("x"))
    tee.phase_finished("a", 0)
    assert lines(outs[0]) == lines(outs[1])
    assert len(lines(outs[0])) == 7

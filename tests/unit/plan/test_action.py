from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from clusterctl.model.errors import CommandFailed, HostError, TimedOut, Unreachable
from clusterctl.model.facts import Facts, File, HostFacts
from clusterctl.plan.action import Run, WaitFor, WriteFile
from clusterctl.plan.command import command
from clusterctl.testing import FakeDoor

SECRET = "-----BEGIN PRIVATE KEY-----"


@dataclass
class Seen:
    """A condition that sees these things one after the other; an exception among them is raised."""

    things: list = field(default_factory=list)
    looks: int = 0

    def look(self, door) -> tuple[bool, str]:
        thing = self.things[min(self.looks, len(self.things) - 1)]
        self.looks += 1
        if isinstance(thing, Exception):
            raise thing
        return thing

    def shell(self) -> str:
        return "look"


def wait(*things, within: float = 0.1) -> WaitFor:
    return WaitFor(host="docker1", title="wait for it", condition=Seen(list(things)), within=within, hint="look there")


def test_waiting_ends_as_soon_as_it_holds_and_says_what_was_seen() -> None:
    action = wait((False, "no"), (False, "no"), (True, "yes"), within=5)
    assert action.perform(FakeDoor()) == "yes"
    assert action.condition.looks == 3


def test_a_deadline_that_passes_is_a_failure_with_the_last_evidence() -> None:
    with pytest.raises(TimedOut) as caught:
        wait((False, "1 of 2"), (False, "still 1 of 2")).perform(FakeDoor())
    assert caught.value.evidence == "still 1 of 2"
    assert caught.value.lines() == (
        "docker1: wait for it: not within 0.1 s; last seen: still 1 of 2",
        "hint: look there",
    )


def test_what_holds_at_the_deadline_holds() -> None:
    assert wait((True, "yes"), within=0).perform(FakeDoor()) == "yes"


def test_what_cannot_be_asked_yet_does_not_hold_yet() -> None:
    assert wait(HostError("docker1", "Docker does not answer"), (True, "yes"), within=5).perform(FakeDoor()) == "yes"


def test_what_can_never_be_asked_is_the_last_evidence() -> None:
    with pytest.raises(TimedOut, match=r"last seen: Docker does not answer$"):
        wait(HostError("docker1", "Docker does not answer")).perform(FakeDoor())


def test_a_host_that_cannot_be_reached_ends_the_wait_at_once() -> None:
    action = wait(Unreachable("docker1", "the host key has changed"), within=60)
    with pytest.raises(Unreachable):
        action.perform(FakeDoor())
    assert action.condition.looks == 1


def test_a_bug_in_a_condition_is_not_waited_out() -> None:
    with pytest.raises(ZeroDivisionError):
        wait(ZeroDivisionError(), within=60).perform(FakeDoor())


def test_a_command_that_fails_names_what_it_was_for() -> None:
    action = Run(host="docker1", title="start etcd", command=command("systemctl", "start", "etcd"), hint="journalctl")
    door = FakeDoor("docker1", {"systemctl start etcd": (1, "", "no such unit")})
    with pytest.raises(CommandFailed, match="docker1: start etcd: exit 1: no such unit"):
        action.perform(door)


def facts(content: str | None) -> Facts:
    found = HostFacts("docker1", files={} if content is None else {"/etc/x": File(content)})
    return Facts(hosts={"docker1": found})


def test_a_diff_shows_what_changes() -> None:
    action = WriteFile(host="docker1", title="t", path="/etc/x", content="a\nc\n")
    assert action.diff(facts("a\nb\n")) == "--- docker1:/etc/x\n+++ docker1:/etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_a_diff_of_a_new_file_starts_from_nothing() -> None:
    action = WriteFile(host="docker1", title="t", path="/etc/x", content="a\n")
    assert action.diff(facts(None)) == "--- /dev/null\n+++ docker1:/etc/x\n@@ -0,0 +1 @@\n+a\n"


def test_a_line_without_its_end_stays_a_line_of_its_own() -> None:
    action = WriteFile(host="docker1", title="t", path="/etc/x", content="a\nb\n")
    assert action.diff(facts("x")).endswith("-x\n+a\n+b\n")


def test_a_secret_shows_nowhere() -> None:
    action = WriteFile(host="docker1", title="t", path="/k", content=SECRET, mode=0o600, secret=True)
    door = FakeDoor()
    evidence = action.perform(door)
    after = action.predict(facts(None))
    shown = [action.shell(), repr(action), action.diff(facts(None)), evidence, repr(after), repr(door), door.lines[0]]
    assert not [s for s in shown if "PRIVATE" in s]
    assert door.commands[0].input == SECRET.encode()
    assert f"({len(SECRET)} secret bytes)" in action.shell()


def test_a_file_is_predicted_as_it_will_be() -> None:
    action = WriteFile(host="docker1", title="t", path="/etc/x", content="a", mode=0o600, owner="etcd:etcd")
    found = action.predict(facts(None)).hosts["docker1"].files["/etc/x"]
    assert (found.content, found.mode, found.owner) == ("a", 0o600, "etcd:etcd")
    assert found.modified > 1e9


@pytest.mark.parametrize(("content", "record"), [("old", {"files/etc/x": "old"}), (None, {"files/etc/x.absent": ""})])
def test_a_record_is_foreseen_once(content: str | None, record: dict) -> None:
    action = WriteFile(host="docker1", title="t", path="/etc/x", content="new", record=True)
    once = action.predict(facts(content))
    assert once.hosts["docker1"].records == record
    assert action.predict(once).hosts["docker1"].records == record


def test_a_deed_on_a_host_that_is_not_known_predicts_nothing() -> None:
    action = WriteFile(host="docker9", title="t", path="/etc/x", content="a")
    assert action.predict(facts(None)) == facts(None)

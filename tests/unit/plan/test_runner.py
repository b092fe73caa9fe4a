from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest
from clusterctl.model.errors import ClusterctlError, HostError, HostsFailed, Interrupted, Reason, Refused
from clusterctl.model.facts import Facts, HostFacts
from clusterctl.plan.action import Action
from clusterctl.plan.phase import Noop, Section
from clusterctl.plan.runner import Runner
from clusterctl.testing import FakeDoor, FakeReader

HOST, DOCKER, MACHINE = Section.HOST, Section.DOCKER, Section.MACHINE


@dataclass(frozen=True, kw_only=True)
class Do(Action):
    """A deed that is a function."""

    what: Callable[[], object] = field(default=lambda: None, repr=False)

    def shell(self) -> str:
        return self.title

    def perform(self, door) -> str:
        self.what()
        return "done"


@dataclass
class Step:
    """A phase that plans these steps, or what a function of the facts says."""

    title: str
    steps: Iterable | Callable[[Facts], Iterable]
    reads: frozenset[Section] = frozenset({HOST})

    def plan(self, wanted, facts: Facts):
        if isinstance(self.steps, Exception):
            raise self.steps
        return self.steps(facts) if callable(self.steps) else self.steps


@dataclass
class Heard:
    """A listener that remembers."""

    events: list[str] = field(default_factory=list)

    def phase_started(self, title) -> None:
        self.events.append(f"phase {title}")

    def nothing_to_do(self, noop) -> None:
        self.events.append(f"noop {noop.host}: {noop.reason}")

    def action_started(self, action) -> None:
        self.events.append(f"start {action.host}: {action.title}")

    def action_says(self, action, line) -> None:
        self.events.append(f"says {action.host}: {line}")

    def action_finished(self, action, seconds, evidence) -> None:
        self.events.append(f"done {action.host}: {action.title}: {evidence}")

    def action_failed(self, action, seconds, error) -> None:
        self.events.append(f"failed {action.host}: {action.title}: {error}")

    def phase_finished(self, title, seconds) -> None:
        self.events.append(f"end {title}")


def do(host: str, title: str, what: Callable[[], object] = lambda: None, **more) -> Do:
    return Do(host=host, title=title, what=what, **more)


def fail(message: str = "it broke"):
    def deed() -> None:
        raise HostError("docker1", message)

    return deed


def runner(make=lambda known: known, **more) -> Runner:
    return Runner(wanted=None, reader=FakeReader(make), doors=FakeDoor, listener=Heard(), **more)


def test_facts_are_read_again_only_after_something_was_done() -> None:
    run = runner()
    idle, busy = Step("idle", [Noop("docker1", "fine")]), Step("busy", [do("docker1", "x")])
    run.run([idle, idle, busy, idle, idle])
    assert run.reader.asked == [frozenset({HOST})] * 2


def test_while_nothing_has_changed_all_that_the_hosts_are_asked_for_is_read_in_one_go() -> None:
    run = runner()
    run.run(
        [
            Step("m", [], frozenset({MACHINE})),
            Step("a", [], frozenset({HOST})),
            Step("b", [], frozenset({HOST, DOCKER})),
            Step("c", [], frozenset({HOST})),
        ]
    )
    assert run.reader.asked == [frozenset({MACHINE}), frozenset({HOST, DOCKER})]


def test_once_something_has_changed_only_the_sections_that_are_not_fresh_are_read() -> None:
    run = runner()
    run.run(
        [
            Step("m", [do("docker1", "x")], frozenset({MACHINE})),
            Step("a", [], frozenset({HOST})),
            Step("b", [], frozenset({HOST, DOCKER})),
            Step("c", [], frozenset({HOST})),
        ]
    )
    assert run.reader.asked == [frozenset({MACHINE}), frozenset({HOST}), frozenset({DOCKER})]


def test_what_was_read_is_stale_after_a_deed_even_for_other_sections() -> None:
    run = runner()
    run.run([Step("a", [do("docker1", "x")], frozenset({MACHINE})), Step("b", [], frozenset({MACHINE, HOST}))])
    assert run.reader.asked == [frozenset({MACHINE}), frozenset({MACHINE, HOST})]
    assert run.fresh == {MACHINE, HOST}


def test_what_a_deed_does_not_alter_is_not_read_again() -> None:
    run = runner()
    deed = do("docker1", "x", alters=frozenset({DOCKER}))
    run.run([Step("a", [deed], frozenset({HOST, DOCKER})), Step("b", [], frozenset({HOST, DOCKER}))])
    assert run.reader.asked == [frozenset({HOST, DOCKER}), frozenset({DOCKER})]


def test_a_phase_decides_from_the_facts_just_read() -> None:
    run = runner(lambda known: known.with_host(HostFacts("docker1", hostname="read")))
    seen = []
    run.run([Step("a", lambda facts: seen.append(facts.hosts["docker1"].hostname) or [])])
    assert seen == ["read"]


def test_hosts_are_worked_on_side_by_side() -> None:
    meet = threading.Barrier(3, timeout=5)
    runner().run([Step("a", [do(h, "meet", meet.wait) for h in ("docker1", "docker2", "docker3")])])
    assert not meet.broken


def test_no_more_hosts_at_once_than_allowed() -> None:
    now, most, lock = [0], [0], threading.Lock()

    def deed() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    runner(parallel=2).run([Step("a", [do(f"docker{i}", "x", deed) for i in range(8)])])
    assert most == [2]


def test_what_needs_its_peers_runs_beside_them_even_one_at_a_time() -> None:
    meet = threading.Barrier(3, timeout=5)
    deeds = [do(f"docker{i}", "form a majority", meet.wait, together=True) for i in range(3)]
    runner(parallel=1).run([Step("a", deeds)])


def test_a_host_that_waits_leaves_its_slot_to_the_others() -> None:
    written = threading.Event()
    steps = [
        do("docker1", "write"),
        do("docker1", "wait for docker2", lambda: written.wait(5) or pytest.fail("nobody wrote"), together=True),
        do("docker2", "write", written.set),
    ]
    runner(parallel=1).run([Step("a", steps)])


def test_one_host_s_deeds_keep_their_order() -> None:
    done = []
    steps = [do(h, str(i), lambda h=h, i=i: done.append((h, i))) for i in range(20) for h in ("docker1", "docker2")]
    run = runner()
    run.run([Step("a", steps)])
    for host in ("docker1", "docker2"):
        assert [i for h, i in done if h == host] == list(range(20))
    assert run.done == 40


def test_a_deed_goes_through_the_door_that_it_names() -> None:
    used = []
    run = runner()
    run.doors = lambda name: used.append(name) or FakeDoor(name)
    run.run([Step("a", [do("docker1", "x"), do("docker1", "y", door="docker2")])])
    assert used == ["docker1", "docker2"]


def test_the_errors_of_all_hosts_are_collected_beside_the_successes() -> None:
    run = runner()
    later = []
    steps = [
        do("docker1", "x", fail("one")),
        do("docker1", "never", lambda: later.append(1)),
        do("docker2", "x"),
        do("docker3", "x", fail("three")),
    ]
    with pytest.raises(HostsFailed) as caught:
        run.run([Step("a", steps), Step("b", [do("docker2", "never", lambda: later.append(2))])])
    assert list(caught.value.errors) == ["docker1", "docker3"]
    assert caught.value.succeeded == ("docker2",)
    assert caught.value.lines()[-1] == "done on: docker2"
    assert caught.value.exit_code == 4
    assert later == []
    assert any(e.startswith("failed docker1: x") for e in run.listener.events)


def test_a_bug_is_not_taken_for_a_failure_of_the_host() -> None:
    with pytest.raises(ZeroDivisionError):
        runner().run([Step("a", [do("docker1", "x", lambda: 1 / 0)])])


def test_a_stop_lets_the_running_deed_end_and_starts_no_other() -> None:
    run = runner()
    done = []
    steps = [
        do("docker1", "first", lambda: (run.stop.set(), done.append(1))),
        do("docker1", "second", lambda: done.append(2)),
    ]
    with pytest.raises(Interrupted) as caught:
        run.run([Step("a", steps), Step("b", [do("docker1", "third", lambda: done.append(3))])])
    assert done == [1]
    assert caught.value.exit_code == 130
    assert "1 actions done" in caught.value.message


def test_a_stop_before_the_first_phase_reads_nothing() -> None:
    run = runner()
    run.stop.set()
    with pytest.raises(Interrupted, match=r"0 actions done"):
        run.run([Step("a", [])])
    assert run.reader.asked == []


def refusal() -> Refused:
    return Refused([Reason("docker1", "port 2379 is in use")])


def test_a_refusal_before_any_deed_ends_with_3_and_after_one_with_4() -> None:
    with pytest.raises(Refused) as caught:
        runner().run([Step("a", [Noop("docker1", "fine")]), Step("b", refusal())])
    assert caught.value.exit_code == 3
    with pytest.raises(Refused) as caught:
        runner().run([Step("a", [do("docker1", "x")]), Step("b", refusal())])
    assert caught.value.exit_code == 4


def test_hosts_that_cannot_be_read_end_with_3_before_any_deed_and_with_4_after_one() -> None:
    def broken(known):
        raise HostsFailed("Read the hosts", {"docker1": HostError("docker1", "no answer")}, [])

    with pytest.raises(HostsFailed) as caught:
        runner(broken).run([Step("a", [])])
    assert caught.value.exit_code == 3
    run = runner()
    run.run([Step("a", [do("docker1", "x")])])
    run.reader = FakeReader(broken)
    with pytest.raises(HostsFailed) as caught:
        run.run([Step("b", [])])
    assert caught.value.exit_code == ClusterctlError.exit_code


def test_everything_is_heard_in_order() -> None:
    run = runner()
    run.run([Step("a", [Noop("docker1", "fine"), do("docker2", "x")])])
    assert run.listener.events == [
        "phase a",
        "noop docker1: fine",
        "start docker2: x",
        "done docker2: x: done",
        "end a",
    ]


def test_a_plan_that_is_shown_does_nothing_and_foresees_what_each_phase_will_find() -> None:
    run = runner(lambda known: known.with_host(HostFacts("docker1", hostname="debian")))
    rename = do("docker1", "rename", lambda: pytest.fail("done"), effect=lambda f: replace(f, hostname="docker1"))

    def second(facts: Facts):
        return [Noop("docker1", f"its name is {facts.hosts['docker1'].hostname}")]

    first, then = run.show([Step("a", [rename]), Step("b", second)])
    assert first.actions == (rename,)
    assert first.facts.hosts["docker1"].hostname == "debian"
    assert then.steps == (Noop("docker1", "its name is docker1"),)
    assert run.done == 0
    assert run.listener.events == []
    assert run.reader.asked == [frozenset({HOST})]


def test_what_was_foreseen_of_a_host_is_not_looked_for_on_it() -> None:
    run = runner(lambda known: replace(known, missing={"docker1": "it is not there"}))
    make = Do(host="docker1", title="make it")
    object.__setattr__(make, "predict", lambda facts: facts.with_host(HostFacts("docker1", hostname="made")))

    def later(facts: Facts):
        return [Noop("docker1", facts.hosts["docker1"].hostname)]

    planned = run.show([Step("make", [make], frozenset({MACHINE})), Step("use", later, frozenset({HOST}))])
    assert planned[1].steps == (Noop("docker1", "made"),)
    assert planned[1].facts.missing == {}


def test_a_turn_begins_once_the_one_before_it_is_done_on_every_host() -> None:
    run = runner()
    slow = do("docker1", "a", lambda: time.sleep(0.05))
    run.run([Step("x", [slow, do("docker2", "b", turn=1), do("docker1", "c", turn=2), do("docker3", "d")])])
    done = [e.split(": ")[1] for e in run.listener.events if e.startswith("done")]
    assert done == ["d", "a", "b", "c"]


def test_after_a_turn_that_failed_there_is_no_other() -> None:
    run = runner()
    steps = [do("docker1", "a"), do("docker2", "b", fail(), turn=1), do("docker1", "c", turn=2)]
    with pytest.raises(HostsFailed) as caught:
        run.run([Step("x", steps)])
    assert caught.value.succeeded == ("docker1",)
    assert not any("c" in e.split(": ")[1:2] for e in run.listener.events)


def test_a_stop_takes_effect_between_turns() -> None:
    run = runner()
    with pytest.raises(Interrupted):
        run.run([Step("x", [do("docker1", "a", run.stop.set), do("docker2", "b", turn=1)])])
    assert run.done == 1

"""Carries probes out: side by side, equal ones once, each with its deadline, and never with an exception."""

from __future__ import annotations

import queue
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clusterctl.checks import checks_of
from clusterctl.checks.check import unknown
from clusterctl.checks.probe import InContainer, Inspect, KeysAround, OnHost, Ran, Stages, Trouble
from clusterctl.model.errors import ClusterctlError, HostError, TimedOut, Unreachable
from clusterctl.model.finding import Finding, Severity
from clusterctl.model.report import Report
from clusterctl.plan.patience import stretched

if TYPE_CHECKING:
    from clusterctl.checks.check import Check
    from clusterctl.checks.probe import Answer, Probe
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import Door

Doors = Callable[[str], "Door"]

PARALLEL = 16
PAUSES = (0.2, 0.5)
"""Seconds before the second and the third look."""

SETTLES_WITHIN = 6.0
"""Seconds after which nothing is looked at again: what takes so long to fail does not settle by waiting."""

SLACK = 5.0
"""Seconds that starting a command in a container may take besides the command itself."""

GRACE = 8.0
"""Seconds over its own deadline after which a probe is given up; doors end most of them before."""


def perform(lab: Lab, facts: Facts, doors: Doors, parallel: int = PARALLEL, *, disturbing: bool = True) -> Report:
    """Check everything that the lab's playbook expects.

    doors: gives the door of a host by its name. A host that cannot be asked is a finding.
    disturbing: whether to make what some checks make for a moment; without it they are left out.
    """
    started = time.monotonic()
    checks = checks_of(lab, facts)
    wanted = [c for c in checks if disturbing or not c.disturbs]
    findings = look(wanted, doors, parallel)
    title = str(lab.playbook.lesson or lab.playbook.name)
    return Report(lab.name, findings, title, time.monotonic() - started, len(checks) - len(wanted))


def look(checks: Sequence[Check], doors: Doors, parallel: int = PARALLEL) -> tuple[Finding, ...]:
    """Ask the probes of all checks and judge; what does not hold and may settle is looked at again."""
    once = [c for c in checks if c.looks == 1 and not c.disturbs]
    more = [c for c in checks if c.looks > 1 and not c.disturbs]
    found: dict[int, Finding] = {}

    def look_once() -> None:
        answers = ask((p for c in once for p in c.probes), doors, parallel)
        found.update({id(c): c.judge(answers) for c in once})

    # What is looked at once may take long (a name that nobody knows): the others do not wait for it.
    aside = threading.Thread(target=look_once, name="once", daemon=True)
    aside.start()
    found.update(_look_again(more, doors, parallel))
    aside.join()
    broken = sum(not f.holds for f in found.values())
    # What makes something for a moment must not be seen by the others, and nothing is made on what is broken.
    for check in (c for c in checks if c.disturbs):
        if broken and check.probes:
            why = "it was not tried, as it would make something for a moment"
            found[id(check)] = check.finding(unknown(f"{why}, and {broken} of the others do not hold"))
        else:
            found |= _look_again([check], doors, parallel)
    return tuple(found[id(c)] for c in checks)


def _look_again(checks: Sequence[Check], doors: Doors, parallel: int) -> dict[int, Finding]:
    started = time.monotonic()
    found: dict[int, Finding] = {}
    pending = list(checks)
    for nth, pause in enumerate((0.0, *PAUSES), 1):
        time.sleep(pause)
        answers = ask((p for c in pending for p in c.probes), doors, parallel)
        again = []
        for check in pending:
            verdict = check.verdict(answers)
            now, before = check.finding(verdict), found.get(id(check))
            if now.holds and before:  # that it took a while belongs to what was seen
                severity = max(now.severity, check.late, key=lambda s: s.rank)
                now = replace(now, severity=severity, seen=f"{now.seen} (at look {nth}; before: {before.seen})")
            found[id(check)] = now
            if verdict.severity is not Severity.OK and verdict.settles and check.looks > nth:
                again.append(check)
        pending = again
        if not pending or time.monotonic() - started > stretched(SETTLES_WITHIN):
            break
    return found


def ask(probes: Iterable[Probe], doors: Doors, parallel: int = PARALLEL) -> dict[Probe, Answer]:
    """Carry each different probe out once, all side by side. Every probe has an answer, if only a Trouble."""
    jobs: list[_Job] = []
    groups: dict[tuple[str, str], list[InContainer]] = {}
    for probe in dict.fromkeys(probes):
        if isinstance(probe, InContainer):
            groups.setdefault((probe.host, probe.container), []).append(probe)
        else:
            jobs.append(_Job((probe,), doors))
    jobs += [_Job(tuple(group), doors) for group in groups.values()]
    # The long ones first: the captures decide how long the whole takes.
    jobs.sort(key=lambda j: not isinstance(j.probes[0], OnHost))
    _run(jobs, parallel)
    return {probe: answer for job in jobs for probe, answer in job.answers().items()}


@dataclass
class _Job:
    """One probe, or all those of one container, which go over as one command: entering costs most."""

    probes: tuple[Probe, ...]
    doors: Doors
    started: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)
    _given: dict[Probe, Answer] = field(default_factory=dict)
    _given_up: bool = False

    @property
    def within(self) -> float:
        return stretched(max(p.within for p in self.probes) + GRACE)

    def run(self) -> None:
        self.started = time.monotonic()
        try:
            self._given = self._ask()
        finally:
            self.done.set()

    def _ask(self) -> dict[Probe, Answer]:
        try:
            door = self.doors(self.probes[0].host)
            if inside := [p for p in self.probes if isinstance(p, InContainer)]:
                return _bundle(door, inside)
            if isinstance(probe := self.probes[0], KeysAround):
                return {probe: _around(door, self.doors(probe.docker_host), probe)}
            return {p: _one(door, p) for p in self.probes}
        except Exception as error:  # whatever it is, it is evidence that the probe has no answer
            return dict.fromkeys(self.probes, _trouble(error, self.probes[0].host))

    def give_up(self) -> None:
        self._given_up = True

    def answers(self) -> dict[Probe, Answer]:
        if self.done.is_set() and not self._given_up:
            return self._given
        late = f"{self.probes[0].host}: no answer within {self.within:g} s"
        return dict.fromkeys(self.probes, Trouble(late))


def _run(jobs: Sequence[_Job], parallel: int) -> None:
    """Run the jobs on daemon threads, so that one that hangs delays neither the others nor the end."""
    waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work() -> None:
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            job.run()

    def hire() -> None:
        threading.Thread(target=work, name="probe", daemon=True).start()

    for _ in range(min(parallel, len(jobs))):
        hire()
    for job in jobs:
        while not job.done.wait(0.5):
            if job.started and time.monotonic() - job.started > job.within:
                job.give_up()
                hire()  # in place of the thread that hangs
                break


def _one(door: Door, probe: Probe) -> Answer:
    match probe:
        case InContainer():
            argv = ("env", *probe.env, *probe.argv) if probe.env else probe.argv
            return door.docker.exec(probe.container, argv, stretched(probe.within + SLACK))
        case Inspect():
            return door.docker.inspect_network(probe.network)
        case OnHost():
            return door.run(probe.command)
        case KeysAround():
            raise AssertionError("it needs two doors")


def _around(member: Door, docker: Door, probe: KeysAround) -> Stages:
    """Whatever happens, what was done is undone."""
    before = member.etcd.keys(probe.prefix)
    try:
        docker.run(probe.do).expect(probe.do.line())
        between = member.etcd.keys(probe.prefix)
    finally:
        undone = docker.run(probe.undo)
    undone.expect(probe.undo.line())
    return Stages(before, between, member.etcd.keys(probe.prefix))


def _trouble(error: Exception, host: str) -> Trouble:
    if isinstance(error, HostError) and not isinstance(error, Unreachable | TimedOut):
        return Trouble(error.message, error.hint, Severity.FAILED)
    if isinstance(error, ClusterctlError):
        return Trouble(error.message, error.hint)
    return Trouble(f"{host}: {type(error).__name__}: {error}")


# Each probe is a line `one NUMBER SECONDS WORD…`. They run side by side; a section is printed in one
# piece, which stays whole in a pipe as long as it is short. Old images know another `timeout`, or none.
_HEAD = r"""t=; timeout 9 true 2>/dev/null && t=timeout
one() {
  n=$1 w=$2; shift 2; [ -n "$t" ] || w=
  if command -v "$1" >/dev/null 2>&1; then o=$($t $w "$@" 2>&1 </dev/null); c=$?; else o="sh: $1: not found"; c=127; fi
  printf '\001%s %s\n%.900s\n\002\n' "$n" "$c" "$o"
}
"""
_SECTION = re.compile(r"\x01(\d+) (\d+)\n([^\x01\x02]*)\n\x02\n")
_CUT = (124, 143)
"""The exit codes of `timeout` when it ended the command: GNU's, and the signal's that busybox passes on."""


def bundle(probes: Sequence[InContainer]) -> tuple[str, ...]:
    """Return one command that runs all of the probes' commands in their container."""
    lines = "".join(
        f"{_exported(p)}one {i} {stretched(p.within):g} {shlex.join(p.argv)}) &\n" for i, p in enumerate(probes)
    )
    return ("sh", "-c", f"{_HEAD}{lines}wait")


def _exported(probe: InContainer) -> str:
    return "(" + "".join(f"export {shlex.quote(pair)}; " for pair in probe.env)


def unbundle(probes: Sequence[InContainer], output: str) -> dict[Probe, Answer]:
    """Return the answer of each probe that is whole in the output of the bundle."""
    found = {int(n): Ran(int(code), text, int(code) in _CUT) for n, code, text in _SECTION.findall(output)}
    return {p: found[i] for i, p in enumerate(probes) if i in found}


def _bundle(door: Door, probes: Sequence[InContainer]) -> dict[Probe, Answer]:
    # The commands end themselves in there; the whole may take longer than they do, on a host that is busy.
    within = stretched(max(p.within for p in probes) + SLACK)
    done = door.docker.exec(probes[0].container, bundle(probes), within)
    answers = unbundle(probes, done.output)
    for probe in probes:
        if probe not in answers:  # the image has no shell, say: ask it alone
            answers[probe] = _one(door, probe)
    return answers

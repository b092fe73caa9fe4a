"""Hosts are asked side by side, each within its time; nothing that happens there is an exception here."""

from __future__ import annotations

from clusterctl.checks import survey
from clusterctl.checks.survey import look_at_hosts, look_between
from clusterctl.model.errors import HostError
from clusterctl.plan.command import Command
from clusterctl.testing import DONE, Answer, FakeDoor
from example import fresh, lab

GROUND = "feature vxlan loaded\nsource iptables-save\nend\n"


def test_a_host_that_is_not_there_is_not_asked() -> None:
    doors = {h: FakeDoor(h, lambda _: (0, GROUND, "")) for h in ("docker1", "docker2")}
    facts, grounds = look_at_hosts({"docker1": "", "docker2": "gone"}, lambda h: fresh().hosts[h], doors.__getitem__)
    assert (set(facts.hosts), facts.missing) == ({"docker1"}, {"docker2": "gone"})
    assert set(grounds) == {"docker1"}
    assert doors["docker2"].commands == []


def test_a_host_whose_facts_fail_is_missing_with_the_reason(monkeypatch) -> None:
    monkeypatch.setattr(survey, "ANSWERS_WITHIN", 2)

    def read(host: str):
        if host == "docker2":
            raise HostError(host, "sudo refused 'me'")
        return fresh().hosts[host]

    doors = {h: FakeDoor(h, lambda _: (0, GROUND, "")) for h in ("docker1", "docker2")}
    facts, _ = look_at_hosts({"docker1": "", "docker2": ""}, read, doors.__getitem__)
    assert facts.missing == {"docker2": "docker2: sudo refused 'me'"}


class Scripted:
    """Doors whose scripts print all is well at the look `well_at`, and nothing heard before."""

    def __init__(self, well_at: int) -> None:
        self.well_at, self.looks = well_at, {"docker1": 0, "docker2": 0}

    def __call__(self, host: str) -> FakeDoor:
        return FakeDoor(host, lambda command: self.answer(host, command))

    def answer(self, host: str, command: Command) -> Answer:
        words = command.argv[6:]
        calls = [w for w in words if w.count(":") == 3]
        if not calls:
            return (0, "".join(f"bound {w.replace(':', ' ')}\n" for w in words if w[3:4] == ":") + "end\n", "")
        self.looks[host] += 1
        well = self.looks[host] >= self.well_at
        text = "".join(f"call {c} {'ok 1 1500' if well else 'no 9 no answer'}\n" for c in calls)
        return (0, f"{text}end\n", "")


def test_what_holds_is_measured_once() -> None:
    doors = Scripted(well_at=1)
    assert {str(f.severity) for f in look_between(lab(), fresh(), doors)} == {"ok"}
    assert doors.looks == {"docker1": 1, "docker2": 1}


def test_what_does_not_hold_is_measured_twice() -> None:
    doors = Scripted(well_at=2)
    assert {str(f.severity) for f in look_between(lab(), fresh(), doors)} == {"ok"}
    doors = Scripted(well_at=3)
    found = look_between(lab(), fresh(), doors)
    assert {str(f.severity) for f in found if f.check != "mtu"} == {"failed"}
    assert doors.looks == {"docker1": 2, "docker2": 2}


def test_scripts_that_were_cut_short_are_unknown() -> None:
    found = look_between(lab(), fresh(), lambda h: FakeDoor(h, lambda _: DONE))
    assert {str(f.severity) for f in found} == {"unknown"}
    found = look_between(lab(), fresh(), lambda h: FakeDoor(h, lambda _: (69, "", "")))
    assert {f.seen for f in found} == {"docker1 has neither perl nor python3", "docker2 has neither perl nor python3"}

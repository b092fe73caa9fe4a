from __future__ import annotations

import stat
from dataclasses import replace

import pytest
from clusterctl.model.errors import HostError, Refused
from clusterctl.model.facts import StoreFacts
from clusterctl.phases.snapshots import CheckSnapshot, ClearStore, Load, LoadSnapshot, TakeSnapshot
from clusterctl.stores.snapshot import NODES, Manifest, Snapshot, checksum, unpack
from clusterctl.testing import FakeDoor, FakeEtcd
from example import after, changed, decide, finished, fresh, lab, member, titles

NET = "/docker/network/v1.0/network/72f4"
KEYS = {NET: '{"name": "qyt_overlay"}'}
TAKEN = Snapshot(
    Manifest("ut", "3.4.23", "2026-01-01", "docker1", ("docker1",), ("qyt_overlay",), 1, checksum(KEYS)), KEYS
)


def reasons(taken=TAKEN, now=KEYS, facts=None, *, force: bool = False) -> list[str]:
    try:
        decide(CheckSnapshot(taken, now, force=force), lab(), facts or finished())
    except Refused as error:
        return [r.message for r in error.reasons]
    return []


def test_a_snapshot_is_taken_by_a_healthy_member_and_holds_its_keys(tmp_path) -> None:
    file = tmp_path / "s.json"
    (action,) = decide(TakeSnapshot(str(file)), lab(), finished())
    door = FakeDoor(etcd=FakeEtcd(stored={**KEYS, f"{NODES}a": "a"}, listed=(member("docker1"), member("docker2"))))
    assert action.perform(door) == f"{file}: 1 keys"
    found = unpack(file.read_text(), "s")
    assert found.keys == KEYS
    assert found.manifest.members == ("docker1", "docker2")
    assert (found.manifest.lab, found.manifest.etcd, found.manifest.networks) == ("ut", "3.4.23", ("qyt_overlay",))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_none_is_taken_of_a_store_without_a_majority() -> None:
    with pytest.raises(Refused):
        decide(TakeSnapshot("f"), lab(), replace(finished(), store=StoreFacts({"docker1": "no leader"})))


def test_a_snapshot_that_fits_may_be_restored() -> None:
    assert reasons() == []
    assert reasons(now={}) == []
    assert reasons(now=None, facts=fresh()) == []


@pytest.mark.parametrize(
    ("taken", "now", "why"),
    [
        (replace(TAKEN, manifest=replace(TAKEN.manifest, lab="other")), KEYS, "of another lab: other"),
        (replace(TAKEN, manifest=replace(TAKEN.manifest, etcd="3.5.1")), KEYS, "of etcd 3.5.1, and it has 3.4.23"),
        (TAKEN, {**KEYS, f"{NET}9": '{"name": "new"}'}, "has not: network new"),
        (TAKEN, None, "does not answer: it may be newer"),
    ],
)
def test_what_speaks_against_it_is_said_and_can_be_overruled(taken, now, why: str) -> None:
    assert any(why in r for r in reasons(taken, now))
    assert reasons(taken, now, force=True) == []


def test_every_daemon_stops_before_the_first_member_ends() -> None:
    found = decide(ClearStore(), lab(), finished())
    assert [(s.title, s.turn) for s in found] == [("stop Docker", 0)] * 2 + [("end etcd and remove its data", 1)] * 2
    cleared = after(found, finished())
    assert [t for t in titles(decide(ClearStore(), lab(), cleared)) if "stop" not in t] == [
        f"{h}: end etcd and remove its data" for h in cleared.hosts
    ]


def test_keys_are_written_by_one_member_and_compared() -> None:
    (action,) = decide(LoadSnapshot(TAKEN), lab(), finished())
    assert isinstance(action, Load)
    door = FakeDoor(etcd=FakeEtcd())
    assert action.perform(door) == "1 keys"
    assert door.etcd.calls == [f"put {NET}"]
    with pytest.raises(HostError):
        action.perform(FakeDoor(etcd=FakeEtcd(stored={"/other": "1"})))


def test_a_host_without_a_member_has_none_to_end() -> None:
    facts = changed(finished(), "docker2", lambda f: replace(f, units={}, files={}))
    assert titles(decide(ClearStore(), lab(), facts))[-1] == "docker1: end etcd and remove its data"

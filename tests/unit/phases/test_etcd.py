from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from clusterctl.model.facts import Facts, File, Unit
from clusterctl.phases.etcd import EtcdHealthy, RemoveEtcd, StartEtcd
from clusterctl.plan.door import MemberHealth
from clusterctl.stores import etcd
from clusterctl.testing import FakeDoor, FakeEtcd
from example import after, both, changed, decide, finished, finished_authority, fresh, lab, reasons, titles

START = ["write etcd's settings", "write etcd's unit", "start etcd", "wait until etcd is healthy"]


def steps(facts: Facts, wanted=None):
    return decide(StartEtcd(finished_authority), wanted or lab(), facts)


def test_a_fresh_host_gets_its_settings_and_is_waited_for() -> None:
    assert titles(steps(fresh())) == [f"{h}: {t}" for h in ("docker1", "docker2") for t in START]


def test_members_start_together_as_each_counts_as_started_only_with_a_majority() -> None:
    assert [s.title for s in steps(fresh()) if s.together] == ["start etcd", "wait until etcd is healthy"] * 2


def test_a_finished_host_plans_nothing_and_says_why() -> None:
    assert titles(steps(finished())) == []
    assert reasons(steps(finished())) == both("etcd 3.4.23 runs with these settings")


def test_it_comes_out_as_foreseen() -> None:
    assert titles(steps(after(steps(fresh()), fresh()))) == []


def test_an_etcd_that_does_not_run_is_started() -> None:
    for state in ("inactive", "failed", "activating"):
        facts = changed(finished(), "docker1", lambda f, state=state: f.with_unit(etcd.UNIT, Unit(state)))
        assert titles(steps(facts)) == ["docker1: start etcd", "docker1: wait until etcd is healthy"]


def test_settings_that_differ_are_written_and_etcd_is_restarted() -> None:
    facts = changed(finished(), "docker2", lambda f: f.with_file(etcd.CONFIG, File("name: x\n")))
    assert titles(steps(facts)) == [
        "docker2: write etcd's settings",
        "docker2: restart etcd",
        "docker2: wait until etcd is healthy",
    ]


@pytest.mark.parametrize("path", [etcd.UNIT_FILE, etcd.CONFIG, etcd.CA, etcd.MEMBER_CERT])
def test_a_file_that_is_younger_than_the_running_etcd_restarts_it(path: str) -> None:
    def touch(found):
        return found.with_file(path, replace(found.files[path], modified=found.unit(etcd.UNIT).started + 0.01))

    assert titles(steps(changed(finished(), "docker1", touch)))[0] == "docker1: restart etcd"


def test_a_file_that_etcd_does_not_read_restarts_nothing() -> None:
    facts = changed(
        finished(), "docker1", lambda f: f.with_file(etcd.DOCKER_CERT, replace(f.files[etcd.DOCKER_CERT], modified=9e9))
    )
    assert titles(steps(facts)) == []


def test_a_host_without_the_role_gets_no_etcd() -> None:
    wanted = lab(hosts={"docker1": "10.1.90.1", "docker2": {"address": "10.1.90.2", "roles": ["docker"]}})
    assert {s.host for s in steps(fresh(), wanted)} == {"docker1"}


def test_health_needs_both_etcd_s_word_and_the_v2_api() -> None:
    answers = [
        (MemberHealth(healthy=True, v2=True), (True, "healthy, v2 answers")),
        (MemberHealth(healthy=True, v2=False, reason="/v2/keys 404"), (False, "/v2/keys 404")),
        (MemberHealth(healthy=False, v2=True, reason="no leader"), (False, "no leader")),
    ]
    for said, seen in answers:
        assert EtcdHealthy("10.1.90.1").look(FakeDoor(etcd=FakeEtcd(healths=deque([said])))) == seen


def test_health_is_asked_for_as_one_would_with_curl() -> None:
    assert EtcdHealthy("10.1.90.1").shell().splitlines()[1].endswith(" https://10.1.90.1:2379/v2/keys/")


def test_down_removes_etcd_wherever_a_trace_of_it_is() -> None:
    removal = ["stop etcd", "remove etcd's settings, keys and data", "make systemd forget the unit"]
    assert titles(decide(RemoveEtcd(), lab(), finished())) == [
        f"{h}: {t}" for h in ("docker1", "docker2") for t in removal
    ]
    only_keys = changed(fresh(), "docker1", lambda f: f.with_file(etcd.DOCKER_KEY, File("")))
    assert titles(decide(RemoveEtcd(), lab(), only_keys)) == [f"docker1: {t}" for t in removal[1:]]


def test_down_leaves_the_distribution_s_own_etcd_alone() -> None:
    facts = changed(fresh(), "docker1", lambda f: f.with_unit("etcd.service", Unit("active", "enabled", started=1)))
    found = decide(RemoveEtcd(), lab(), facts)
    assert titles(found) == []
    assert reasons(found) == both("no etcd of ours")

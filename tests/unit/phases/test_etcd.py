from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from clusterctl.model.errors import HostError, Refused
from clusterctl.model.facts import Facts, File, Member, StoreFacts, Unit
from clusterctl.phases.etcd import (
    AddMember,
    DefragmentMembers,
    DrainMembers,
    EtcdHealthy,
    JoinMembers,
    RemoveEtcd,
    RemoveMember,
    RemoveOne,
    StartEtcd,
    why_to_stay,
)
from clusterctl.plan.door import MemberHealth
from clusterctl.plan.phase import Noop
from clusterctl.stores import etcd
from clusterctl.testing import FakeDoor, FakeEtcd
from example import (
    after,
    both,
    changed,
    decide,
    finished,
    finished_authority,
    fresh,
    lab,
    member,
    reasons,
    stored,
    titles,
)

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


@pytest.mark.parametrize("path", [etcd.UNIT_FILE, etcd.CONFIG, etcd.CA])
def test_a_file_that_is_younger_than_the_running_etcd_restarts_it(path: str) -> None:
    def touch(found):
        return found.with_file(path, replace(found.files[path], modified=found.unit(etcd.UNIT).started + 0.01))

    assert titles(steps(changed(finished(), "docker1", touch)))[0] == "docker1: restart etcd"


@pytest.mark.parametrize("path", [etcd.DOCKER_CERT, etcd.MEMBER_CERT])
def test_a_file_that_etcd_does_not_read_at_its_start_restarts_nothing(path: str) -> None:
    facts = changed(finished(), "docker1", lambda f: f.with_file(path, replace(f.files[path], modified=9e9)))
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


THREE = {"docker1": "10.1.90.1", "docker2": "10.1.90.2", "docker3": "10.1.90.3"}
JOINS = [
    "docker3: add it to the store's members",
    "docker3: write etcd's settings",
    "docker3: write etcd's unit",
    "docker3: start etcd as a member of the cluster",
    "docker3: wait until etcd is healthy",
]


def bare_host(name: str):
    return replace(fresh().hosts["docker1"], name=name)


def three(*members: str) -> Facts:
    """Return two finished hosts and a third that is bare; the store has these members."""
    facts = finished()
    return replace(facts.with_host(bare_host("docker3")), store=stored(*members))


def join(facts: Facts, hosts=THREE):
    return decide(JoinMembers(finished_authority), lab(hosts=hosts), facts)


def settings(steps, host: str) -> dict:
    text = next(s.content for s in steps if getattr(s, "path", "") == etcd.CONFIG and s.host == host)
    return etcd.read_config(text)


def test_an_inventory_that_grew_restarts_no_member_that_runs() -> None:
    found = steps(three("docker1", "docker2"), lab(hosts=THREE))
    assert titles(found) == []
    assert reasons(found)[2] == "docker3: it is to join the store"


def test_a_new_host_joins_those_that_are_members_at_that_moment() -> None:
    found = join(three("docker1", "docker2"))
    assert titles(found) == JOINS
    assert found[2].door == "docker1", "an existing member is asked"
    written = settings(found, "docker3")
    assert written["initial-cluster-state"] == "existing"
    assert written["initial-cluster"] == ",".join(f"docker{n}=https://10.1.90.{n}:2380" for n in (1, 2, 3))
    assert titles(join(after(found, three("docker1", "docker2")))) == []


def test_hosts_join_one_after_the_other_each_knowing_those_before_it() -> None:
    five = THREE | {"docker4": "10.1.90.4", "docker5": "10.1.90.5"}
    facts = three("docker1", "docker2").with_host(bare_host("docker4")).with_host(bare_host("docker5"))
    found = [s for s in join(facts, five) if not isinstance(s, Noop)]
    assert [{s.turn for s in found if s.host == f"docker{n}"} for n in (3, 4, 5)] == [{1}, {2}, {3}]
    assert [settings(found, f"docker{n}")["initial-cluster"].count("=") for n in (3, 4, 5)] == [3, 4, 5]


def test_one_that_was_added_but_never_started_is_only_started() -> None:
    facts = three("docker1", "docker2")
    listed = (member("docker1"), member("docker2"), Member(3, "", "https://10.1.90.3:2380"))
    facts = replace(facts, store=StoreFacts({"docker1": "", "docker2": ""}, {"docker1": listed, "docker2": listed}))
    assert titles(join(facts)) == JOINS[1:]


def test_one_whose_data_is_gone_is_removed_and_joins_anew() -> None:
    facts = replace(
        three(), store=replace(stored("docker1", "docker2", "docker3"), answers={"docker1": "", "docker2": ""})
    )
    assert titles(steps(facts, lab(hosts=THREE))) == [], "it is not started with its old settings"
    assert titles(join(facts)) == ["docker3: remove member docker3, whose data is gone", *JOINS]


def third_with_data(token: str, *, answers=("docker1", "docker2")) -> Facts:
    facts = three("docker1", "docker2")
    config = f"name: docker3\ninitial-cluster-token: {token}\n"
    host = bare_host("docker3").with_file(etcd.WAL, File("")).with_file(etcd.CONFIG, File(config))
    return replace(facts.with_host(host), store=replace(facts.store, answers=dict.fromkeys(answers, "")))


def test_one_that_was_a_member_once_joins_without_its_old_copy() -> None:
    facts = third_with_data(f"ut-{finished_authority().fingerprint}")
    assert titles(steps(facts, lab(hosts=THREE))) == []
    assert titles(join(facts)) == ["docker3: remove the data of its former membership", *JOINS]


@pytest.mark.parametrize(
    "facts",
    [
        third_with_data("other-0123"),
        third_with_data(f"ut-{finished_authority().fingerprint}", answers=("docker1", "docker2", "docker3")),
    ],
)
def test_the_data_of_another_cluster_is_never_wiped_unasked(facts: Facts) -> None:
    with pytest.raises(Refused) as caught:
        join(facts)
    assert str(caught.value.reasons[0]).startswith("docker3: its etcd belongs to another cluster")


def test_a_member_that_the_inventory_no_longer_has_goes_before_another_comes() -> None:
    well = {"docker1": "", "docker2": ""}
    facts = replace(three(), store=replace(stored("docker1", "docker2", "docker9"), answers=well))
    found = join(facts)
    assert titles(found) == ["docker1: remove member docker9, which the inventory no longer has", *JOINS]
    assert [s.turn for s in found if not isinstance(s, Noop)] == [1, 2, 2, 2, 2, 2]
    assert "docker9" not in settings(found, "docker3")["initial-cluster"]


def test_a_store_without_a_majority_is_changed_by_nobody() -> None:
    facts = replace(three(), store=StoreFacts({"docker1": "no leader"}, {"docker1": ()}))
    with pytest.raises(Refused) as caught:
        join(facts)
    assert "the store has no majority (docker1: no leader)" in str(caught.value)


def test_a_founding_that_was_cut_short_goes_on_with_its_first_settings() -> None:
    facts = after([s for s in steps(fresh()) if s.host == "docker1"], fresh())
    found = steps(facts, lab())
    assert titles(found) == [f"docker2: {t}" for t in START]
    assert settings(found, "docker2") == settings(steps(fresh()), "docker2")


def test_a_host_that_is_not_among_the_founders_joins_later() -> None:
    facts = after([s for s in steps(fresh()) if s.host == "docker1"], fresh()).with_host(bare_host("docker3"))
    found = steps(facts, lab(hosts=THREE))
    assert {s.host for s in found if not isinstance(s, Noop)} == {"docker2"}
    assert settings(found, "docker2")["initial-cluster"].count("=") == 2


def test_members_that_are_well_are_restarted_one_after_the_other() -> None:
    facts = finished()
    for host in facts.hosts:
        facts = changed(facts, host, lambda f: f.with_file(etcd.UNIT_FILE, File("x")))
    assert [(s.host, s.turn) for s in steps(facts) if s.title == "restart etcd"] == [("docker1", 1), ("docker2", 2)]
    ill = replace(facts, store=StoreFacts({"docker1": "no leader"}))
    assert {s.turn for s in steps(ill)} == {0}, "without a majority none can be kept"


def test_members_that_trust_another_ca_are_restarted_together() -> None:
    facts = finished()
    for host in facts.hosts:
        facts = changed(facts, host, lambda f: f.with_file(etcd.CA, replace(f.files[etcd.CA], modified=9e9)))
    assert [(s.host, s.turn) for s in steps(facts) if s.title == "restart etcd"] == [("docker1", 0), ("docker2", 0)]


ROLES = {"docker1": "10.1.90.1", "docker2": {"address": "10.1.90.2", "roles": ["docker"]}}


def test_a_host_that_lost_the_role_leaves_after_docker_was_told() -> None:
    assert titles(join(finished(), ROLES)) == []
    found = decide(DrainMembers(), lab(hosts=ROLES), finished())
    assert titles(found) == [
        "docker2: remove member docker2",
        "docker2: stop etcd",
        "docker2: remove etcd's settings, keys and data",
        "docker2: make systemd forget the unit",
    ]
    left = after(found, finished())
    assert titles(decide(DrainMembers(), lab(hosts=ROLES), left)) == []
    assert left.hosts["docker2"].file(etcd.DOCKER_CERT), "Docker stays on the store"


class Refusing(FakeEtcd):
    def add_member(self, peer: str) -> int:
        self.calls.append(peer)
        if len(self.calls) < 3:
            raise HostError("docker1", "docker1: add the member: etcdserver: unhealthy cluster")
        return 7


def test_etcd_is_asked_until_its_members_have_been_connected_for_long_enough(monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    door = FakeDoor(etcd=Refusing())
    action = AddMember(host="docker3", door="docker1", title="add", peer="https://10.1.90.3:2380")
    assert action.perform(door) == "member 7"
    with pytest.raises(HostError):
        replace(action, within=0).perform(FakeDoor(etcd=Refusing()))


def test_what_is_wrong_for_another_reason_is_said_at_once() -> None:
    class No(FakeEtcd):
        def remove_member(self, id: int) -> None:
            self.calls.append("asked")
            raise HostError("docker1", "connection refused")

    door = FakeDoor(etcd=No())
    with pytest.raises(HostError):
        RemoveMember(host="docker1", title="remove", id=1).perform(door)
    assert door.etcd.calls == ["asked"]


def test_none_is_added_while_a_member_is_not_well() -> None:
    facts = replace(three(), store=replace(stored("docker1", "docker2"), answers={"docker1": ""}))
    with pytest.raises(Refused) as caught:
        join(facts)
    assert "member docker2 is not well" in str(caught.value)


@pytest.mark.parametrize(
    ("listed", "well", "why"),
    [
        (("docker1",), ("docker1",), "it is the last member"),
        (("docker1", "docker2"), ("docker1",), "of the 1 members that remain 0 would be healthy"),
        (("docker1", "docker2"), ("docker1", "docker2"), ""),
        (("docker1", "docker2", "docker3"), ("docker1", "docker2"), "of the 2 members that remain 1 would be healthy"),
        (("docker1", "docker2", "docker3"), ("docker2", "docker3"), ""),
    ],
)
def test_a_member_stays_where_the_others_would_be_no_majority(listed, well, why: str) -> None:
    store = StoreFacts(dict.fromkeys(well, ""), {well[0]: tuple(map(member, listed))})
    said = why_to_stay(lab(hosts=THREE), store, member("docker1"))
    assert why in said
    assert bool(said) == bool(why)


def test_one_member_leaves_by_its_name_with_all_that_is_of_it() -> None:
    found = decide(RemoveOne("docker2"), lab(), finished())
    assert titles(found)[:2] == ["docker2: remove member docker2", "docker2: stop etcd"]
    assert found[0].door == "docker1", "another member is asked"


def test_a_member_that_only_the_store_knows_leaves_by_its_name() -> None:
    facts = replace(finished(), store=replace(stored("docker1", "docker2", "old9"), answers=finished().store.answers))
    found = decide(RemoveOne("old9"), lab(), facts)
    assert titles(found) == ["docker1: remove member old9"]


def test_one_that_is_no_member_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refused) as caught:
        decide(RemoveOne("docker7"), lab(), finished())
    assert str(caught.value) == "docker7: the store has no such member; its members: docker1, docker2"


def test_a_host_that_joins_by_itself_leaves_the_others_alone() -> None:
    facts = replace(three(), store=stored("docker1", "docker2", "docker9"))
    found = decide(JoinMembers(finished_authority, only="docker3"), lab(hosts=THREE), facts)
    assert titles(found) == JOINS


def test_members_are_defragmented_one_after_the_other_and_only_while_all_are_well() -> None:
    found = decide(DefragmentMembers(), lab(), finished())
    assert [(s.host, s.turn) for s in found] == [("docker1", 0), ("docker1", 0), ("docker2", 1), ("docker2", 1)]
    with pytest.raises(Refused) as caught:
        ill = replace(finished(), store=replace(stored("docker1", "docker2"), answers={"docker1": "", "docker2": "x"}))
        decide(DefragmentMembers(), lab(), ill)
    assert [r.host for r in caught.value.reasons] == ["docker2"]

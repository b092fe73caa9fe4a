from __future__ import annotations

import json
from dataclasses import replace

import pytest
from clusterctl.model.errors import ClusterctlError
from clusterctl.model.facts import DockerFacts, Facts, File, Unit
from clusterctl.phases.docker import (
    JoinStore,
    LeaveStore,
    LoseNetworks,
    PeersListed,
    RetrieveThreads,
    SeePeers,
    StoreJoined,
)
from clusterctl.plan import files
from clusterctl.plan.phase import Section
from clusterctl.stores import etcd
from clusterctl.testing import FakeDocker, FakeDoor, FakeEtcd
from example import (
    NETWORK,
    STORE,
    after,
    both,
    changed,
    decide,
    finished,
    fresh,
    lab,
    reasons,
    stored,
    titles,
    with_docker,
)

JOIN = [
    "record how Docker was run",
    "merge the store into daemon.json",
    "start Docker after etcd at boot",
    "start Docker on the cluster store",
    "wait until Docker reports the store",
]


def steps(facts: Facts, wanted=None):
    return decide(JoinStore(), wanted or lab(), facts)


def of1(facts: Facts) -> list[str]:
    """Return what is done on docker1, and see that nothing is done elsewhere."""
    found = titles(steps(facts))
    assert all(t.startswith("docker1") for t in found)
    return [t.removeprefix("docker1: ") for t in found]


def wrote(facts: Facts, path: str = etcd.DAEMON_JSON, host: str = "docker1"):
    return next(s for s in steps(facts) if s.host == host and getattr(s, "path", "") == path)


def with_json(facts: Facts, text: str, **file: object) -> Facts:
    return changed(facts, "docker1", lambda f: f.with_file(etcd.DAEMON_JSON, File(text, **file)))


def test_a_fresh_host_records_writes_starts_and_waits() -> None:
    assert titles(steps(fresh())) == [f"{h}: {t}" for h in ("docker1", "docker2") for t in JOIN]


def test_how_docker_was_run_is_recorded_in_systemd_s_words() -> None:
    assert steps(fresh())[0].command == files.record("docker.service", "inactive disabled")


def test_a_finished_host_plans_nothing_and_says_why() -> None:
    assert titles(steps(finished())) == []
    assert reasons(steps(finished())) == both(f"Docker 20.10.24 is on {STORE}")


def test_it_comes_out_as_foreseen() -> None:
    assert titles(steps(after(steps(fresh()), fresh()))) == []


def test_the_user_s_own_settings_stay_in_their_order_with_mode_and_owner() -> None:
    write = wrote(with_json(fresh(), '{"mtu": 1400, "live-restore": false}', mode=0o640, owner="root:docker"))
    assert list(json.loads(write.content))[:2] == ["mtu", "live-restore"]
    assert json.loads(write.content)["cluster-store"] == STORE
    assert (write.mode, write.owner, write.record) == (0o640, "root:docker", True)


def test_the_store_is_reached_with_tls_on_every_member_and_announced_by_address() -> None:
    assert json.loads(wrote(fresh(), host="docker2").content) == {
        "cluster-store": STORE,
        "cluster-advertise": "10.1.90.2:2375",
        "cluster-store-opts": {
            "kv.cacertfile": etcd.CA,
            "kv.certfile": etcd.DOCKER_CERT,
            "kv.keyfile": etcd.DOCKER_KEY,
        },
    }


def test_a_docker_that_runs_is_stopped_before_it_is_started_on_the_store() -> None:
    assert of1_running() == [*JOIN[:3], "stop Docker", *JOIN[3:]]


def of1_running() -> list[str]:
    found = titles(steps(with_docker(fresh(), "docker1")))
    return [t.removeprefix("docker1: ") for t in found if t.startswith("docker1")]


def test_a_half_done_host_only_gets_what_is_missing() -> None:
    facts = changed(finished(), "docker1", lambda f: f.with_file(etcd.DROP_IN, None))
    assert of1(facts) == ["start Docker after etcd at boot", "make systemd read the drop-in"]


def test_the_first_record_of_how_docker_was_run_stays() -> None:
    facts = with_json(finished(), "{}")
    assert "record how Docker was run" not in of1(facts)


def test_a_daemon_that_does_not_run_is_started() -> None:
    facts = changed(
        finished(), "docker1", lambda f: replace(f.with_unit("docker.service", Unit("failed")), docker=None)
    )
    assert of1(facts) == JOIN[3:]


def test_a_daemon_that_runs_with_older_settings_is_restarted() -> None:
    assert of1(with_docker(finished(), "docker1", store="")) == ["stop Docker", *JOIN[3:]]
    assert of1(with_docker(finished(), "docker1", advertise="10.0.2.15:2375")) == ["stop Docker", *JOIN[3:]]


def touched(path: str, *hosts: str) -> Facts:
    """Return a finished lab on whose hosts a file is younger than the daemon."""

    def touch(found):
        younger = found.unit("docker.service").started + 0.01
        return found.with_file(path, replace(found.files[path], modified=younger))

    facts = finished()
    for host in hosts:
        facts = changed(facts, host, touch)
    return facts


@pytest.mark.parametrize("path", [etcd.CA, etcd.DOCKER_CERT])
def test_certificates_that_are_younger_than_the_running_daemon_restart_it_under_its_containers(path: str) -> None:
    under = "restart Docker under its running containers"
    assert of1(touched(path, "docker1")) == [under, JOIN[4]]
    restart = next(s for s in steps(touched(path, "docker1")) if s.title == under)
    settings = json.loads(restart.command.input)
    assert settings.pop("live-restore") is True
    assert settings == json.loads(finished().hosts["docker1"].content(etcd.DAEMON_JSON)) != {}


def test_settings_of_the_user_s_own_start_daemon_and_containers_anew() -> None:
    assert of1(touched(etcd.DAEMON_JSON, "docker1")) == ["stop Docker", *JOIN[3:], "start again what ran"]
    again = next(s for s in steps(touched(etcd.DAEMON_JSON, "docker1")) if s.title == "start again what ran")
    assert again.shell() == "docker start qyt1"


def test_daemons_that_serve_are_restarted_one_after_the_other_and_new_ones_together() -> None:
    found = steps(touched(etcd.DOCKER_CERT, "docker1", "docker2"))
    assert [(s.host, s.turn) for s in found if "restart" in s.title] == [("docker1", 1), ("docker2", 2)]
    assert {s.turn for s in steps(fresh())} == {0}


ONE_MEMBER = {"docker1": "10.1.90.1", "docker2": {"address": "10.1.90.2", "roles": ["docker"]}}


def test_a_host_without_etcd_gets_no_drop_in() -> None:
    found = [s for s in steps(fresh(), lab(hosts=ONE_MEMBER)) if s.host == "docker2"]
    assert JOIN[2] not in [s.title for s in found]


def test_a_settings_file_that_is_no_json_is_never_overwritten() -> None:
    with pytest.raises(ClusterctlError, match=r"docker1: /etc/docker/daemon\.json is not JSON"):
        steps(with_json(fresh(), "{"))


def test_joined_means_the_store_and_the_address_that_were_wanted() -> None:
    condition = StoreJoined(STORE, "10.1.90.1:2375")
    for store, advertise, holds in ((STORE, "10.1.90.1:2375", True), (STORE, "10.0.2.15:2375", False), ("", "", False)):
        door = FakeDoor(docker=FakeDocker(state=DockerFacts("20.10", store, advertise)))
        assert condition.look(door)[0] is holds
    assert condition.look(door)[1] == "store none, advertised as nothing"


def test_peers_are_listed_when_every_one_is() -> None:
    condition = PeersListed(("10.1.90.1:2375", "10.1.90.2:2375"), "10.1.90.1")
    stored = {"/docker/nodes/10.1.90.1:2375": ""}
    assert condition.look(FakeDoor(etcd=FakeEtcd(stored=stored))) == (False, "listed: 10.1.90.1:2375")
    stored["/docker/nodes/10.1.90.2:2375"] = ""
    assert condition.look(FakeDoor(etcd=FakeEtcd(stored=stored)))[0]


def peers(facts: Facts, hosts=None):
    return decide(SeePeers(), lab(**({"hosts": hosts} if hosts else {})), facts)


def test_daemons_that_the_store_lists_are_not_waited_for() -> None:
    assert titles(peers(finished())) == []
    assert reasons(peers(finished())) == both("the store lists 10.1.90.1:2375, 10.1.90.2:2375")


@pytest.mark.parametrize("store", [None, stored("docker1")])
def test_every_host_waits_while_a_daemon_is_missing_or_nothing_is_known(store) -> None:
    found = peers(replace(finished(), store=store))
    assert titles(found) == both("wait until the store lists every daemon")
    assert {s.condition.advertised for s in found} == {("10.1.90.1:2375", "10.1.90.2:2375")}
    assert {s.alters for s in found} == {frozenset({Section.STORE})}


def test_a_host_without_etcd_asks_a_member_for_its_peers() -> None:
    found = peers(fresh(), ONE_MEMBER)
    assert [(s.host, s.at, s.condition.address) for s in found] == [
        ("docker1", "docker1", "10.1.90.1"),
        ("docker2", "docker1", "10.1.90.1"),
    ]


def down(facts: Facts):
    return [s for s in decide(LeaveStore(), lab(), facts) if s.host == "docker1"]


def test_down_puts_docker_back_to_what_the_records_say() -> None:
    assert [s.title for s in down(finished())] == [
        "put daemon.json back",
        "remove Docker's drop-in",
        "stop Docker, as it was",
    ]


def test_down_restarts_a_docker_that_ran_before() -> None:
    facts = changed(
        finished(), "docker1", lambda f: replace(f, records={**f.records, "docker.service": "active enabled"})
    )
    assert down(facts)[-1].title == "restart Docker without a store"
    stopped = changed(facts, "docker1", lambda f: replace(f.with_unit("docker.service", Unit("failed")), docker=None))
    assert down(stopped)[-1].title == "restart Docker without a store"


def test_down_starts_no_docker_that_did_not_run() -> None:
    facts = changed(
        finished(), "docker1", lambda f: replace(f.with_unit("docker.service", Unit("inactive")), docker=None)
    )
    assert [s.title for s in down(facts)][-1] == "make systemd forget the drop-in"


def test_down_keeps_what_the_user_changed_meanwhile() -> None:
    theirs = json.loads(finished().hosts["docker1"].content(etcd.DAEMON_JSON)) | {"mtu": 1400}
    (write, *_) = down(with_json(finished(), json.dumps(theirs)))
    assert (write.title, json.loads(write.content)) == ("take the store out of daemon.json", {"mtu": 1400})


def test_down_puts_back_what_was_there_where_the_file_was_broken_meanwhile() -> None:
    assert down(with_json(finished(), "{ not JSON"))[0].title == "put daemon.json back"


def test_down_leaves_a_store_alone_that_has_no_record() -> None:
    facts = changed(finished(), "docker1", lambda f: replace(f.with_file(etcd.DROP_IN, None), records={}))
    assert [s.reason for s in down(facts)] == ["Docker was not changed"]
    by_flag = changed(facts, "docker1", lambda f: f.with_file(etcd.DAEMON_JSON, None))
    assert [s.reason for s in down(by_flag)] == ["Docker was not changed"]


def test_a_down_that_ended_before_the_restart_is_completed_by_the_next() -> None:
    def put_back(found):
        found = found.with_file(etcd.DAEMON_JSON, None).with_file(etcd.DROP_IN, None)
        return replace(found, records={"docker.service": "active enabled"})

    assert [s.title for s in down(changed(finished(), "docker1", put_back))] == ["restart Docker without a store"]


def test_down_leaves_a_host_alone_that_was_not_changed() -> None:
    found = decide(LeaveStore(), lab(), fresh())
    assert titles(found) == []
    assert reasons(found) == both("Docker was not changed")


THIRD = {"docker1": "10.1.90.1", "docker2": "10.1.90.2", "docker3": "10.1.90.3"}


def grown() -> Facts:
    facts = finished()
    return facts.with_host(replace(facts.hosts["docker2"], name="docker3", docker=None, units={}, files={}))


def test_a_store_that_grew_is_written_down_and_restarts_no_daemon_that_runs() -> None:
    steps = decide(JoinStore(), lab(hosts=THIRD), grown())
    write = "write the store's members into daemon.json, for Docker's next start"
    for host in ("docker1", "docker2"):
        assert [s.title for s in steps if s.host == host] == [
            write,
            "leave its date: Docker need not start anew for it",
        ]
    assert "start Docker on the cluster store" in [s.title for s in steps if s.host == "docker3"]
    again = decide(JoinStore(), lab(hosts=THIRD), after(steps, grown()))
    assert titles(again) == []
    assert "finds the members itself" in reasons(again)[0]
    shrunk = decide(JoinStore(), lab(), after(steps, grown()))
    assert not any("stop Docker" in t for t in titles(shrunk))
    assert titles(decide(JoinStore(), lab(), after(shrunk, after(steps, grown())))) == []


def test_a_member_that_leaves_restarts_no_daemon_that_knows_another() -> None:
    facts = finished()
    for host in ("docker1", "docker2"):
        facts = with_docker(facts, host, store=f"{STORE},10.1.90.3:2379")
    assert titles(decide(JoinStore(), lab(), facts)) == []


def test_a_daemon_none_of_whose_members_is_left_is_restarted() -> None:
    facts = with_docker(finished(), "docker1", store="etcd://10.1.90.8:2379,10.1.90.9:2379")
    assert "docker1: start Docker on the cluster store" in titles(decide(JoinStore(), lab(), facts))


def test_settings_that_are_younger_than_a_daemon_on_the_same_members_restart_it() -> None:
    def touch(found):
        return found.with_file(etcd.DAEMON_JSON, replace(found.files[etcd.DAEMON_JSON], modified=9e9))

    assert "docker1: stop Docker" in titles(decide(JoinStore(), lab(), changed(finished(), "docker1", touch)))


def test_a_host_that_loses_etcd_starts_docker_without_it_at_boot() -> None:
    roles = {"docker1": "10.1.90.1", "docker2": {"address": "10.1.90.2", "roles": ["docker"]}}
    steps = decide(JoinStore(), lab(hosts=roles), finished())
    assert "docker2: start Docker without etcd at boot" in titles(steps)
    assert not any("stop Docker" in t for t in titles(steps))


def test_containers_that_docker_would_not_find_again_are_started_anew() -> None:
    """After ten namespaces of an overlay Docker looks for the wrong name."""
    aged = changed(touched(etcd.CA, "docker1"), "docker1", lambda f: replace(f, aged=True))
    assert of1(aged) == ["stop Docker", *JOIN[3:], "start again what ran"]
    assert of1(after(steps(aged), aged)) == []


def without_network(facts: Facts, *hosts: str) -> Facts:
    for host in hosts:
        daemon = facts.hosts[host].docker
        facts = with_docker(facts, host, networks={n: f for n, f in daemon.networks.items() if n != NETWORK})
    return facts


def test_a_network_that_the_store_has_lost_goes_with_its_containers_and_docker_s_memory_of_it() -> None:
    facts = without_network(finished(), "docker1", "docker2")
    found = decide(LoseNetworks(), lab(), facts)
    assert titles(found) == [
        f"{host}: {title}"
        for host, name in (("docker1", "qyt1"), ("docker2", "qyt2"))
        for title in (
            f"remove container {name}, whose network the store has lost",
            "restart Docker under its running containers",
            "wait until Docker reports the store",
        )
    ]
    assert titles(decide(LoseNetworks(), lab(), after(found, facts))) == []


@pytest.mark.parametrize(
    "store",
    [
        None,
        replace(stored("docker1", "docker2"), answers=dict.fromkeys(("docker1", "docker2"), "it has no leader")),
        replace(stored("docker1", "docker2"), networks=frozenset({NETWORK})),
    ],
)
def test_a_daemon_that_shows_no_network_has_not_lost_it_while_the_store_is_silent_or_has_it(store) -> None:
    facts = replace(without_network(finished(), "docker1"), store=store)
    assert titles(decide(LoseNetworks(), lab(), facts)) == []


def test_a_network_that_is_there_is_not_lost_nor_one_of_somebody_else() -> None:
    assert titles(decide(LoseNetworks(), lab(), finished())) == []
    facts = without_network(finished(), "docker1")
    qyt1 = facts.docker("docker1").containers["qyt1"]
    theirs = {"qyt1": replace(qyt1, labels={})}
    assert titles(decide(LoseNetworks(), lab(), with_docker(facts, "docker1", containers=theirs))) == []


def test_a_daemon_of_which_threads_are_lost_is_restarted_under_its_containers() -> None:
    facts = changed(finished(), "docker1", lambda f: replace(f, astray=1))
    steps = decide(RetrieveThreads(), lab(), facts)
    assert titles(steps) == [
        "docker1: restart Docker under its running containers",
        "docker1: wait until Docker reports the store",
    ]
    assert titles(decide(RetrieveThreads(), lab(), after(steps, facts))) == []


def test_a_daemon_whose_gossip_has_ended_is_restarted_under_its_containers() -> None:
    """Serf ends for good where two hosts had one name for a while."""

    def silence(found):
        return replace(found, listeners=tuple(x for x in found.listeners if x.port != etcd.GOSSIP_PORT))

    facts = changed(finished(), "docker1", silence)
    assert of1(facts) == ["restart Docker under its running containers", JOIN[4]]
    assert of1(after(steps(facts), facts)) == []
    unread = changed(finished(), "docker1", lambda f: replace(f, listeners=()))
    assert of1(unread) == [], "what could not be read is no reason"

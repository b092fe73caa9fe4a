from __future__ import annotations

import json
from dataclasses import replace

import pytest
from clusterctl.model.facts import Facts
from clusterctl.plan.door import MemberStatus
from clusterctl.report.status import Status, build
from clusterctl.stores.etcd import quorum_in_words
from example import NETWORK, changed, finished, lab, with_docker

NODES = frozenset({"10.1.90.1:2375", "10.1.90.2:2375"})
FIRST = MemberStatus("docker1", 1, 1, "3.4.23", 20480, 42, 0.0012, ("docker1", "docker2"))
MEMBERS = {"docker1": FIRST, "docker2": replace(FIRST, name="docker2", id=2)}


def status(facts: Facts | None = None, members=MEMBERS, nodes: frozenset[str] = NODES) -> Status:
    return build(lab(), facts or finished(), members, nodes)


@pytest.mark.parametrize(
    ("members", "healthy", "words"),
    [
        (0, 0, "no etcd member is in the inventory"),
        (1, 1, "1 member, 1 healthy: losing one stops the store"),
        (1, 0, "1 member, 0 healthy: quorum is lost (1 needed), the store does not answer"),
        (2, 2, "2 members, 2 healthy: losing one stops the store"),
        (2, 1, "2 members, 1 healthy: quorum is lost (2 needed), the store does not answer"),
        (3, 3, "3 members, 3 healthy: 1 may fail"),
        (3, 2, "3 members, 2 healthy: losing one stops the store"),
        (3, 1, "3 members, 1 healthy: quorum is lost (2 needed), the store does not answer"),
        (4, 4, "4 members, 4 healthy: 1 may fail"),
        (4, 3, "4 members, 3 healthy: losing one stops the store"),
        (4, 2, "4 members, 2 healthy: quorum is lost (3 needed), the store does not answer"),
        (5, 5, "5 members, 5 healthy: 2 may fail"),
        (5, 3, "5 members, 3 healthy: losing one stops the store"),
        (5, 2, "5 members, 2 healthy: quorum is lost (3 needed), the store does not answer"),
    ],
)
def test_what_a_cluster_survives_is_said_in_words(members: int, healthy: int, words: str) -> None:
    assert quorum_in_words(members, healthy) == words


def test_a_finished_lab_has_no_problem() -> None:
    found = status()
    assert found.problems == ()
    assert found.quorum == "2 members, 2 healthy: losing one stops the store"
    assert [m.leader for m in found.etcd] == [True, False]
    assert [d.peers for d in found.docker] == [("docker2",), ("docker1",)]
    assert all(d.on_store for d in found.docker)
    assert found.containers[0].addresses == {NETWORK: "10.10.10.2"}


def test_the_document_is_json_and_says_whether_the_lab_is_healthy() -> None:
    document = json.loads(json.dumps(status().document()))
    assert document["healthy"] is True
    assert document["problems"] == []
    assert document["etcd"][0]["latency_ms"] == 1.2
    assert json.loads(json.dumps(status(members={}).document()))["healthy"] is False


def test_a_host_that_did_not_answer_is_a_problem_of_every_layer_on_it() -> None:
    facts = Facts(hosts={"docker1": finished().hosts["docker1"]}, missing={"docker2": "docker2: no SSH connection"})
    found = status(facts, {"docker1": FIRST, "docker2": "docker2: no SSH connection"})
    assert found.problems == (
        "docker2: no SSH connection",
        "docker2: no SSH connection",
        "docker2: Docker does not run",
        f"{NETWORK}: it is not on docker2",
        "qyt2: it is unknown on docker2",
    )
    assert found.quorum.endswith("the store does not answer")


def one(facts: Facts | None = None, **more) -> str:
    (found,) = status(facts, **more).problems
    return found


def test_each_problem_is_said_in_words() -> None:
    lost = replace(FIRST, leader=0)
    assert one(members={**MEMBERS, "docker2": lost}) == "docker2: it has no leader"
    assert (
        one(changed(finished(), "docker1", lambda f: replace(f, hostname="debian")))
        == "docker1: its hostname is debian"
    )
    assert one(with_docker(finished(), "docker1", store="")) == "docker1: Docker is not on a cluster store"
    other = with_docker(finished(), "docker1", store="etcd://192.0.2.1:2379")
    assert one(other) == "docker1: Docker is on another store: etcd://192.0.2.1:2379"
    assert one(nodes=frozenset({"10.1.90.1:2375"})) == "docker1: the store does not list docker2"
    networks = {k: v for k, v in finished().hosts["docker1"].docker.networks.items() if k != NETWORK}
    assert one(with_docker(finished(), "docker1", networks=networks)) == f"{NETWORK}: it is not on docker1"
    assert one(with_docker(finished(), "docker1", containers={})) == "qyt1: it is missing on docker1"
    exited = replace(finished().hosts["docker1"].docker.containers["qyt1"], state="exited")
    assert one(with_docker(finished(), "docker1", containers={"qyt1": exited})) == "qyt1: it is exited on docker1"


def test_a_stranger_s_container_of_that_name_does_not_count() -> None:
    strange = replace(finished().hosts["docker1"].docker.containers["qyt1"], labels={})
    assert one(with_docker(finished(), "docker1", containers={"qyt1": strange})) == "qyt1: it is missing on docker1"

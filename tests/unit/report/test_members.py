from __future__ import annotations

import json

import pytest
from clusterctl.model.facts import Member
from clusterctl.plan.door import MemberStatus
from clusterctl.report.members import Members, build
from example import lab

ONE = Member(1, "docker1", "https://10.1.90.1:2380", "https://10.1.90.1:2379")
TWO = Member(0xAB, "docker2", "https://10.1.90.2:2380", "https://10.1.90.2:2379")


def status(id: int, leader: int = 1) -> MemberStatus:
    return MemberStatus(f"docker{id}", id, leader, "3.4.23", 20480, 42, 0.001, ("docker1", "docker2"))


WELL = {"docker1": status(1), "docker2": status(0xAB)}


def found(listed=(ONE, TWO), answers=WELL) -> Members:
    return build(lab(), listed, answers)


def test_a_whole_cluster_has_no_problem_and_one_leader() -> None:
    assert found().problems == ()
    assert [(r.host, r.id, r.leader, r.started) for r in found().members] == [
        ("docker1", "1", True, True),
        ("docker2", "ab", False, True),
    ]
    assert found().quorum == "2 members, 2 healthy: losing one stops the store"


@pytest.mark.parametrize(
    ("listed", "answers", "problems"),
    [
        ((ONE,), {**WELL, "docker2": "docker2: refused"}, ("docker2: the store has no such member",)),
        ((ONE,), WELL, ("docker2: the store has no such member",)),
        (
            (ONE, TWO, Member(3, "old", "https://10.1.90.9:2380")),
            WELL,
            ("old: the store has it, the inventory does not",),
        ),
        (
            (ONE, TWO, Member(3, "", "https://10.1.90.9:2380")),
            WELL,
            ("https://10.1.90.9:2380: the store has it, the inventory does not",),
        ),
        ((ONE, TWO), {**WELL, "docker2": "docker2: connection refused"}, ("docker2: connection refused",)),
        ((ONE, TWO), {"docker1": status(1, 0)}, ("docker1: it has no leader", "docker2: not asked")),
        (None, {"docker1": "gone", "docker2": "docker2: gone"}, ("docker1: gone", "docker2: gone")),
    ],
)
def test_what_the_store_and_the_inventory_do_not_share_is_a_problem(listed, answers, problems) -> None:
    assert found(listed, answers).problems == problems


def test_a_member_that_nobody_asked_counts_for_the_majority_all_the_same() -> None:
    listed = (ONE, TWO, Member(3, "old", "https://10.1.90.9:2380"), Member(4, "", "https://10.1.90.8:2380"))
    assert found(listed).quorum == "4 members, 2 healthy: quorum is lost (3 needed), the store does not answer"


def test_the_document_is_json() -> None:
    document = json.loads(json.dumps(found().document()))
    assert document["members"][0]["peer"] == ONE.peer
    assert document["problems"] == []

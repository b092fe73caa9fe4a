"""The rows of a status: what was read, beside what was judged of it; what is not known is never fine."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from clusterctl.checks.layers import judge
from clusterctl.checks.layers.survey import Survey
from clusterctl.model.facts import Facts
from clusterctl.report import prometheus
from clusterctl.report.status import ReachRow, Status, build
from example import NETWORK
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parents[1] / "checks"))
import layered_lab as made

REACHED = [
    ReachRow("ok", "", "qyt1", "qyt2", NETWORK, 3, 3, 0.2),
    ReachRow("failed", "lost", "qyt2", "qyt1", NETWORK, 3, 1, 0.4),
]


def status(survey: Survey | None = None, reached: list[ReachRow] | None = None) -> Status:
    survey = survey or made.healthy()
    return build(made.LAB, survey, [j.finding for j in judge(made.LAB, survey)], reached, 0.5)


def states(found: Status) -> dict[str, list[str]]:
    return {str(layer): [r.state for r in rows] for layer, rows in found.layers().items() if rows is not None}


def without_docker2() -> Survey:
    """Return the survey where docker2 hangs."""
    healthy = made.healthy()
    late = "no answer within 8 s"
    return replace(
        healthy,
        facts=Facts({"docker1": healthy.facts.hosts["docker1"]}, {"docker2": late}),
        anatomies={"docker1": healthy.anatomies["docker1"], "docker2": late},
        members={"docker1": made.status(1, leader=0), "docker2": late},
        keys="no member of the store could be asked",
        between=None,
    )


def test_a_healthy_lab_is_ok_in_every_row() -> None:
    found = status()
    assert {s for row in states(found).values() for s in row} == {"ok"}
    assert (found.problems, found.holds(strict=True), str(found.worst)) == ((), True, "ok")
    assert found.quorum == "2 members, 2 healthy: losing one stops the store"
    assert found.spare == 0


def test_the_rows_tell_what_was_read() -> None:
    found = status()
    assert [(m.leader, m.raft_lag, m.alarms) for m in found.etcd] == [(True, 1, ()), (False, 0, ())]
    assert [d.peers for d in found.docker] == [("docker2",), ("docker1",)]
    (network,) = found.networks
    assert (network.on, network.missing_on, network.in_store, network.endpoints) == (
        ("docker1", "docker2"),
        (),
        True,
        2,
    )
    assert [(f.host, f.vni, f.entries, f.lacking) for f in found.forwarding] == [
        ("docker1", 256, 1, ()),
        ("docker2", 256, 1, ()),
    ]
    assert found.containers[0].addresses == {NETWORK: "10.10.10.2"}


def test_the_vni_and_the_keys_are_the_store_s_word() -> None:
    key = f"{made.BASE}/overlay/network/net-id-0"
    (network,) = status(replace(made.healthy(), keys={**made.keys(), key: '{"subnets": [{"Vni": 256}]}'})).networks
    assert network.vni == 256
    lost = {k: v for k, v in made.keys().items() if k != key}
    (network,) = status(replace(made.healthy(), keys=lost)).networks
    assert (network.in_store, network.state) == (False, "failed")


def test_a_host_that_hangs_is_unknown_in_every_layer_and_the_other_is_told_of() -> None:
    found = status(without_docker2())
    assert states(found) == {
        "host": ["ok", "unknown"],
        "etcd": ["failed", "unknown"],
        "dockerd": ["ok", "unknown"],
        "network": ["unknown"],
        "forwarding": ["ok"],
        "containers": ["ok", "unknown"],
    }
    assert found.docker[1].running is None
    assert not found.holds()
    assert found.underlay is None


def test_an_entry_that_is_missing_shows_on_the_host_that_lacks_it() -> None:
    found = status(made.with_space(made.healthy(), "docker1", made.OVERLAY, forwards=()))
    assert [(f.state, f.entries, f.lacking) for f in found.forwarding] == [("failed", 0, ("qyt2",)), ("ok", 1, ())]
    assert "the FDB of the overlay" in found.problems[0]


def test_a_stopped_container_is_failed_with_its_sentence() -> None:
    survey = made.healthy()
    daemon = survey.facts.hosts["docker1"].docker
    stopped = {"qyt1": replace(daemon.containers["qyt1"], state="exited")}
    found = status(made.with_docker(survey, "docker1", containers=stopped))
    assert (found.containers[0].state, found.containers[0].is_) == ("failed", "exited")
    assert any("qyt1 on docker1 is stopped" in p for p in found.problems)


def test_a_warning_holds_unless_it_is_strict() -> None:
    survey = made.healthy()
    slow = replace(survey, members={**survey.members, "docker2": made.status(2, latency=1.5)})
    found = status(slow)
    assert (found.etcd[1].state, found.holds(), found.holds(strict=True)) == ("warning", True, False)


def test_the_document_is_json_and_says_whether_the_lab_is_healthy() -> None:
    document = json.loads(json.dumps(status(reached=REACHED[:1]).document()))
    assert (document["healthy"], document["worst"], document["problems"]) == (True, "ok", [])
    assert document["etcd"][0]["latency_ms"] == 4.0
    assert document["containers"][0]["container_state"] == "running"
    assert document["reachability"][0]["latency_ms"] == 0.2
    assert json.loads(json.dumps(status(without_docker2()).document()))["healthy"] is False


def samples(found: Status) -> dict[str, dict[tuple[str, ...], float]]:
    """Read the file as Prometheus does: samples by metric, by the values of their labels but the lab's."""
    out: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(prometheus.text(found)):
        for s in family.samples:
            assert s.labels.pop("lab") == "ut"
            out.setdefault(s.name, {})[tuple(s.labels[k] for k in sorted(s.labels))] = s.value
    return out


def test_prometheus_reads_the_same() -> None:
    found = samples(status(reached=REACHED))
    assert found["clusterctl_status_worst"] == {(): 3.0}
    assert found["clusterctl_host_up"] == {("docker1",): 1, ("docker2",): 1}
    assert found["clusterctl_etcd_raft_lag"] == {("docker1",): 1, ("docker2",): 0}
    assert found["clusterctl_rows"][("containers", "ok")] == 2
    assert found["clusterctl_ping_lost_ratio"][(NETWORK, "qyt2", "qyt1")] == pytest.approx(2 / 3)
    assert found["clusterctl_ping_seconds"][(NETWORK, "qyt1", "qyt2")] == pytest.approx(0.0002)


def test_what_is_not_known_has_no_sample() -> None:
    found = samples(status(without_docker2()))
    assert found["clusterctl_host_up"] == {("docker1",): 1, ("docker2",): 0}
    assert found["clusterctl_docker_up"] == {("docker1",): 1}
    assert found["clusterctl_container_running"] == {("qyt1", "docker1"): 1}
    assert found["clusterctl_etcd_raft_index"].keys() == {("docker1",)}
    assert "clusterctl_ping_seconds" not in found

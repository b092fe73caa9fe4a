"""What is said of a host by its facts; what `up` refuses for is tested beside the preflight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.checks import hosts
from clusterctl.checks.hosts import clock, kernel, ports
from clusterctl.commands.ground import Ground
from clusterctl.commands.kernel import Feature
from clusterctl.model.facts import Facts, Listener
from clusterctl.phases.preflight import readiness
from example import changed, finished, fresh, lab

ALL = dict.fromkeys(("vxlan", "bridge", "veth", "overlay", "br_netfilter"), Feature.LOADED)
GROUND = Ground(ALL, source="iptables-save")


def off(facts: Facts, ground: Ground | str = GROUND) -> dict[tuple[str, str], str]:
    """Return what is not ok."""
    grounds = dict.fromkeys(facts.hosts, ground)
    return {(f.check, f.subject): str(f.severity) for f in readiness(lab(), facts, grounds) if f.severity != "ok"}


def seen(facts: Facts, check: str, host: str = "docker1") -> str:
    found = readiness(lab(), facts, dict.fromkeys(facts.hosts, GROUND))
    return "; ".join(f.seen for f in found if (f.check, f.subject) == (check, host))


def host1(facts: Facts, **changes: object) -> Facts:
    return changed(facts, "docker1", lambda f: replace(f, **changes))


def listening(facts: Facts, *listeners: Listener) -> Facts:
    return changed(facts, "docker1", lambda f: replace(f, listeners=(*f.listeners, *listeners)))


@pytest.mark.parametrize("facts", [fresh(), finished()], ids=["fresh", "finished"])
def test_recorded_hosts_are_all_well(facts: Facts) -> None:
    own = changed(facts, "docker1", lambda f: replace(f, machine_id="1" * 32))
    assert off(own) == {}


def test_a_host_that_did_not_answer_is_unknown_and_the_other_is_judged() -> None:
    facts = Facts({"docker2": fresh().hosts["docker2"]}, {"docker1": "docker1: no route to host"})
    assert off(facts) == {("reached", "docker1"): "unknown"}
    assert seen(facts, "reached") == "no route to host"


@pytest.mark.parametrize(
    ("changes", "check", "severity"),
    [
        ({"memory_mb": 511}, "memory", "warning"),
        ({"memory_mb": 0}, "memory", "unknown"),
        ({"disk_free_mb": 0}, "disk", "unknown"),
        ({"disk_free_mb": 299}, "disk", "failed"),
        ({"disk_free_mb": 1023}, "disk", "warning"),
        ({"kernel": "3.10.0-1160.el7"}, "system", "failed"),
        ({"kernel": ""}, "system", "unknown"),
        ({"addresses": ()}, "address", "unknown"),
        ({"machine_id": ""}, "machine-id", "unknown"),
        ({"hostname": ""}, "hostname", "unknown"),
        ({"systemd": False}, "systemd", "failed"),
        ({"clock": -1.5}, "clock", "warning"),
        ({"clock": 1.0}, "clock", None),
    ],
)
def test_one_thing_is_one_finding(changes: dict[str, object], check: str, severity: str | None) -> None:
    found = off(host1(fresh(), **changes))
    found.pop(("machine-id", "docker2"), None)
    assert found.get((check, "docker1")) == severity


def test_the_clock_that_is_off_is_the_one_far_from_the_median() -> None:
    three = {h: replace(fresh().hosts["docker1"], clock=c) for h, c in (("a", 0.0), ("b", 45.0), ("c", 0.4))}
    assert {f.subject: str(f.severity) for f in clock.judge(three)} == {"a": "ok", "b": "failed", "c": "ok"}


def test_one_name_on_two_running_daemons_fails_on_hosts_to_be_named_it_does_not() -> None:
    assert off(host1(finished(), hostname="docker2")).keys() >= {("hostname", "docker1"), ("hostname", "docker2")}
    assert "clusterctl up names it docker1" in seen(host1(fresh(), hostname="docker2"), "hostname")


@pytest.mark.parametrize("port", [7946, 4789])
@pytest.mark.parametrize("ip", ["0.0.0.0", "*", "10.1.90.1"])
def test_a_stranger_on_a_port_of_docker_s_is_named(port: int, ip: str) -> None:
    facts = listening(fresh(), Listener("udp", ip, port, "flanneld"))
    assert seen(facts, "ports") == f"port {port}/udp is in use by flanneld"


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.9.9.9"])
def test_a_listener_on_another_address_is_in_nobody_s_way(ip: str) -> None:
    assert "udp 4789 free" in seen(listening(fresh(), Listener("udp", ip, 4789, "x")), "ports")


def test_a_vxlan_that_is_not_docker_s_is_a_warning() -> None:
    facts = listening(fresh(), Listener("udp", "0.0.0.0", 4789, ""))
    assert off(facts).get(("ports", "docker1")) == "warning"


def test_who_holds_a_port_as_it_must_is_said() -> None:
    facts, host = finished(), lab().inventory.hosts["docker1"]
    assert [ports.proper(p, host, facts.hosts["docker1"]) for p in ports.of(host)] == [
        "etcd", "etcd", "dockerd", "dockerd", "the kernel",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "state", "severity"),
    [
        ("vxlan", Feature.ABSENT, "failed"),
        ("veth", Feature.UNTOLD, "unknown"),
        ("br_netfilter", Feature.ABSENT, "warning"),
        ("overlay", Feature.LOADABLE, "ok"),
    ],
)
def test_a_feature_that_is_missing_or_cannot_be_told_is_not_fine(name: str, state: Feature, severity: str) -> None:
    assert str(kernel.judge("a", Ground({**ALL, name: state})).severity) == severity


def test_a_kernel_that_was_not_read_is_unknown() -> None:
    assert str(kernel.judge("a", "no answer within 9 s").severity) == "unknown"
    assert str(kernel.judge("a", Ground()).severity) == "unknown"


def test_needs_are_judged_by_the_same_in_up_and_in_check() -> None:
    facts = host1(fresh(), systemd=False)
    host = lab().inventory.hosts["docker1"]
    assert set(hosts.needs(lab(), host, facts)) <= set(hosts.judge(lab(), facts, {}))

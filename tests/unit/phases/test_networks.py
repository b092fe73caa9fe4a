from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import Refused
from clusterctl.model.facts import GATEWAY_BRIDGE, Endpoint, Facts
from clusterctl.model.lab import LABEL
from clusterctl.phases.networks import ClearNetworks, CreateNetworks, NetworkSeen, RemoveNetworks
from clusterctl.testing import FakeDoor
from example import NETWORK, after, both, changed, decide, finished, fresh, lab, reasons, titles, with_docker

SUBNET = "10.10.10.0/24"


def running() -> Facts:
    """Return fresh hosts whose daemons run and have nothing yet."""
    return with_docker(with_docker(fresh(), "docker1"), "docker2")


def networks(facts: Facts, host: str, **changed_networks: object) -> Facts:
    return with_docker(facts, host, networks=changed_networks)


def test_an_overlay_is_created_on_one_host_and_waited_for_on_the_others() -> None:
    steps = decide(CreateNetworks(), lab(), running())
    assert titles(steps) == [
        *both(f"record that {GATEWAY_BRIDGE} is not there"),
        f"docker1: create network {NETWORK}",
        f"docker2: wait until network {NETWORK} is seen",
    ]
    assert steps[2].labels == {LABEL: "ut"}
    assert steps[2].shell() == f"docker network create --driver overlay --subnet {SUBNET} --label {LABEL}=ut {NETWORK}"


def test_a_bridge_is_created_on_each_host_that_has_a_container_on_it() -> None:
    wanted = lab(
        networks={"inner": {"driver": "bridge", "subnet": SUBNET, "gateway": "10.10.10.9", "options": {"foo": "bar"}}},
        containers={"qyt1": {"host": "docker2", "networks": ["inner"]}},
    )
    (step,) = decide(CreateNetworks(), wanted, running())
    assert titles([step]) == ["docker2: create network inner"]
    assert (step.gateway, step.options) == ("10.10.10.9", {"foo": "bar"})


def test_a_finished_host_plans_nothing_and_says_why() -> None:
    steps = decide(CreateNetworks(), lab(), finished())
    assert titles(steps) == []
    assert reasons(steps) == both(f"network {NETWORK} is there")


def test_it_comes_out_as_foreseen() -> None:
    assert titles(decide(CreateNetworks(), lab(), after(decide(CreateNetworks(), lab(), running()), running()))) == []


def test_an_overlay_that_one_host_sees_is_not_created_again_but_waited_for() -> None:
    gateway = finished().hosts["docker1"].docker.networks[GATEWAY_BRIDGE]
    steps = decide(CreateNetworks(), lab(), networks(finished(), "docker1", **{GATEWAY_BRIDGE: gateway}))
    assert titles(steps) == [f"docker1: wait until network {NETWORK} is seen"]


def test_a_gateway_bridge_that_was_there_before_is_not_recorded_as_absent() -> None:
    gateway = finished().hosts["docker1"].docker.networks[GATEWAY_BRIDGE]
    steps = decide(CreateNetworks(), lab(), networks(running(), "docker1", **{GATEWAY_BRIDGE: gateway}))
    assert f"docker1: record that {GATEWAY_BRIDGE} is not there" not in titles(steps)


def other(**changes: object) -> Facts:
    found = replace(finished().hosts["docker1"].docker.networks[NETWORK], **changes)
    return networks(finished(), "docker1", **{NETWORK: found})


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"subnet": "10.20.0.0/16"}, f"overlay 10.20.0.0/16, the playbook wants overlay {SUBNET}"),
        ({"driver": "macvlan"}, f"macvlan {SUBNET}, the playbook wants overlay {SUBNET}"),
    ],
)
def test_a_network_that_is_another_one_is_refused(changes: dict, seen: str) -> None:
    with pytest.raises(Refused) as caught:
        decide(CreateNetworks(), lab(), other(**changes))
    assert str(caught.value) == f"docker1: network {NETWORK} is there as {seen}; clusterctl down, then up"


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ({"gateway": "10.10.10.9"}, "one with gateway of its own, the playbook wants 10.10.10.9"),
        ({"options": {"foo": "bar"}}, "one with foo=, the playbook wants foo=bar"),
    ],
)
def test_a_gateway_or_an_option_that_differs_is_refused(written: dict, seen: str) -> None:
    wanted = lab(networks={NETWORK: {"driver": "overlay", "subnet": SUBNET, **written}})
    with pytest.raises(Refused) as caught:
        decide(CreateNetworks(), wanted, finished())
    assert [str(r) for r in caught.value.reasons] == [
        f"{h}: network {NETWORK} is there as {seen}; clusterctl down, then up" for h in ("docker1", "docker2")
    ]


def test_options_that_docker_adds_by_itself_do_not_count() -> None:
    facts = other(options={"com.docker.network.driver.overlay.vxlanid_list": "256"}, gateway="10.10.10.1")
    assert titles(decide(CreateNetworks(), lab(), facts)) == []


def test_a_network_is_looked_for_by_its_name_and_not_in_a_list() -> None:
    door = FakeDoor()
    assert NetworkSeen("nn").look(door) == (False, "nn is not there")
    door.docker.create_network("nn", "overlay", SUBNET, "", {}, {})
    assert NetworkSeen("nn").look(door) == (True, "nn is there")


def removed(facts: Facts) -> list[str]:
    return titles(decide(RemoveNetworks(), lab(), facts))


def without_endpoints(facts: Facts) -> Facts:
    """Return the facts after the lab's containers were removed."""
    for host in ("docker1", "docker2"):
        found = facts.hosts[host].docker.networks
        facts = networks(facts, host, **{**found, NETWORK: replace(found[NETWORK], endpoints=())})
    return facts


def test_down_removes_a_global_network_once_and_the_gateway_bridge_that_was_not_there() -> None:
    assert removed(without_endpoints(finished())) == [
        f"docker1: remove network {NETWORK}",
        f"docker1: remove {GATEWAY_BRIDGE}",
        f"docker2: remove {GATEWAY_BRIDGE}",
    ]


def test_down_drops_endpoints_of_a_host_that_is_gone_first() -> None:
    facts = without_endpoints(finished())
    found = facts.hosts["docker1"].docker.networks
    left = replace(found[NETWORK], endpoints=(Endpoint("qyt2", "ep-1", "", "10.10.10.3"),))
    assert removed(networks(facts, "docker1", **{NETWORK: left})) == [
        "docker1: drop the endpoint qyt2 of a container that is gone",
        f"docker1: remove network {NETWORK}",
        f"docker2: remove {GATEWAY_BRIDGE}",
    ]


def test_down_keeps_a_gateway_bridge_that_was_there_before() -> None:
    facts = changed(without_endpoints(finished()), "docker1", lambda f: replace(f, records={}))
    assert f"docker1: remove {GATEWAY_BRIDGE}" not in removed(facts)


def test_down_keeps_networks_that_are_not_the_lab_s() -> None:
    strange = replace(finished().hosts["docker1"].docker.networks[NETWORK], labels={LABEL: "other"})
    steps = decide(RemoveNetworks(), lab(), networks(networks(finished(), "docker1", **{NETWORK: strange}), "docker2"))
    assert titles(steps) == []
    assert reasons(steps) == both("no network of this lab")


def test_another_playbook_s_network_goes_before_the_new_one_comes() -> None:
    other = lab(networks={"mine": {"driver": "bridge", "subnet": "10.30.1.0/24"}}, containers={})
    facts = finished()
    cleared = decide(ClearNetworks(), other, facts)
    assert titles(cleared)[-1] == f"docker1: remove network {NETWORK}, which is not in the playbook"
    facts = after(cleared, facts)
    assert all(NETWORK not in f.docker.networks for f in facts.hosts.values()), "it is foreseen to go from every host"
    assert titles(decide(ClearNetworks(), other, facts)) == []


def test_a_network_that_changed_goes_and_one_that_fits_stays() -> None:
    assert titles(decide(ClearNetworks(), lab(), finished())) == []
    changed = lab(networks={NETWORK: {"driver": "overlay", "subnet": "10.10.11.0/24"}})
    assert titles(decide(ClearNetworks(), changed, finished()))[-1] == (
        f"docker1: remove network {NETWORK}, which is other than the playbook says"
    )

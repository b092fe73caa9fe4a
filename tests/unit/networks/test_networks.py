from __future__ import annotations

import pytest
from clusterctl.model.playbook import Driver
from clusterctl.networks import DRIVERS
from example import lab

HOSTS = {
    "docker1": "10.1.90.1",
    "docker2": "10.1.90.2",
    "store": {"address": "10.1.90.3", "roles": ["etcd"]},
    "docker3": {"address": "10.1.90.4", "roles": ["docker"]},
}


def wanted(driver: str):
    containers = {
        "qyt3": {"host": "docker3", "networks": ["net"]},
        "qyt1": {"host": "docker1", "networks": ["net"]},
        "qyt2": {"host": "docker2", "networks": ["other"]},
    }
    networks = {
        "net": {"driver": driver, "subnet": "10.10.10.0/24"},
        "other": {"driver": driver, "subnet": "10.10.11.0/24"},
    }
    made = lab(hosts=HOSTS, networks=networks, containers=containers)
    return made, made.playbook.networks["net"]


def test_every_driver_that_a_playbook_may_name_is_known() -> None:
    assert set(DRIVERS) == {str(d) for d in Driver}


def test_an_overlay_is_made_on_the_first_docker_host_and_seen_on_all_of_them() -> None:
    overlay = DRIVERS["overlay"]
    assert overlay.scope == "global"
    assert overlay.creators(*wanted("overlay")) == ("docker1",)
    assert overlay.seen_on(*wanted("overlay")) == ("docker1", "docker2", "docker3")


def test_a_bridge_is_made_and_seen_where_a_container_is_on_it() -> None:
    bridge = DRIVERS["bridge"]
    assert bridge.scope == "local"
    assert bridge.creators(*wanted("bridge")) == ("docker1", "docker3")
    assert bridge.seen_on(*wanted("bridge")) == ("docker1", "docker3")


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_a_network_is_seen_wherever_it_is_made(name: str) -> None:
    driver = DRIVERS[name]
    assert set(driver.creators(*wanted(name))) <= set(driver.seen_on(*wanted(name)))

"""How macvlan and ipvlan are made on a host, and what the host must have."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from clusterctl.checks import KINDS
from clusterctl.checks.hosts import devices as judged
from clusterctl.commands.kernel import Feature
from clusterctl.model.facts import DockerFacts, HostFacts, NetworkFacts
from clusterctl.model.lab import LABEL
from clusterctl.model.playbook import check_together, load_playbook
from clusterctl.networks import DRIVERS, devices_of
from clusterctl.phases.networks import ClearNetworks, CreateNetworks
from example import after, decide, fresh, lab, titles, with_docker

WIRE = {"driver": "macvlan", "subnet": "10.1.90.0/24", "range": "10.1.90.128/25"}
KNOWN = {"macvlan": "built in", "ipvlan": "loadable", "8021q": "works"}


def wanted(network: dict = WIRE, **container):
    made = lab()
    value = {
        "name": "p",
        "networks": {"wire": network},
        "containers": {
            "one": {"host": "docker1", "networks": ["wire"]},
            "two": {"host": "docker2", "networks": ["wire"], **container},
        },
    }
    text = yaml.safe_dump(value)
    playbook = check_together(made.inventory, load_playbook(text, "p.yml", KINDS), text, "p.yml")
    return replace(made, playbook=playbook)


def running(**docker):
    facts = with_docker(with_docker(fresh(), "docker1", **docker), "docker2")
    for host in facts.hosts.values():
        facts = facts.with_host(replace(host, devices=KNOWN, links=frozenset({"lo", "eth0"})))
    return facts


def created(network: dict = WIRE, facts=None, **container) -> list[str]:
    steps = decide(CreateNetworks(), wanted(network, **container), facts or running())
    return [f"{s.host}: {s.shell()}" for s in steps]


def test_each_host_makes_its_own_with_its_own_share_and_nobody_else_s_address() -> None:
    rest = "--aux-address docker1=10.1.90.1 --aux-address docker2=10.1.90.2 --opt parent=eth0 --opt macvlan_mode=bridge"
    assert created() == [
        f"docker{n}: docker network create --driver macvlan --subnet 10.1.90.0/24 --gateway 10.1.90.3 "
        f"--ip-range {part} {rest} --label {LABEL}=ut wire"
        for n, part in ((1, "10.1.90.128/27"), (2, "10.1.90.160/27"))
    ]


def test_a_vlan_is_a_sub_interface_of_the_parent() -> None:
    network = {"driver": "ipvlan", "subnet": "10.9.0.0/24", "vlan": 10, "mode": "l3", "options": {"foo": "bar"}}
    (line, _) = created(network)
    assert "--opt parent=eth0.10 --opt ipvlan_mode=l3 --opt foo=bar" in line
    assert "--aux-address" not in line
    assert "--opt parent=eth7.10" in created({**network, "parent": "eth7"}, replace_links("eth7"))[0]


def replace_links(*more: str):
    facts = running()
    for host in facts.hosts.values():
        facts = facts.with_host(replace(host, links=host.links | set(more)))
    return facts


def test_an_address_that_a_container_asks_for_is_given_to_nobody_on_the_other_hosts() -> None:
    one, two = created(networks={"wire": {"address": "10.1.90.150"}})
    assert "--aux-address docker2.two=10.1.90.150" in one
    assert "10.1.90.150" not in two


def test_it_comes_out_as_foreseen_and_another_range_is_made_anew() -> None:
    lan = wanted()
    there = after(decide(CreateNetworks(), lan, running()), running())
    assert titles(decide(CreateNetworks(), lan, there)) == []
    assert titles(decide(ClearNetworks(), lan, there)) == []
    for host, found in there.hosts.items():
        there = with_docker(there, host, networks={"wire": replace(found.docker.networks["wire"], id=host)})
    other = wanted({**WIRE, "range": "10.1.90.64/26"})
    assert titles(decide(ClearNetworks(), other, there)) == [
        f"{h}: remove network wire, which is other than the playbook says" for h in ("docker1", "docker2")
    ]


def trouble(network: dict = WIRE, **changes) -> str:
    lan = wanted(network)
    found = replace(running().hosts["docker1"], **changes)
    return DRIVERS[network["driver"]].trouble(lan, lan.playbook.networks["wire"], found)[0]


def test_a_host_without_the_interface_says_which_it_has() -> None:
    assert trouble() == ""
    assert trouble({**WIRE, "parent": "eth9"}) == "network wire: there is no interface eth9 (there is eth0)"
    elsewhere = tuple(replace(a, ip="10.7.7.7") for a in fresh().hosts["docker1"].addresses)
    assert trouble(addresses=elsewhere) == "network wire: no interface has 10.1.90.1"


def test_a_host_that_is_not_there_yet_is_in_no_trouble() -> None:
    lan = wanted()
    assert DRIVERS["macvlan"].trouble(lan, lan.playbook.networks["wire"], HostFacts("docker1")) == ("", "")


def test_an_interface_that_another_network_has_is_said_before_docker_refuses() -> None:
    theirs = NetworkFacts("id", "theirs", "ipvlan", "local", options={"parent": "eth0"})
    docker = DockerFacts("20.10.24", networks={"theirs": theirs})
    assert trouble(docker=docker) == "network wire: eth0 is the parent of Docker's network theirs already"
    assert trouble({"driver": "macvlan", "subnet": "10.9.0.0/24", "vlan": 10}, docker=docker) == ""
    mine = replace(theirs, labels={LABEL: "ut"})
    assert trouble(docker=replace(docker, networks={"theirs": mine})) == "", "the lab's own goes first"


@pytest.mark.parametrize(
    ("network", "has", "seen"),
    [
        (WIRE, KNOWN, ""),
        (WIRE, {"macvlan": Feature.ABSENT}, "has no macvlan devices, which network wire needs"),
        (
            {"driver": "ipvlan", "subnet": "10.9.0.0/24", "vlan": 10},
            {"ipvlan": Feature.ABSENT, "8021q": Feature.ABSENT},
            "has no ipvlan devices and no 802.1Q VLAN devices, which network wire needs",
        ),
        (WIRE, {"macvlan": Feature.UNTOLD}, ""),
    ],
)
def test_a_kernel_without_the_devices_is_a_reason_to_refuse(network: dict, has: dict, seen: str) -> None:
    lan = wanted(network)
    found = replace(running().hosts["docker1"], devices=has)
    (finding,) = judged.judge(lan, lan.inventory.hosts["docker1"], found)
    assert (str(finding.severity), seen in finding.seen) == ("failed" if seen else "ok", True)


def test_kernels_are_asked_for_what_the_playbook_needs_alone() -> None:
    assert devices_of(lab().playbook) == ()
    assert devices_of(wanted().playbook) == ("macvlan",)
    assert devices_of(wanted({"driver": "ipvlan", "subnet": "10.9.0.0/24", "vlan": 10}).playbook) == ("ipvlan", "8021q")

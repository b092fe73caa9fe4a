"""Networks on the hosts' own wire: what may be written, and what the hosts settle in it."""

from __future__ import annotations

import pytest
import yaml
from clusterctl.checks import KINDS
from clusterctl.model.errors import InputError
from clusterctl.model.inventory import load_inventory
from clusterctl.model.lan import CLUSTER, share
from clusterctl.model.playbook import Playbook, check_together, load_playbook

LOCAL = {"name": "ut", "provider": "local", "hosts": {"docker1": "10.1.1.1", "docker2": "10.1.1.2"}}
VMS = {**LOCAL, "provider": "vagrant", "hosts": {"docker1": "192.168.56.11", "docker2": "192.168.56.12"}}
SSH = {**LOCAL, "provider": "ssh"}


def inventory(written: dict):
    return load_inventory(yaml.safe_dump(written), "i.yml")


def settled(network: dict, written: dict = LOCAL, hosts: tuple[str, ...] = ("docker1", "docker2"), **more) -> Playbook:
    value = {
        "name": "p",
        "networks": {"wire": {"driver": "macvlan", **network}, **more},
        "containers": {f"on-{h}": {"host": h, "networks": ["wire", *more]} for h in hosts},
    }
    text = yaml.safe_dump(value)
    return check_together(inventory(written), load_playbook(text, "p.yml", KINDS), text, "p.yml")


def problems(*args, **more) -> list[str]:
    with pytest.raises(InputError) as caught:
        settled(*args, **more)
    return [f"{p.key}: {p.message}" for p in caught.value.problems]


def test_the_hosts_own_subnet_and_gateway_are_put_in() -> None:
    network = settled({"subnet": CLUSTER}).networks["wire"]
    assert (network.subnet, network.gateway, network.range) == ("10.1.1.0/24", "10.1.1.254", "10.1.1.128/25")
    network = settled({"subnet": CLUSTER}, VMS).networks["wire"]
    assert (network.subnet, network.gateway, network.range) == ("192.168.56.0/24", "192.168.56.1", "192.168.56.128/25")


def test_hosts_of_others_must_say_their_subnet_and_what_of_it_is_free() -> None:
    assert problems({"subnet": CLUSTER}, SSH) == [
        "networks.wire.subnet: the subnet that the hosts are in is not known: write it here, or as cluster.subnet in "
        "the inventory"
    ]
    known = {**SSH, "cluster": {"subnet": "10.1.1.0/24"}}
    assert problems({"subnet": CLUSTER}, known) == [
        "networks.wire.range: is missing: which addresses of 10.1.1.0/24 are free, only you know"
    ]
    network = settled({"subnet": CLUSTER, "range": "10.1.1.64/27"}, known).networks["wire"]
    assert (network.gateway, network.range) == ("10.1.1.3", "10.1.1.64/27"), "the first address that no host has"


def test_the_inventory_can_say_what_is_free_for_every_playbook() -> None:
    known = {**SSH, "cluster": {"subnet": "10.1.1.0/24", "range": "10.1.1.64/27"}}
    assert settled({"subnet": CLUSTER}, known).networks["wire"].range == "10.1.1.64/27"
    assert settled({"subnet": "10.9.0.0/24"}, known).networks["wire"].range == "10.9.0.128/25"
    with pytest.raises(InputError, match=r"10\.9\.0\.0/27 is not in 10\.1\.1\.0/24 \(cluster\.subnet\)"):
        inventory({**SSH, "cluster": {"subnet": "10.1.1.0/24", "range": "10.9.0.0/27"}})


def test_a_network_of_its_own_on_the_wire_needs_no_range() -> None:
    network = settled({"subnet": "10.9.0.0/24", "vlan": 10}, SSH).networks["wire"]
    assert (network.gateway, network.range) == ("10.9.0.1", "10.9.0.128/25")


def test_each_host_has_a_share_of_its_own_and_keeps_it_when_two_more_join() -> None:
    network = settled({"subnet": CLUSTER}).networks["wire"]
    hosts = dict(LOCAL["hosts"])
    shares = {h: str(share(network, h, inventory(LOCAL))) for h in hosts}
    assert shares == {"docker1": "10.1.1.128/27", "docker2": "10.1.1.160/27"}
    four = inventory({**LOCAL, "hosts": {**hosts, "docker3": "10.1.1.3", "docker4": "10.1.1.4"}})
    assert {h: str(share(network, h, four)) for h in hosts} == shares
    assert len({str(share(network, h, four)) for h in four.hosts}) == 4


def test_a_small_range_is_cut_into_as_many_parts_as_there_are_hosts() -> None:
    network = settled({"subnet": CLUSTER, "range": "10.1.1.64/30"}).networks["wire"]
    assert str(share(network, "docker2", inventory(LOCAL))) == "10.1.1.66/31"


def test_a_host_that_is_alone_still_keeps_room_for_others() -> None:
    one = {**LOCAL, "hosts": {"docker1": "10.1.1.1"}}
    network = settled({"subnet": CLUSTER}, one, hosts=("docker1",)).networks["wire"]
    assert str(share(network, "docker1", inventory(one))) == "10.1.1.128/27"


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ({"subnet": CLUSTER, "vlan": 10}, "subnet: `cluster` is not in a VLAN: choose a subnet of its own"),
        ({"subnet": "10.9.0.0/24", "range": "10.8.0.0/25"}, "range: 10.8.0.0/25 is not in 10.9.0.0/24"),
        ({"subnet": CLUSTER, "range": "10.8.0.0/25"}, "range: 10.8.0.0/25 is not in 10.1.1.0/24"),
        ({"subnet": CLUSTER, "gateway": "10.8.0.1"}, "gateway: '10.8.0.1' is not in 10.1.1.0/24, where the hosts are"),
        ({"subnet": "10.9.0.0/24", "mode": "l2"}, "mode: 'l2' is no mode of macvlan"),
        ({"subnet": "10.9.0.0/24", "options": {"parent": "eth1"}}, "options.parent: is said by `parent` and `vlan`"),
        ({"subnet": "10.9.0.0/24", "vlan": 4095}, "vlan: 4095 is out of range: must be less than or equal to 4094"),
        ({"subnet": "10.9.0.0/24", "parent": "enp0s31f6abc", "vlan": 400}, "parent: enp0s31f6abc.400 is too long for "
         "the name of an interface"),
        ({"subnet": "10.9.0.0/24", "parent": "-x"}, "parent: '-x' is not the name of an interface"),
        ({"driver": "bridge", "subnet": "10.9.0.0/24", "vlan": 10}, "vlan: means nothing with the driver bridge: it "
         "is for macvlan and ipvlan"),
        ({"driver": "overlay", "subnet": CLUSTER}, "subnet: `cluster` is for macvlan and ipvlan: choose a subnet"),
        ({"subnet": "10.1.1.0/24", "vlan": 10}, "subnet: contains 10.1.1.1, an address of a host, which is not in "
         "VLAN 10"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_where_it_stands(network: dict, problem: str) -> None:
    assert problems(network) == [f"networks.wire.{problem}"]


def test_a_range_with_too_few_addresses_is_refused() -> None:
    three = {**LOCAL, "hosts": {**LOCAL["hosts"], "docker3": "10.1.1.3"}}
    assert problems({"subnet": "10.9.0.0/30", "range": "10.9.0.0/30"}, three) == [
        "networks.wire.range: 10.9.0.0/30 has 0 addresses for docker1, where 1 containers are to be"
    ]


def test_docker_lets_one_network_of_a_host_have_an_interface() -> None:
    taken = ["networks.wire2.parent: network wire has that interface already on docker1, docker2"]
    assert problems({"subnet": CLUSTER}, wire2={"driver": "ipvlan", "subnet": "10.9.0.0/24"}) == taken
    settled({"subnet": CLUSTER}, wire2={"driver": "ipvlan", "subnet": "10.9.0.0/24", "vlan": 10})


def test_a_settled_subnet_must_be_apart_from_the_other_networks() -> None:
    overlapping = {"driver": "macvlan", "parent": "eth1", "subnet": "10.1.0.0/16", "vlan": None}
    del overlapping["vlan"]
    found = problems({"subnet": CLUSTER}, wire2=overlapping)
    assert found == ["networks.wire2.subnet: 10.1.0.0/16 overlaps 10.1.1.0/24 of network wire"]


def test_the_cluster_s_subnet_must_have_every_cluster_address_in_it() -> None:
    with pytest.raises(InputError, match=r"'10\.1\.1\.1' is not in 10\.2\.0\.0/16: the cluster address of docker1"):
        inventory({**SSH, "cluster": {"subnet": "10.2.0.0/16"}})
    with pytest.raises(InputError, match=r"means nothing with the local provider: it is local\.subnet"):
        inventory({**LOCAL, "cluster": {"subnet": "10.1.1.0/24"}})

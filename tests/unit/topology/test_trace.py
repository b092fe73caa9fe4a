"""The path between every two kinds of containers, and where it breaks when something on it is changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import InputError
from clusterctl.topology.host import CARRIED, Container, HostMap, Namespace
from clusterctl.topology.links import Forward, Link, Neighbour, Route, Tables
from clusterctl.topology.path import Path
from clusterctl.topology.topology import Topology
from clusterctl.topology.trace import end, trace
from recorded_hosts import ADDRESSES, topology

QYT2 = "02:42:0a:0a:0a:02"


def path(source: str, target: str, found: Topology | None = None) -> Path:
    found = found or topology()
    return trace(found, end(found, source), end(found, target))


def stations(found: Path) -> list[str]:
    return [f"{hop.place or hop.host} {hop.link.name}" for hop in found.hops]


def changed(host: str, space: str, name: str = "", *, drop: str = "", **values: object) -> Topology:
    """Return the hosts with a link of a namespace (by its file's name, "" for the host's own) changed.

    drop: the MAC whose forwarding entries are taken away.
    """
    found = topology()
    here = found.hosts[host]
    old = next(s for s in here.namespaces.values() if s.name == space)
    links = tuple(replace(x, **values) if x.name == name else x for x in old.links)
    forwards = tuple(f for f in old.tables.forwards if f.mac != drop)
    new = replace(old, tables=replace(old.tables, links=links, forwards=forwards))
    return replace(found, hosts={**found.hosts, host: replace(here, namespaces={**here.namespaces, old.inode: new})})


def inside(host: str, container: str) -> str:
    here = topology().hosts[host]
    return here.inside(here.container(container)).name


OVERLAY = "1-c709eadccb"


def test_an_overlay_is_followed_into_the_tunnel_and_out_of_it() -> None:
    found = path("qyt1", "qyt2")
    assert stations(found) == [
        "qyt1 eth0",
        f"{OVERLAY} veth0",
        f"{OVERLAY} br0",
        f"{OVERLAY} vxlan0",
        "docker1 eth0",
        "docker2 eth0",
        f"{OVERLAY} vxlan0",
        f"{OVERLAY} br0",
        f"{OVERLAY} veth0",
        "qyt2 eth0",
    ]
    assert (found.network, found.address, found.broken, found.mtu) == ("qyt_overlay", "10.10.10.2", "", 1450)
    tunnel, card = found.hops[3:5]
    assert tunnel.does == f"VNI 256: {QYT2} → 10.1.85.2"
    assert tunnel.commands == (f"nsenter --net=/run/docker/netns/{OVERLAY} bridge fdb show dev vxlan0 | grep {QYT2}",)
    assert card.outer == "10.1.85.1 → 10.1.85.2, VNI 256"
    assert [bool(h.outer) for h in found.hops] == [False] * 4 + [True, True] + [False] * 4


WAYS = {
    ("b1", "b2"): ["b1 eth0", "docker1 veth0dc0efb", "docker1 docker0", "docker1 veth746ddc1", "b2 eth0"],
    ("o1", "b2"): ["o1 eth0", "docker1 veth59654c0", "docker1 br-5c190ebd3eed", "docker1 veth0a97477", "b2 eth1"],
    ("c1", "b2"): ["b1 eth0", "docker1 veth0dc0efb", "docker1 docker0", "docker1 veth746ddc1", "b2 eth0"],
    ("b1", "c1"): ["b1 lo"],
    ("h1", "b2"): ["docker1 docker0", "docker1 veth746ddc1", "b2 eth0"],
    ("b2", "h1"): ["b2 eth0", "docker1 veth746ddc1", "docker1 docker0"],
    ("m1", "m2"): ["m1 eth0", "docker1 eth0", "docker2 eth0", "m2 eth0"],
    ("docker2", "m1"): ["docker2 eth0", "docker1 eth0", "m1 eth0"],
    ("b1", "docker2"): ["b1 eth0", "docker1 veth0dc0efb", "docker1 docker0", "docker1 eth0", "docker2 eth0"],
}


@pytest.mark.parametrize("ends", WAYS)
def test_each_kind_of_network_has_its_way(ends: tuple[str, str]) -> None:
    found = path(*ends)
    assert (stations(found), found.broken) == (WAYS[ends], "")


BREAKS = {
    ("o1", "b1"): "firewall drops it: -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
    ("m1", "docker1"): "a parent (eth0) and what rides on it do not talk to each other",
    ("docker1", "m1"): "a parent (eth0) and what rides on it do not talk to each other",
    ("b1", "b3"): "172.17.0.2 is an address of b1 on docker1 itself",
    ("b2", "b3"): "172.17.0.2 is an address of b1 on docker1 itself",
    ("n1", "b1"): "n1 on docker1 has no route to 172.17.0.2",
    ("b1", "n1"): "n1 has no address at all: its network is none",
    ("h1", "qyt2"): "has 10.1.85.254, the gateway on the way to 10.10.10.2: the packet leaves the lab",
}


@pytest.mark.parametrize("ends", BREAKS)
def test_what_cannot_reach_each_other_has_its_reason(ends: tuple[str, str]) -> None:
    assert BREAKS[ends] in path(*ends).broken


def test_a_forwarding_entry_that_is_gone_breaks_one_way_only() -> None:
    found = changed("docker1", OVERLAY, drop=QYT2)
    there = path("qyt1", "qyt2", found)
    assert f"vxlan0 on docker1 has no forwarding entry for {QYT2}" in there.broken
    assert stations(there)[-1] == f"{OVERLAY} vxlan0"
    assert path("qyt2", "qyt1", found).broken == ""


@pytest.mark.parametrize("link", ["veth0", "br0", "vxlan0"])
def test_a_link_that_is_down_is_where_it_ends(link: str) -> None:
    found = path("qyt1", "qyt2", changed("docker2", OVERLAY, link, up=False))
    assert found.hops[-1].link.name == link
    assert f"ip link set {link} up" in found.broken


def test_a_link_without_carrier_names_its_other_end() -> None:
    found = changed("docker1", OVERLAY, "veth0", up=False)
    own = changed("docker1", inside("docker1", "qyt1"), "eth0", carrier=False)
    both = replace(found.hosts["docker1"], namespaces={**found.hosts["docker1"].namespaces})
    for inode, space in own.hosts["docker1"].namespaces.items():
        if space.name == inside("docker1", "qyt1"):
            both.namespaces[inode] = space
    broken = path("qyt1", "qyt2", replace(found, hosts={**found.hosts, "docker1": both})).broken
    assert "eth0 of qyt1 on docker1 has no carrier: veth0 is down" in broken


def test_a_senders_link_that_is_down_is_named_though_another_route_is_taken() -> None:
    found = path("qyt1", "qyt2", changed("docker1", inside("docker1", "qyt1"), "eth0", up=False))
    assert found.hops[0].link.name == "eth1"
    assert "down there: eth0" in found.broken


def test_a_port_that_takes_less_than_the_sender_sends_is_a_warning() -> None:
    found = path("qyt1", "qyt2", changed("docker2", OVERLAY, "veth0", mtu=1300))
    assert (found.broken, found.mtu) == ("", 1300)
    assert found.warnings == (
        "veth0 takes 1300 bytes: packets over 1300 are lost, though the sender's link allows 1450",
    )
    assert found.hops[8].trouble == found.warnings[0]


def test_an_underlay_without_room_for_the_headers_is_a_warning() -> None:
    found = path("qyt1", "qyt2", changed("docker2", "", "eth0", mtu=1450))
    assert found.mtu == 1400
    assert "50 of them for VXLAN: packets over 1400 are lost" in found.warnings[0]


def test_a_wrong_answer_to_the_senders_question_is_followed() -> None:
    found = topology()
    host = found.hosts["docker1"]
    space = host.inside(host.container("b1"))
    wrong = replace(space.tables, neighbours=(Neighbour("172.17.0.3", "02:00:00:00:00:99", "eth0", "STALE"),))
    spaces = {**host.namespaces, space.inode: replace(space, tables=wrong)}
    hosts = {**found.hosts, "docker1": replace(host, namespaces=spaces)}
    assert (
        "b1 takes 172.17.0.3 for 02:00:00:00:00:99, but b2 has" in path("b1", "b2", replace(found, hosts=hosts)).broken
    )


def test_rules_on_the_underlay_are_asked() -> None:
    found = topology()
    rule = "-A INPUT -p udp -m udp --dport 4789 -j DROP"
    rules = ("*filter", ":INPUT ACCEPT [0:0]", rule)
    hosts = {**found.hosts, "docker2": replace(found.hosts["docker2"], rules=rules)}
    broken = path("qyt1", "qyt2", replace(found, hosts=hosts))
    assert (broken.broken, broken.hops[-1].host) == (f"docker2's firewall drops it: {rule}", "docker2")


def test_beyond_a_silent_host_nothing_is_claimed() -> None:
    found = topology()
    entry = Forward(QYT2, "vxlan0", ADDRESSES["docker2"], permanent=True)
    assert entry in found.hosts["docker1"].namespaces[4026533644].tables.forwards
    silent = Topology({"docker1": found.hosts["docker1"]}, {"docker2": "docker2: no answer"}, ADDRESSES)
    with pytest.raises(InputError, match="no container qyt2 on docker1; docker2 did not answer"):
        end(silent, "qyt2")
    start = end(silent, "qyt1")
    known = trace(silent, start, end(found, "qyt2"))
    assert (known.sure, known.broken) == (False, "what docker2 does with it is not known: no answer")


def test_names_that_do_not_say_which_are_refused() -> None:
    found = topology()
    twice = replace(found.hosts["docker2"], containers=(*found.hosts["docker2"].containers, Container("b1", "x")))
    both = replace(found, hosts={**found.hosts, "docker2": twice})
    with pytest.raises(InputError) as caught:
        end(both, "b1")
    assert "docker1:b1, docker2:b1" in caught.value.hint
    with pytest.raises(InputError, match="container st is exited on docker1"):
        end(found, "st")


def lan(name: str, address: str, tag: int, kind: str = "ipvlan") -> HostMap:
    """Return a host with one container on an ipvlan above a VLAN."""
    card = Link("eth0", 2, addresses=(f"10.9.0.{address}/24",))
    vlan = Link(f"eth0.{tag}", 3, "vlan", peer=2, tag=tag)
    own = Namespace(1, "", Tables((card, vlan), (Route("10.9.0.0/24", "eth0"),)))
    inner = Link("eth0", 4, kind, addresses=(f"10.7.0.{address}/24",), peer=3, away=True)
    space = Namespace(2, "/run/docker/netns/x", Tables((inner,), (Route("10.7.0.0/24", "eth0"),)))
    container = Container(f"c{address}", f"id{address}", pid=9, namespace=2)
    return HostMap(name, f"10.9.0.{address}", 1, {1: own, 2: space}, (container,))


@pytest.mark.parametrize("kind", sorted(CARRIED - {"vlan"}))
def test_a_vlan_is_carried_down_to_the_card_and_up_again(kind: str) -> None:
    found = Topology({"a": lan("a", "1", 10, kind), "b": lan("b", "2", 10, kind)})
    way = path("c1", "c2", found)
    assert stations(way) == ["c1 eth0", "a eth0.10", "a eth0", "b eth0", "b eth0.10", "c2 eth0"]
    assert way.broken == ""


def test_vlans_are_kept_apart() -> None:
    found = Topology({"a": lan("a", "1", 10), "b": lan("b", "2", 20)})
    assert "10.7.0.2 is in VLAN 20, the packet in VLAN 10" in path("c1", "c2", found).broken

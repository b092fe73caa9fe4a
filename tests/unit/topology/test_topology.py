"""From what a host printed to which link belongs to which container."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.plan.command import Command
from clusterctl.testing import Answer, FakeDoor
from clusterctl.topology.host import HostMap, Namespace, overlays
from clusterctl.topology.links import Link, Tables, read
from clusterctl.topology.topology import look, parse
from recorded_hosts import ADDRESSES, text, topology


def joined(host: HostMap, name: str) -> list[tuple[str, str, str, str, str]]:
    """Return interface, network, driver, the other end and what that is a port of."""
    container = host.container(name)
    assert container
    return [
        (
            a.interface.name,
            a.network,
            a.driver,
            end.name if (end := a.port or a.parent) else "",
            a.bridge.name if a.bridge else "",
        )
        for a in host.attachments(container)
    ]


def test_every_kind_of_network_is_followed_from_the_container_outwards() -> None:
    host = topology().hosts["docker1"]
    assert joined(host, "b1") == [("eth0", "bridge", "bridge", "veth0dc0efb", "docker0")]
    assert joined(host, "o1") == [("eth0", "own", "bridge", "veth59654c0", "br-5c190ebd3eed")]
    assert joined(host, "b2") == [
        ("eth0", "bridge", "bridge", "veth746ddc1", "docker0"),
        ("eth1", "own", "bridge", "veth0a97477", "br-5c190ebd3eed"),
    ]
    assert joined(host, "qyt1") == [
        ("eth0", "qyt_overlay", "overlay", "veth0", "br0"),
        ("eth1", "docker_gwbridge", "bridge", "veth94c884d", "docker_gwbridge"),
    ]
    assert joined(host, "m1") == [("eth0", "mv", "macvlan", "eth0", "")]
    assert joined(host, "c1") == joined(host, "b1"), "it shares b1's"
    assert joined(host, "h1") == joined(host, "n1") == joined(host, "st") == []


def test_the_overlay_is_where_docker_hides_it() -> None:
    host = topology().hosts["docker1"]
    (overlay, _) = host.attachments(host.container("qyt1"))
    assert overlay.outside.name == "1-c709eadccb"
    assert [(t.name, t.vni, t.udp_port) for t in overlay.tunnels] == [("vxlan0", 256, 4789)]
    (forward,) = overlay.outside.forwards("vxlan0", "02:42:0a:0a:0a:02")
    assert forward.towards == ADDRESSES["docker2"]


def test_the_hosts_own_cards_are_those_that_lead_out() -> None:
    for name, host in topology().hosts.items():
        assert [(c.name, c.ips) for c in host.cards] == [("eth0", (ADDRESSES[name],))]


def test_a_route_is_the_longest_that_fits_and_whose_link_is_up() -> None:
    host = topology().hosts["docker1"]
    inside = host.inside(host.container("qyt1"))
    assert inside.route("10.10.10.2").device == "eth0"
    assert (inside.route("8.8.8.8").device, inside.route("8.8.8.8").gateway) == ("eth1", "172.18.0.1")
    down = tuple(replace(link, up=link.name != "eth0") for link in inside.links)
    assert replace(inside, tables=replace(inside.tables, links=down)).route("10.10.10.2").device == "eth1"


def test_of_two_ends_that_fit_the_one_in_the_subnet_is_taken() -> None:
    inside = Namespace(1, "", Tables((Link("eth0", 6, "veth", addresses=("10.2.0.5/24",), peer=7, away=True),)))

    def overlay(inode: int, address: str) -> Namespace:
        port = Link("veth0", 7, "veth", master="br0", peer=6, away=True)
        return Namespace(
            inode, f"/run/docker/netns/{inode}-x", Tables((Link("br0", 2, "bridge", addresses=(address,)), port))
        )

    for order in ((2, 3), (3, 2)):
        spaces = {2: overlay(2, "10.1.0.1/24"), 3: overlay(3, "10.2.0.1/24")}
        host = HostMap("h", own=9, namespaces={i: spaces[i] for i in order} | {1: inside})
        assert host.other_end(inside, inside.links[0])[0].inode == 3


def test_containers_are_found_by_name_or_by_host_and_name() -> None:
    found = topology()
    assert [h.name for h, _ in found.find("qyt2")] == ["docker2"]
    assert [h.name for h, _ in found.find("docker1:b1")] == ["docker1"]
    assert found.find("nobody") == []


@pytest.mark.parametrize("cut", ["\x01 end", "\x01 own"])
def test_an_answer_that_is_cut_short_is_none(cut: str) -> None:
    with pytest.raises(ValueError, match="in full"):
        parse("docker1", "", text("docker1").replace(cut, "\x01 other"))


def test_an_old_iproute_is_named() -> None:
    with pytest.raises(ValueError, match=r"iproute2 4\.14"):
        read(["1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue"])


def test_a_host_that_is_not_there_or_fails_is_noted_beside_those_that_answer() -> None:
    def answer(host: str) -> FakeDoor:
        said: dict[str, Answer] = {"docker1": (0, text("docker1"), ""), "docker2": (1, "", "nsenter: not found")}

        def run(_: Command) -> Answer:
            return said[host]

        return FakeDoor(host, run)

    found = look({**ADDRESSES, "docker3": "10.1.85.3"}, answer, ["docker3"])
    assert list(found.hosts) == ["docker1"]
    assert "nsenter: not found" in found.missing["docker2"]
    assert found.missing["docker3"] == "the host is not there"


def test_without_docker_the_links_are_still_read() -> None:
    head, _, rest = text("docker1").partition("\x01 networks")
    found = parse("docker1", "", f"{head}\x01 trouble\nDocker does not run\n\x01 end\n")
    assert (found.containers, found.trouble, rest != "") == ((), "Docker does not run", True)
    assert len(found.namespaces) == 10


def test_a_network_that_docker_does_not_list_while_its_store_is_down_is_known_by_its_containers() -> None:
    lines = [x for x in text("docker1").splitlines() if '"Name":"qyt_overlay"' not in x]
    found = parse("docker1", ADDRESSES["docker1"], "\n".join(lines))
    assert "qyt_overlay" not in {n.name for n in found.networks}
    assert joined(found, "qyt1")[0] == ("eth0", "qyt_overlay", "overlay", "veth0", "br0")
    assert [(space.name, network.name) for space, network in overlays(found)] == [("1-c709eadccb", "qyt_overlay")]

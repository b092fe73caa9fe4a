"""Reading what a real host printed of its namespaces, services, disks and containers."""

from pathlib import Path

import pytest
from clusterctl.topology.anatomy import parse

TEXT = (Path(__file__).parent / "recorded/docker1-anatomy.txt").read_text()


def test_a_host_is_read_whole():
    found = parse(TEXT)
    assert found.host.with_address("10.1.191.1").name == "eth0"
    assert found.host.sysctls["ipv4/ip_forward"] == "1"
    assert ":FORWARD DROP [0:0]" in found.host.rules
    assert found.process("docker.service").state == "S"
    assert {d.place for d in found.disks} == {"/", "/run", "/var/lib/docker"}
    assert found.paths["10.1.191.2"].startswith("10.1.191.2 dev eth0")
    assert any("EventMemberJoin: docker2" in line for line in found.log("docker.service"))


def test_the_namespaces_are_found_by_network_and_container():
    found = parse(TEXT)
    overlay = found.overlay("695dbecec74b6cffd7979c2dc2a3429c132b88adcf083610e74c73a5bd26d66c")
    assert overlay.vxlan.vni == 256
    assert overlay.towards("02:42:0a:0a:0a:03") == ("10.1.191.2",)
    assert overlay.resolved("10.10.10.3") == "02:42:0a:0a:0a:03"
    inside = found.sandbox("qyt1")
    assert inside.with_mac("02:42:0a:0a:0a:02").ips == ("10.10.10.2",)
    assert next(x for x in overlay.links if x.index == inside.with_mac("02:42:0a:0a:0a:02").peer).master == "br0"


def test_what_is_cut_short_is_refused():
    for text in ("", TEXT[:3000], TEXT.replace("\x01 end", "")):
        with pytest.raises(ValueError, match=r"full|iproute2|JSON"):
            parse(text)

"""The picture and the page of a lab that is really there."""

import json
import re
import xml.etree.ElementTree as ET

import labs
import pytest

pytestmark = pytest.mark.lab

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    lab = labs.Lab(tmp_path_factory.mktemp("pages"), "ltpg", "10.1.126")
    lab.cli("down", "--yes", check=None)
    lab.cli("up", "playbooks/overlay.yml")
    yield lab
    lab.cli("down", "--yes")
    assert lab.gone()


def texts(svg):
    return "\n".join(e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}text"))


def test_the_picture_shows_what_the_hosts_have(made):
    shown = texts(made.cli("graph").stdout)
    addresses = {
        c: made.ssh(h, f"docker exec {c} ip -4 -o addr show dev eth0").split()[3]
        for h, c in (("docker1", "qyt1"), ("docker2", "qyt2"))
    }
    for container, address in addresses.items():
        assert container in shown
        assert f"eth0  {address}" in shown
    port = made.ssh("docker1", "ls /sys/class/net/docker_gwbridge/brif").strip()
    assert f"docker_gwbridge · {port} #" in shown
    assert "VXLAN 256" in shown


@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.mmd", b"flowchart"), ("a.dot", b"graph ")])
def test_it_is_written_as_the_file_is_named(made, tmp_path, name, begin):
    made.cli("graph", "--write", str(tmp_path / name))
    assert (tmp_path / name).read_bytes().startswith(begin)


def sections(page):
    """Return the page's parts by their names."""
    return dict(re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.S))


def test_the_page_shows_all_of_a_lab_that_holds(made, tmp_path):
    path = tmp_path / "lab.html"
    done = made.cli("report", "playbooks/overlay.yml", "--write", str(path))
    count = re.search(r"lab\.html: (\d+) of \1 checks hold", done.stdout)[1]
    parts = sections(path.read_text())
    assert "VXLAN 256" in parts["picture"]
    assert parts["checks"].count("✓ ok") == int(count)
    assert "10 hops to qyt2" in parts["paths"]
    assert "seen at all 10 hops, its reply came back" in parts["capture"]
    assert "UDP + VXLAN" in parts["capture"]
    assert "== Run the containers" in parts["transcript"]
    assert "PRIVATE KEY" not in path.read_text()
    assert "不同主机上的容器" in made.cli("report", "--lang", "zh").stdout
    document = json.loads(made.cli("report", "-o", "json").stdout)
    assert document["report"]["holds"]
    assert document["capture"]["answered"]


def test_the_page_of_a_broken_lab_says_what_is_broken(made, tmp_path):
    path = tmp_path / "lab.html"
    made.ssh("docker2", "iptables -I INPUT -p udp --dport 4789 -j DROP")
    try:
        made.cli("report", "playbooks/overlay.yml", "--write", str(path), check=1)
    finally:
        made.ssh("docker2", "iptables -D INPUT -p udp --dport 4789 -j DROP")
    parts = sections(path.read_text())
    assert "✗ FAILED" in parts["checks"]
    assert "--dport 4789 -j DROP" in parts["paths"]
    assert "Nothing was captured: no two containers reach each other" in parts["capture"]


def test_a_network_that_is_gone_is_gone_from_the_picture(made):
    made.ssh("docker2", "docker network disconnect qyt_overlay qyt2")
    shown = texts(made.cli("graph").stdout)
    assert "VXLAN 256" not in shown
    made.ssh("docker2", "docker network connect qyt_overlay qyt2")
    assert "VXLAN 256" in texts(made.cli("graph").stdout)

"""The map, the path and the capture say what is really there: every pair is pinged, every command is run."""

import base64
import contextlib
import json
import time

import labs
import pytest
from clusterctl.commands import capture
from clusterctl.plan.command import script
from clusterctl.topology import packets
from clusterctl.topology.topology import look
from clusterctl.topology.trace import end, trace

pytestmark = pytest.mark.lab

RUN = "docker run -d --name"
PROBE = "clusterctl/probe:1 sleep 9999"
LAN = (
    "docker network create -d macvlan -o parent=eth0 --subnet {net}.0/24 --gateway {net}.254 "
    "--ip-range {net}.{start}/28"
)
BY_HAND = {
    "docker1": f"""set -e; docker network create --subnet 172.30.0.0/24 own; {LAN.replace("{start}", "128")} lan
{RUN} b1 {PROBE}; {RUN} b2 {PROBE}; {RUN} o1 --network own {PROBE}; docker network connect own b2
{RUN} h1 --network host {PROBE}; {RUN} n1 --network none {PROBE}; {RUN} c1 --network container:b1 {PROBE}
{RUN} m1 --network lan {PROBE}; {RUN} st {PROBE}; docker stop -t 0 st""",
    "docker2": f"set -e; {LAN.replace('{start}', '144')} lan; {RUN} m2 --network lan {PROBE}; {RUN} b3 {PROBE}",
}
"""Containers of strangers: on Docker's own bridge, one of its own, the host's links, none, another's, the wire."""

OVERLAY = "nsenter --net=$(grep -o '/run/docker/netns/[0-9]*-[0-9a-f]*' /proc/self/mountinfo | head -n 1) "
LEFT = "ls -d /tmp/clusterctl-capture.* 2>/dev/null; pgrep -x tcpdump; true"


class Sight(labs.Lab):
    """A lab whose commands have two words where they begin with `net`."""

    def argv(self, *args):
        words = 2 if args[0] == "net" else 1
        return [str(labs.PROGRAM), *args[:words], "-i", str(self.inventory), *args[words:]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """An overlay across two hosts, and containers on every other kind of network beside it."""
    made = Sight(tmp_path_factory.mktemp("sight"), "lts", "10.1.127")
    made.cli("up", "playbooks/overlay.yml")
    for host, by_hand in BY_HAND.items():
        made.ssh(host, by_hand.replace("{net}", made.net))
    yield made
    made.cli("down", "--yes")
    assert made.gone()


@contextlib.contextmanager
def broken(lab, host, how, mend):
    """Break something on a host, and mend it whatever the test finds."""
    try:
        lab.ssh(host, how)
        yield
    finally:
        lab.ssh(host, mend)


@contextlib.contextmanager
def read(lab):
    """Read the hosts in this process, and keep the doors open."""
    with lab.session() as session:
        yield look({h.name: h.cluster_address for h in session.lab.inventory.hosts.values()}, session.doors), session


def path(lab, source, target):
    with read(lab) as (found, _):
        return trace(found, end(found, source), end(found, target))


def map_of(lab, check=0):
    made = json.loads(lab.cli("net", "map", "-o", "json", check=check).stdout)
    return made, {c["name"]: c for host in made["hosts"] for c in host["containers"]}


@pytest.fixture(autouse=True)
def nothing_left(lab):
    """Whatever a test does, no capture is left on the hosts."""
    yield
    assert {h: lab.ssh(h, LEFT) for h in lab.hosts} == {"docker1": "", "docker2": ""}


# The map


def test_the_map_has_all_containers_and_their_links_by_the_kernels_own_word(lab):
    _, found = map_of(lab)
    assert set(found) == {"qyt1", "qyt2", "b1", "b2", "b3", "o1", "h1", "n1", "c1", "m1", "m2", "st"}
    say = "for c in b1 b2 o1 qyt1; do for n in eth0 eth1; do f=/sys/class/net/$n; docker exec $c sh -c "
    said = lab.ssh(
        "docker1", say + '"[ ! -e $f ] || echo $c $n \\$(cat $f/ifindex $f/iflink $f/mtu $f/address)"; done; done'
    )
    for line in said.splitlines():
        name, link, index, peer, mtu, mac = line.split()
        one = next(i for i in found[name]["interfaces"] if i["name"] == link)
        assert [one["index"], one["port"]["index"], one["mtu"], one["mac"]] == [int(index), int(peer), int(mtu), mac]
    assert len(said.splitlines()) == 6
    ports = {i["port"]["name"] for n in ("b1", "b2", "o1") for i in found[n]["interfaces"]}
    assert ports <= set(lab.ssh("docker1", "ls /sys/class/net").split())
    assert (found["st"]["state"], found["st"]["interfaces"]) == ("exited", [])
    assert (found["c1"]["shares"], found["h1"]["interfaces"], found["n1"]["interfaces"]) == ("b1", [], [])
    assert found["m2"]["interfaces"][0]["parent"]["name"] == "eth0"


def test_the_commands_of_the_map_find_the_same(lab):
    _, found = map_of(lab)
    (one,) = found["o1"]["interfaces"]
    inside, outside = (lab.ssh("docker1", command) for command in one["commands"])
    assert f"eth0@if{one['port']['index']}" in inside
    assert f": {one['port']['name']}@" in outside
    (overlay, _) = found["qyt1"]["interfaces"]
    assert ": veth0@" in lab.ssh("docker1", overlay["commands"][1])


def test_the_table_fits_a_terminal_and_names_the_overlays_bridge(lab):
    out = lab.cli("net", "map").stdout
    assert max(map(len, (line.rstrip() for line in out.splitlines()))) <= 100
    assert "br0, VXLAN 256" in out


def test_a_host_that_does_not_answer_is_missing_and_the_rest_is_shown(lab):
    rule = "INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j REJECT --reject-with tcp-reset"
    with lab.session() as session:
        # The connection that is open already stays so, to mend it.
        door = session.doors("docker2")
        door.run(script(f"iptables -I {rule}")).expect()
        try:
            made, found = map_of(lab, check=1)
            unknown = lab.cli("path", "qyt1", "qyt2", check=2).stderr
        finally:
            door.run(script(f"iptables -D {rule}")).expect()
    assert list(made["missing"]) == ["docker2"]
    assert "qyt1" in found
    assert "docker2 did not answer" in unknown


# The path


def test_the_path_of_every_pair_is_what_ping_says(lab):
    with read(lab) as (found, _):
        names = [f"{h.name}:{c.name}" for h in found.hosts.values() for c in h.containers if c.namespace]
        ends = {n: end(found, n) for n in (*names, *found.hosts)}
        paths = {(a, b): trace(found, ends[a], ends[b]) for a in ends for b in ends if a != b}
        # Where two have one address, ping would be answered by the wrong one.
        asked = {pair: p for pair, p in paths.items() if p.address and "is an address of" not in p.broken}
        lines = dict.fromkeys(found.hosts, "")
        for (a, b), p in asked.items():
            enter = f"nsenter -t {ends[a].container.pid} -n " if ends[a].container else ""
            ping = f"{enter}ping -q -c 1 -W 2 {p.address} >/dev/null 2>&1"
            lines[ends[a].host.name] += f"{{ {ping} && echo {a} {b} yes || echo {a} {b} no; }} &\n"
    said = [line.split() for host, pings in lines.items() for line in lab.ssh(host, f"{pings}wait").splitlines()]
    assert len(said) == len(asked) > 120
    wrong = [
        (a, b, answer, asked[a, b].broken) for a, b, answer in said if (answer == "yes") is bool(asked[a, b].broken)
    ]
    assert wrong == []


def test_every_command_of_a_path_shows_what_the_hop_says(lab):
    made = json.loads(lab.cli("path", "qyt1", "qyt2", "-o", "json").stdout)
    hops = made["there"]["hops"]
    assert [h["link"]["name"] for h in hops[1:9]] == [
        "veth0", "br0", "vxlan0", "eth0", "eth0", "vxlan0", "br0", "veth0",
    ]  # fmt: skip
    for host in lab.hosts:
        mine = [h for h in hops if h["host"] == host]
        said = lab.ssh(host, "; echo ---; ".join(c for h in mine for c in h["commands"])).split("---")
        for hop, command, text in ((h, c, said.pop(0)) for h in mine for c in h["commands"]):
            expected = f"dst {lab.net}." if "fdb" in command else hop["link"]["name"]
            assert expected in text, f"{command}: {text}"
            if "addr show" in command:
                assert hop["link"]["mac"] in text
                assert f"mtu {hop['link']['mtu']}" in text
    assert made["holds"]
    assert [h["outer"] for h in hops[4:6]] == [f"{lab.net}.1 → {lab.net}.2, VNI 256"] * 2


def mac(lab, host, name):
    return lab.ssh(
        host, f"docker inspect -f '{{{{(index .NetworkSettings.Networks \"qyt_overlay\").MacAddress}}}}' {name}"
    ).strip()


def test_a_forwarding_entry_that_is_gone_is_named_by_path_and_capture(lab):
    entry = f"{mac(lab, 'docker2', 'qyt2')} dev vxlan0 dst {lab.net}.2 self"
    with broken(lab, "docker1", f"{OVERLAY}bridge fdb del {entry}", f"{OVERLAY}bridge fdb replace {entry} permanent"):
        out = lab.cli("path", "qyt1", "qyt2", check=1).stdout
        seen = json.loads(lab.cli("capture", "qyt1", "qyt2", "-o", "json", check=1).stdout)
    assert "it breaks at hop 4: vxlan0 on docker1 has no forwarding entry for" in out
    assert seen["last_seen"].endswith("/vxlan0")
    assert seen["lost_before"] == "docker1/eth0"
    assert [bool(p["request"]) for p in seen["points"]] == [True] * 4 + [False] * 6


BREAKS = {
    "the port of the target": ("docker2", OVERLAY + "ip link set veth0 {}", "down", "up", "veth0 is down"),
    "the bridge of the sender": ("docker1", OVERLAY + "ip link set br0 {}", "down", "up", "br0 is down"),
    "the tunnel of the target": ("docker2", OVERLAY + "ip link set vxlan0 {}", "down", "up", "vxlan0 is down"),
    "a rule on the underlay": (
        "docker2",
        "iptables {} INPUT -p udp --dport 4789 -j DROP",
        "-I",
        "-D",
        "docker2's firewall drops it: -A INPUT -p udp -m udp --dport 4789 -j DROP",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_broken_on_the_way_is_where_the_path_ends(lab, what):
    host, command, how, mend, why = BREAKS[what]
    with broken(lab, host, command.format(how), command.format(mend)):
        found = path(lab, "qyt1", "qyt2")
    assert why in found.broken
    assert found.hops[-1].host == host


MTUS = {
    "a port": ("docker2", OVERLAY + "ip link set veth0 mtu {}", 1300, 1450, 1300, "veth0 takes 1300 bytes"),
    "the underlay": ("docker2", "ip link set eth0 mtu {}", 1450, 1500, 1400, "50 of them for VXLAN"),
}


@pytest.mark.parametrize("what", MTUS)
def test_an_mtu_that_is_too_small_is_told_and_true(lab, what):
    host, command, less, right, largest, why = MTUS[what]
    enter = "nsenter -t $(docker inspect -f '{{.State.Pid}}' qyt1) -n "
    size = enter + "ping -q -M do -c 3 -i 0.2 -W 1 -s %d %s"
    with broken(lab, host, command.format(less), command.format(right)):
        found = path(lab, "qyt1", "qyt2")
        # A link lets the four bytes of a VLAN's tag through besides.
        passes = lab.ssh("docker1", size % (largest - 28, found.address), check=None)
        lost = lab.ssh("docker1", size % (largest - 28 + 8, found.address), check=None)
    assert (found.broken, found.mtu) == ("", largest)
    assert why in found.warnings[0]
    assert " 0% packet loss" in passes
    assert "100% packet loss" in lost


# The capture


def test_one_ping_is_seen_at_every_hop_in_its_tunnel_and_out_of_it(lab, tmp_path):
    kept = tmp_path / "kept" / "ping.pcapng"
    made = json.loads(lab.cli("capture", "qyt1", "qyt2", "--write", str(kept), "-o", "json").stdout)
    assert made["holds"]
    vnis = [p["request"]["vni"] for p in made["points"]]
    assert vnis == [0] * 4 + [256] * 2 + [0] * 4
    wire = made["points"][4]["request"]
    assert wire["outer"]["ips"] == [f"{lab.net}.1", f"{lab.net}.2"]
    assert wire["inner"] == made["points"][0]["request"]["inner"]
    assert wire["length"] == made["points"][0]["request"]["length"] + 50
    from scapy.utils import PcapNgReader

    with PcapNgReader(str(kept)) as reader:
        names = {p.sniffed_on for p in reader}
    assert names == {p["name"] for p in made["points"]}
    assert "is there already" in lab.cli("capture", "qyt1", "qyt2", "--write", str(kept), check=2).stderr


def test_other_networks_are_captured_as_well_and_a_folder_has_a_file_a_host(lab, tmp_path):
    made = json.loads(lab.cli("capture", "m1", "m2", "--write", str(tmp_path), "-o", "json").stdout)
    assert [p["name"] for p in made["points"]] == ["docker1/m1/eth0", "docker1/eth0", "docker2/eth0", "docker2/m2/eth0"]
    assert made["holds"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["docker1.pcapng", "docker2.pcapng"]
    masked = lab.cli("capture", "b1", "docker2").stdout
    assert f"{lab.net}.1 → {lab.net}.2  ttl 63" in masked, "the host's address in place of the container's"
    parent = lab.cli("capture", "m1", "docker1", check=1).stdout
    assert "it asked who has the address, and nobody answered" in parent


def test_without_tcpdump_it_is_said_what_to_type_and_nothing_is_left(lab):
    with broken(lab, "docker2", "mv /usr/bin/tcpdump /root/", "mv /root/tcpdump /usr/bin/"):
        said = lab.cli("capture", "qyt1", "qyt2", check=4).stderr
    assert "docker2: there is no tcpdump" in said
    assert "clusterctl exec --root --hosts docker2 -- apt-get install -y tcpdump" in said


def test_a_capture_that_nobody_brings_back_ends_and_goes_by_itself(lab):
    with lab.session() as session:
        begun = session.doors("docker1").run(capture.start([("", "eth0", "icmp")], limit=1))
        folder = begun.stdout.strip()
        assert lab.ssh("docker1", LEFT).splitlines()[0] == folder
    deadline = time.monotonic() + 12
    while lab.ssh("docker1", LEFT) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert lab.ssh("docker1", LEFT) == ""


def test_an_empty_capture_is_brought_back_as_one(lab):
    with lab.session() as session:
        door = session.doors("docker1")
        folder = door.run(capture.start([("", "eth0", "icmp and host 192.0.2.1")], limit=9)).stdout.strip()
        text = door.run(capture.collect(folder)).expect().stdout
    assert packets.decode(base64.b64decode(text.splitlines()[1])) == ()

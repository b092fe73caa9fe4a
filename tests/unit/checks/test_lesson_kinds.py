"""The expectations of the lessons: what each holds on, what it fails on, and what proves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clusterctl.checks import KINDS, checks_of
from clusterctl.checks.perform import bundle, look
from clusterctl.checks.probe import InContainer, KeysAround, OnHost, Stages
from clusterctl.model.facts import Address, ContainerFacts, DockerFacts, Facts, HostFacts, NetworkFacts
from clusterctl.model.inventory import load_inventory
from clusterctl.model.lab import LABEL, Lab
from clusterctl.model.playbook import load_playbook
from clusterctl.plan.command import Result
from clusterctl.plan.door import Exec
from clusterctl.testing import FakeDocker, FakeDoor, FakeEtcd

INVENTORY = "name: ut\nprovider: ssh\nhosts: {docker1: 10.1.90.1, docker2: 10.1.90.2}\n"
PLAYBOOK = """\
name: kinds
networks:
  own: {driver: bridge, subnet: 10.30.1.0/24}
  over: {driver: overlay, subnet: 10.10.10.0/24}
containers:
  c1: {host: docker1, network_mode: bridge}
  c2: {host: docker1, network_mode: bridge, links: ["c1:web"]}
  mine: {host: docker1, networks: [own]}
  ours: {host: docker1, networks: {own: {aliases: [db]}}}
  sidecar: {host: docker1, network_mode: "container:c1"}
  onhost: {host: docker1, network_mode: host}
  alone: {host: docker1, network_mode: none}
  far: {host: docker2, networks: [over]}
expect:
"""
MAC = "02:42:ac:11:00:02"
BRIDGE_ID = "abcdef0123456789"

LINKS = "1: lo: <LOOPBACK,UP> mtu 65536\\    link/loopback 00:00:00:00:00:00\n"
ETH0 = f"5: eth0@if6: <UP> mtu 1500 master x\\    link/ether {MAC} brd ff:ff:ff:ff:ff:ff\n"
HELD = "1: lo    inet 127.0.0.1/8 scope host lo\n5: eth0    inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0\n"
ROUTES = "default via 172.17.0.1 dev eth0 \n172.17.0.0/16 dev eth0 scope link  src 172.17.0.2 \n"
ON_HOST = "2: eth0    inet 10.1.90.1/24 scope global eth0\n3: docker0    inet 172.17.0.1/16 scope global docker0\n"
ENDS = (
    "/sys/class/net/lo/address:00:00:00:00:00:00\n/sys/class/net/eth0/address:" + MAC + "\n"
    "/sys/class/net/eth0/iflink:6\n/sys/class/net/lo/iflink:1\n"
)
HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n172.17.0.2\tweb 76e62d c1 # a link\n172.17.0.3\tdfaed\n"
LISTENS = "Proto Recv-Q Send-Q Local Address\ntcp  0  0 :::80   :::*   LISTEN\n"
KNOWN = "Server:\t127.0.0.11\n\nName:\t%s\nAddress: 10.30.1.2\n"
RESOLV = "nameserver 127.0.0.11\n"
TAKEN = "httpd: bind: Address already in use\n"


def port(master="docker0", flags=("UP",), kind="veth", index=6):
    link = {"ifindex": index, "ifname": "veth1", "flags": flags, "linkinfo": {"info_kind": kind}}
    return json.dumps([{**link, "master": master} if master else link])


def running(name, mode="bridge", **networks):
    labels = {LABEL: "ut"}
    return ContainerFacts(f"id-{name}", name, "probe", "running", labels, networks or {}, mode)


def known(**more):
    own = NetworkFacts(BRIDGE_ID, "own", "bridge", "local", "10.30.1.0/24", labels={LABEL: "ut"})
    containers = (
        running("c1", bridge=("172.17.0.2", MAC)),
        running("c2", bridge=("172.17.0.3", "02:42:ac:11:00:03")),
        running("mine", "own", own=("10.30.1.2", MAC)),
        running("ours", "own", own=("10.30.1.3", "02:42:0a:1e:01:03")),
        running("sidecar", "container:id-c1"),
        running("onhost", "host", host=("", "")),
        running("alone", "none", none=("", "")),
    )
    found = {c.name: c for c in containers} | more
    docker1 = DockerFacts("20.10.24", networks={"own": own}, containers=found)
    over = NetworkFacts("0ver", "over", "overlay", "global", "10.10.10.0/24", labels={LABEL: "ut"})
    far = running("far", "over", over=("10.10.10.2", "02:42:0a:0a:0a:02"))
    docker2 = DockerFacts("20.10.24", networks={"over": over}, containers={"far": far})
    addresses = (Address("eth0", "10.1.90.1", 24),)
    return Facts({"docker1": HostFacts("docker1", addresses=addresses, docker=docker1)}).with_host(
        HostFacts("docker2", docker=docker2)
    )


def lab(*expect):
    text = PLAYBOOK + "".join(f"  - {e}\n" for e in expect)
    return Lab(load_inventory(INVENTORY, "i.yml"), load_playbook(text, "p.yml", KINDS), text, Path("/state"))


def judged(expect, said, facts=None):
    """Judge one expectation; `said` gives what a command prints by a part of its line, with its exit code."""
    (check, *_) = checks_of(lab(expect), facts or known())
    answers = {}
    for probe in check.probes:
        line = f"{getattr(probe, 'container', probe.host)}: {probe.line()}"
        given = next((v for k, v in said.items() if k in line), None)
        if given is None:
            continue
        output, code = given if isinstance(given, tuple) else (given, 0)
        if isinstance(probe, InContainer):
            answers[probe] = Exec(code, output)
        elif isinstance(probe, OnHost):
            answers[probe] = Result(probe.host, probe.command, code, output, "")
        else:
            answers[probe] = given
    return check.judge(answers)


GATEWAY = {"c1: docker exec c1 ip route": ROUTES, "docker1: ip": ON_HOST}
CASES = [
    # address
    ("address: {of: c1, is: 172.17.0.2}", {"ip -o": HELD}, "ok", "eth0 has 172.17.0.2/16"),
    ("address: {of: c1, on: bridge}", {"ip -o": HELD}, "ok", "eth0"),
    ("address: {of: c1, is: 172.17.0.9}", {"ip -o": HELD}, "failed", "it has 172.17.0.2, not 172.17.0.9"),
    ("address: {of: c1}", {"ip -o": ON_HOST}, "failed", "Docker says 172.17.0.2, the container has 10.1.90.1/24"),
    ("address: {of: sidecar, is: 172.17.0.2}", {"ip -o": HELD}, "ok", "eth0"),
    ("address: {of: onhost}", {"ip -o": ON_HOST}, "ok", "eth0 has 10.1.90.1/24"),
    ("address: {of: alone}", {}, "failed", "Docker gave it no address"),
    ("address: {of: far, on: own}", {}, "failed", "Docker gave it no address on own"),
    # gateway
    ("gateway: {of: c1, is: 172.17.0.1}", GATEWAY, "ok", "172.17.0.1 is docker0 of docker1"),
    ("gateway: {of: c1}", GATEWAY, "ok", "docker0"),
    ("gateway: {of: c1, is: 172.17.0.9}", GATEWAY, "failed", "leads to 172.17.0.1, not to 172.17.0.9"),
    ("gateway: {of: c1}", {**GATEWAY, "docker1: ip": HELD}, "failed", "which no interface of docker1 has"),
    ("gateway: {of: c1}", {"ip route": "", "docker1: ip": ON_HOST}, "failed", "it has no default route"),
    ("gateway: {of: alone, is: none}", {"ip route": ""}, "ok", "empty"),
    ("gateway: {of: alone, is: none}", {"ip route": ROUTES}, "failed", "leads to 172.17.0.1"),
    ("gateway: {of: alone, is: none}", {"ip route": ("ip: no", 1)}, "unknown", "ip route"),
    # interfaces
    ("interfaces: {of: c1, are: [lo, eth0]}", {"link": LINKS + ETH0, "addr": HELD}, "ok", "eth0 172.17.0.2/16"),
    ("interfaces: {of: alone, are: [lo]}", {"link": LINKS + ETH0, "addr": HELD}, "failed", "eth0 172.17.0.2/16"),
    ("interfaces: {of: sidecar, same_as: c1}", {"link": LINKS + ETH0, "addr": HELD}, "ok", "eth0"),
    (
        "interfaces: {of: sidecar, same_as: c1}",
        {"sidecar: docker exec sidecar ip -o link": LINKS, "link": LINKS + ETH0, "addr": HELD},
        "failed",
        "c1 has",
    ),
    ("interfaces: {of: onhost, same_as: host}", {"link": LINKS + ETH0, "addr": ON_HOST}, "ok", "1 without an address"),
    # veth
    ("veth: {of: c1}", {"iflink": ENDS, "ip -d": port()}, "ok", "a port of docker0"),
    ("veth: {of: mine}", {"iflink": ENDS, "ip -d": port("br-abcdef012345")}, "ok", "br-abcdef012345"),
    ("veth: {of: mine}", {"iflink": ENDS, "ip -d": port("docker0")}, "failed", "not of br-abcdef012345"),
    ("veth: {of: c1}", {"iflink": ENDS, "ip -d": port("")}, "failed", "a port of no bridge"),
    ("veth: {of: c1}", {"iflink": ENDS, "ip -d": port(flags=())}, "failed", "is down"),
    ("veth: {of: c1}", {"iflink": ENDS, "ip -d": port(kind="dummy")}, "failed", "which is no veth but dummy"),
    ("veth: {of: c1}", {"iflink": ENDS, "ip -d": port(index=9)}, "failed", "which no link of the host has"),
    ("veth: {of: c1}", {"iflink": "", "ip -d": port()}, "unknown", "no interface of c1 shows"),
    ("veth: {of: c1}", {"iflink": ENDS, "ip -d": "ip: unknown"}, "unknown", "JSON"),
    ("veth: {of: alone}", {}, "failed", "no interface of its own on a bridge"),
    # hosts_file
    ("hosts_file: {of: c2, has: c1}", {"cat": HOSTS}, "ok", "172.17.0.2 web"),
    ("hosts_file: {of: c2, has: c1}", {"cat": "127.0.0.1 localhost\n"}, "failed", "does not name web"),
    ("hosts_file: {of: c2, has: c1}", {"cat": HOSTS.replace("0.2", "0.9")}, "failed", "it says 172.17.0.9 web"),
    ("hosts_file: {of: c1, has: c2, succeeds: false}", {"cat": HOSTS}, "ok", "not c2"),
    (
        "hosts_file: {of: c1, has: c2, succeeds: false}",
        {"cat": HOSTS + "1.1.1.1 c2"},
        "failed",
        "1.1.1.1 c2 is",
    ),
    ("hosts_file: {of: c1, has: c2, succeeds: false}", {"cat": ""}, "unknown", "does not name localhost"),
    # connects
    ("connects: {from: c2, to: c1, port: 80}", {"nc": "", "netstat": LISTENS}, "ok", "connected to c1 port 80"),
    (
        "connects: {from: sidecar, to: c1, port: 80, by: localhost}",
        {"nc": "", "netstat": LISTENS},
        "ok",
        "connected to 127.0.0.1",
    ),
    (
        "connects: {from: c2, to: c1, port: 80, by: address}",
        {"nc": ("nc: timed out", 1), "netstat": LISTENS},
        "failed",
        "no connection: nc: timed out",
    ),
    ("connects: {from: c2, to: c1, port: 81}", {"nc": "", "netstat": LISTENS}, "failed", "nothing in c1 listens"),
    (
        "connects: {from: mine, to: c1, port: 80, succeeds: false}",
        {"nc": ("nc: bad address 'c1'", 1), "netstat": LISTENS},
        "ok",
        "bad address 'c1'; c1 listens on port 80",
    ),
    (
        "connects: {from: mine, to: c1, port: 80, succeeds: false}",
        {"nc": "", "netstat": LISTENS},
        "failed",
        "connected",
    ),
    (
        "connects: {from: mine, to: c1, port: 80, succeeds: false}",
        {"nc": ("nc: bad address 'c1'", 1), "netstat": ""},
        "failed",
        "nothing in c1 listens",
    ),
    (
        "connects: {from: mine, to: c1, port: 80, succeeds: false}",
        {"nc": ("Usage: nc", 1), "netstat": LISTENS},
        "unknown",
        "did not say why",
    ),
    ("connects: {from: c1, to: alone, port: 80, by: address}", {}, "failed", "alone has no address"),
    # binds
    ("binds: {in: c1, port: 80}", {"httpd": (TAKEN, 1)}, "failed", "already in use"),
    ("binds: {in: c1, port: 80, succeeds: false}", {"httpd": (TAKEN, 1)}, "ok", "already in use"),
    (
        "binds: {in: onhost, port: 80, succeeds: false}",
        {"httpd": (TAKEN, 1), "ss": 'LISTEN 0 9 *:80 *:* users:(("nginx",pid=7,fd=4))'},
        "ok",
        "nginx on docker1 has it",
    ),
    ("binds: {in: c1, port: 80, succeeds: false}", {"httpd": ("Usage", 1)}, "unknown", "did not say"),
    # resolves
    ("resolves: {from: ours, to: mine}", {"nslookup": KNOWN % "mine", "cat": RESOLV}, "ok", "mine is 10.30.1.2"),
    ("resolves: {from: mine, to: ours, as: db}", {"nslookup": KNOWN % "db", "cat": RESOLV}, "failed", "on docker1"),
    (
        "resolves: {from: mine, to: ours, as: nobody, succeeds: false}",
        {
            "nslookup -timeout=1": ("** server can't find nobody: NXDOMAIN", 1),
            "nslookup mine": KNOWN % "mine",
            "cat": RESOLV,
        },
        "ok",
        "does not know nobody",
    ),
    (
        "resolves: {from: mine, to: ours, as: nobody, succeeds: false}",
        {"nslookup": (";; connection timed out; no servers could be reached", 1), "cat": RESOLV},
        "unknown",
        "does not answer at all",
    ),
    (
        "resolves: {from: mine, to: ours, as: db, succeeds: false}",
        {"nslookup": KNOWN % "db", "cat": RESOLV},
        "failed",
        "db is 10.30.1.2",
    ),
    # ping
    (
        "ping: {from: alone, to: c1, by: address, succeeds: false}",
        {"ping": ("PING 172.17.0.2 (172.17.0.2): 56 data bytes\nping: sendto: Network is unreachable", 1), "true": ""},
        "ok",
        "no route leads to 172.17.0.2",
    ),
    (
        "ping: {from: alone, to: c1, by: address}",
        {"ping": ("PING 172.17.0.2 (172.17.0.2): 56 data bytes\nping: sendto: Network is unreachable", 1)},
        "failed",
        "no route leads to",
    ),
    ("ping: {from: c1, to: alone, by: address, succeeds: false}", {}, "failed", "it has none"),
]


@pytest.mark.parametrize(("expect", "said", "severity", "words"), CASES, ids=[f"{c[2]}: {c[0]}: {c[3]}" for c in CASES])
def test_a_check_judges_by_what_was_seen(expect, said, severity, words) -> None:
    found = judged(expect, said)
    assert (str(found.severity), words in found.seen) == (severity, True), found


def test_an_answer_that_is_missing_is_never_a_success() -> None:
    for expect, said, *_ in CASES:
        if said:
            assert str(judged(expect, {}).severity) != "ok", expect


def test_a_container_that_is_gone_fails_what_asks_it() -> None:
    gone = known(c1=ContainerFacts("9", "c1", "x", "exited", {LABEL: "ut"}))
    for expect in ("address: {of: c1}", "veth: {of: c1}", "hosts_file: {of: c2, has: c1}", "address: {of: sidecar}"):
        assert "container c1 is exited" in judged(expect, {"": ""}, gone).seen


def test_who_has_the_address_that_a_container_should_have_is_in_the_hint() -> None:
    other = ContainerFacts("9", "web", "x", "running", {}, {"bridge": ("172.17.0.9", "")})
    found = judged("address: {of: c1, is: 172.17.0.9}", {"ip -o": HELD}, known(web=other))
    assert found.hint == "172.17.0.9 is that of web, which is not of this lab"


def test_all_stands_for_each_container() -> None:
    checks = checks_of(lab("gateway: {of: all}"), known())
    assert [c.subject for c in checks] == ["c1", "c2", "mine", "ours", "sidecar", "onhost", "alone", "far"]


KEYS = {
    "/docker/network/v1.0/network/n1": json.dumps({"name": "over", "id": "n1"}),
    "/docker/network/v1.0/overlay/network/n1": json.dumps({"subnets": [{"Vni": 256}]}),
    "/docker/network/v1.0/endpoint/n1/e1": json.dumps({"name": "far", "ep_iface": {"addr": "10.10.10.2/24"}}),
    "/docker/network/v1.0/idm/x": "taken",
}
CAME = {"/docker/network/v1.0/network/n2": "{}", "/docker/network/v1.0/ipam/n2": ""}


@pytest.mark.parametrize(
    ("before", "between", "after", "own", "around"),
    [
        (KEYS, KEYS | CAME, KEYS, "ok", "ok"),
        (KEYS, KEYS | CAME, KEYS | CAME, "ok", "failed"),
        (KEYS, KEYS, KEYS, "ok", "failed"),
        ({k: v for k, v in KEYS.items() if "endpoint" not in k}, CAME, {}, "failed", "ok"),
        ({k: v.replace("over", "x") for k, v in KEYS.items()}, CAME, {}, "failed", "ok"),
        ({"/docker/network/v1.0/network/n1": "[not json"}, CAME, {}, "failed", "ok"),
    ],
)
def test_the_store_s_keys_before_and_after(before, between, after, own, around) -> None:
    checks = checks_of(lab("stored: {network: over}"), known())
    answers = {checks[0].probes[0]: Stages(before, between, after)}
    assert [str(c.judge(answers).severity) for c in checks] == [own, around]


def test_a_bridge_has_nothing_in_the_store() -> None:
    assert "the store knows nothing of it" in judged("stored: {network: own}", {}).seen


def section(**parts):
    return "".join(f"\x01 {name}\n{text}\n" for name, text in parts.items())


@pytest.mark.parametrize(
    ("printed", "severity", "words"),
    [
        (section(before="[]", ends=ENDS, during=port(), after="[]"), "ok", "veth1 (index 6) came to docker0"),
        (section(before="[]", ends=ENDS, during=port(""), after="[]"), "failed", "no veth of the container came"),
        (section(before="[]", ends=ENDS, during=port(), after=port()), "failed", "stayed without it"),
        (section(before=port(), ends=ENDS, during=port(), after="[]"), "unknown", "was there before"),
        (section(before="[]", ends=ENDS), "unknown", "cut short"),
    ],
)
def test_a_veth_comes_and_goes(printed, severity, words) -> None:
    found = judged("lifetime: {on: docker1}", {"docker": printed})
    assert (str(found.severity), words in found.seen) == (severity, True), found


ON = "1: eth0    inet 172.17.0.9/16 scope global eth0\n"
OVER = ON + "2: eth1    inet 10.10.10.7/24 scope global eth1\n"
PONG = "PING far (10.10.10.2): 56 data bytes\n64 bytes from 10.10.10.2\n1 packets transmitted, 1 packets received, 0%"


@pytest.mark.parametrize(
    ("printed", "severity", "words"),
    [
        (section(alone=ON, attached=OVER, ping=PONG, detached=ON), "ok", "eth1 came with 10.10.10.7/24, far"),
        (section(alone=ON, attached=ON, ping=PONG, detached=ON), "failed", "no interface came"),
        (section(alone=ON, attached=OVER, ping="ping: bad address 'far'", detached=ON), "failed", "was not reached"),
        (section(alone=ON, attached=OVER, ping=PONG, detached=OVER), "failed", "stayed"),
        (section(alone=ON), "unknown", "cut short"),
    ],
)
def test_a_container_is_attached_and_detached(printed, severity, words) -> None:
    found = judged("attaches: {on: docker1, network: over, reaches: far}", {"docker": printed})
    assert (str(found.severity), words in found.seen) == (severity, True), found


def test_what_makes_something_is_not_tried_where_something_does_not_hold_and_undone_where_it_fails() -> None:
    doors = {h: FakeDoor(h, etcd=FakeEtcd(stored=KEYS), docker=FakeDocker(h)) for h in ("docker1", "docker2")}
    checks = checks_of(lab("stored: {network: over}", "address: {of: c1}"), known())
    *stored, address = look(checks, doors.__getitem__)
    assert [str(f.severity) for f in stored] == ["unknown", "unknown"]
    assert "it was not tried" in stored[0].seen
    assert not address.holds
    assert doors["docker1"].lines == []
    look(checks[:2], doors.__getitem__)
    assert [line.split()[:3] for line in doors["docker1"].lines[:2]] == [
        ["docker", "network", "create"],
        ["docker", "network", "rm"],
    ]


def test_a_key_probe_says_what_one_would_type() -> None:
    (probe,) = checks_of(lab("stored: {network: over}"), known())[0].probes
    assert isinstance(probe, KeysAround)
    assert "clusterctl etcd keys --watch" in probe.line()


def test_the_environment_of_a_command_goes_into_its_bundle_and_its_line() -> None:
    probe = InContainer("h", "c", ("ping", "x"), env=("A=b c",))
    assert "(export 'A=b c'; one 0 3 ping x) &" in bundle([probe])[2]
    assert probe.line() == "docker exec --env 'A=b c' c ping x"

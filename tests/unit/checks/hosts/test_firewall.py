"""Rules as iptables-save prints them, walked through by a packet."""

from __future__ import annotations

import pytest
from clusterctl.checks.hosts import firewall
from clusterctl.commands.ground import Ground
from clusterctl.model.finding import Severity
from clusterctl.topology.rules import Packet, Rules, matches
from example import fresh, lab

DOCKERS = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -i docker_gwbridge -o docker_gwbridge -j DROP
-A DOCKER-USER -j RETURN
COMMIT
"""
UFW = """\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:ours - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j ours
-A ours -p tcp -m multiport --dports 22,2379:2380 -m comment --comment "etcd, ssh" -j ACCEPT
-A ours -s 10.1.90.0/24 -p udp -m udp --dport 4789 -j ACCEPT
COMMIT
"""
PACKET = Packet("udp", 4789, "10.1.90.2", "10.1.90.1", way_in="eth0")


def found(rules: str = "", **ground: object) -> list[tuple[str, str]]:
    wanted, facts = lab(), fresh()
    host = wanted.inventory.hosts["docker1"]
    stands = Ground(rules=tuple(rules.splitlines()), **{"source": "iptables-save", **ground})
    return [(str(f.severity), f.seen) for f in firewall.judge(wanted, host, facts.hosts["docker1"], stands)]


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("-j DROP", True),
        ("-p udp -m udp --dport 4789 -j DROP", True),
        ("-p udp -m udp --dport 4788 -j DROP", False),
        ("-p tcp -m tcp --dport 4789 -j DROP", False),
        ("! -p tcp -j DROP", True),
        ("-p udp -m multiport --dports 53,4000:5000 -j DROP", True),
        ("-s 10.1.90.2/32 -j DROP", True),
        ("! -s 10.1.90.0/24 -j DROP", False),
        ("-d 10.1.90.9/32 -j DROP", False),
        ("-i eth+ -j DROP", True),
        ("! -i eth0 -j DROP", False),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", False),
        ("-m conntrack --ctstate INVALID,NEW -j DROP", True),
        ('-m comment --comment "no -p here" -j DROP', True),
        ("-m mark --mark 0x1 -j DROP", None),
        ("-p tcp -m mark --mark 0x1 -j DROP", False),
        ("-m addrtype --dst-type LOCAL -j DROP", None),
    ],
)
def test_a_rule_fits_or_not_or_it_cannot_be_told(rule: str, fits: bool | None) -> None:
    import shlex

    assert matches(shlex.split(rule), PACKET) is fits


def test_docker_s_own_rules_are_in_nobody_s_way() -> None:
    assert found(DOCKERS) == [("ok", "none in the way, by iptables-save")]


def test_a_policy_is_named_for_the_ports_that_no_rule_accepts() -> None:
    assert found(UFW) == [
        ("warning", "tcp 7946, udp 7946 from other hosts is dropped: policy DROP of INPUT"),
    ]


def test_the_first_rule_that_fits_decides() -> None:
    rules = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -j ACCEPT\n-A INPUT -p udp -m udp --dport 4789 -j DROP"
    assert Rules.read(rules.splitlines()).ends(PACKET, [("filter", "INPUT")]) is None


def test_what_leaves_the_host_is_looked_at_as_well() -> None:
    rules = "*raw\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p udp -m udp --dport 4789 -j DROP\nCOMMIT"
    rule = "-A OUTPUT -p udp -m udp --dport 4789 -j DROP"
    assert found(rules) == [("warning", f"udp 4789 to other hosts is dropped: {rule}")]


def test_a_forward_policy_that_is_not_docker_s_is_a_warning() -> None:
    (only,) = found("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT")
    assert only[0] == "warning"
    assert "FORWARD" in only[1]


def test_nftables_own_chains_are_named_by_their_words() -> None:
    nft = (
        "table inet filter {",
        "\tchain input {",
        "\t\ttype filter hook input priority filter; policy drop;",
        "\t\tudp dport { 4789, 8472 } drop",
        "\t\ttcp dport 22 accept",
        "\t}",
        "}",
    )
    assert [s for s, _ in found(nft=nft)] == ["warning", "warning"]


@pytest.mark.parametrize("ground", ["docker1: no answer within 9 s", Ground(why="iptables-save: Permission denied")])
def test_rules_that_cannot_be_listed_are_unknown_never_fine(ground: Ground | str) -> None:
    wanted = lab()
    host = wanted.inventory.hosts["docker1"]
    (only,) = firewall.judge(wanted, host, fresh().hosts["docker1"], ground)
    assert only.severity is Severity.UNKNOWN


def test_chains_that_go_round_end() -> None:
    rules = "*filter\n:INPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -j a\nCOMMIT"
    assert found(rules) == [("ok", "none in the way, by iptables-save")]

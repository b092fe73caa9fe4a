"""Each judgement, on what real hosts printed: it holds on the right evidence, and on nothing else."""

import copy
from dataclasses import replace

import pytest
from clusterctl.checks import checks_of
from clusterctl.checks.probe import Ran, Trouble
from clusterctl.model.errors import InputError
from clusterctl.model.finding import Severity
from clusterctl.plan.command import Result, command
from clusterctl.plan.door import Exec
from recorded_lab import NOTHING, container, facts, inspected, lab, ran, text, with_container, without_container

OK, WARNING, FAILED, UNKNOWN = Severity.OK, Severity.WARNING, Severity.FAILED, Severity.UNKNOWN

PING = "ping: {from: qyt1, to: qyt2}"
NEGATIVE = "ping: {from: qyt1, to: qyt2, succeeds: false}"
NO_PACKET = Exec(1, "PING qyt2 (10.10.10.3): 56 data bytes\n\n3 packets transmitted, 0 packets received, 100% loss\n")
IPUTILS = Exec(
    0,
    "PING qyt2 (10.10.10.3) 56(84) bytes of data.\n64 bytes from 10.10.10.3: icmp_seq=1 ttl=64 time=0.31 ms\n\n"
    "--- qyt2 ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time 0ms\n",
)


@pytest.mark.parametrize(
    ("answer", "severity", "seen"),
    [
        (ran("ping-name.txt"), OK, "10.10.10.3 answered in 0.103 ms"),
        (IPUTILS, OK, "10.10.10.3 answered in 0.31 ms"),
        (NO_PACKET, FAILED, "3 sent to 10.10.10.3, 0 came back"),
        (ran("ping-unknown.txt"), FAILED, "the name is not known: ping: bad address 'nosuch'"),
        (Ran(143, "", cut=True), FAILED, "the name is not known: not resolved within 3 s"),
        (ran("ping-silent.txt"), FAILED, "qyt2 was taken for 10.10.10.77, its address is 10.10.10.3"),
        (ran("ping-missing.txt"), UNKNOWN, "there is no ping in the image clusterctl/probe:1"),
        (Exec(1, "ping: permission denied (are you root?)\n"), UNKNOWN, "ping did not send a packet"),
        (Exec(0, ""), UNKNOWN, "ping did not send a packet"),
        (Exec(-1, ""), UNKNOWN, "Docker did not say how it ended"),
        (Trouble("docker1: gone"), UNKNOWN, "docker1: gone"),
        (NOTHING, UNKNOWN, "was not asked"),
    ],
)
def test_a_ping_holds_only_when_the_right_address_answers(answering, answer, severity, seen):
    found = answering.judge(PING, exec={"ping": answer})
    assert found.severity is severity
    assert seen in found.seen


@pytest.mark.parametrize(
    ("answer", "severity"),
    [
        (Exec(1, "ping: bad address 'qyt2'\n"), OK),
        (NO_PACKET, OK),
        (ran("ping-name.txt"), FAILED),
        (ran("ping-silent.txt"), UNKNOWN),  # silent, but it is not the target that was asked
        (ran("ping-missing.txt"), UNKNOWN),
        (ran("ping-usage.txt"), UNKNOWN),
        (Exec(1, ""), UNKNOWN),
        (Exec(2, "ping: sendto: Network is unreachable\n"), UNKNOWN),
        (Ran(143, "PING qyt2 (10.10.10.3): 56 data bytes\n", cut=True), UNKNOWN),
        (Ran(143, "", cut=True), UNKNOWN),
        (Exec(137, "bad address 'qyt2'\n"), UNKNOWN),  # not ping's own line
        (Trouble("docker1: gone"), UNKNOWN),
        (NOTHING, UNKNOWN),
    ],
)
def test_a_negative_passes_on_the_right_evidence_only(answering, answer, severity):
    assert answering.judge(NEGATIVE, exec={"ping": answer}).severity is severity


@pytest.mark.parametrize("silence", [NO_PACKET, Exec(1, "ping: bad address 'qyt2'\n")])
def test_a_negative_does_not_pass_when_its_target_died_meanwhile(answering, silence):
    dead = Trouble("docker2: exec in container qyt2: Container is not running", "", FAILED)
    found = answering.judge(NEGATIVE, exec={"ping": silence, "true": dead})
    assert (found.severity, found.seen) == (FAILED, dead.seen)
    assert answering.judge(NEGATIVE, exec={"ping": silence, "true": NOTHING}).severity is UNKNOWN


def test_a_target_without_the_tool_is_alive_all_the_same(answering):
    found = answering.judge(NEGATIVE, exec={"ping": NO_PACKET, "true": ran("ping-missing.txt")})
    assert found.severity is OK


def test_a_check_shows_what_a_person_would_type(answering):
    assert answering.judge(PING).commands == ("docker1: docker exec qyt1 ping -c 1 -W 1 qyt2",)
    by = answering.judge("ping: {from: qyt1, to: qyt2, by: address}")
    assert by.commands == ("docker1: docker exec qyt1 ping -c 1 -W 1 10.10.10.3",)


@pytest.mark.parametrize(
    ("lookup", "severity"),
    [
        (ran("nslookup.txt"), OK),
        (ran("nslookup-unknown.txt"), FAILED),
        (Exec(0, "Name:      qyt2\nAddress 1: 10.10.10.3 qyt2.qyt_overlay\n"), OK),
        (Exec(0, "Server: 127.0.0.11\nAddress: 127.0.0.11:53\n\nName:\tqyt2\nAddress: 10.10.10.9\n"), FAILED),
        (Exec(0, "Name:\tqyt2\nAddress: 10.10.10.3\nName:\tqyt2\nAddress: 10.10.10.5\n"), FAILED),
        (Exec(0, "Server: 127.0.0.11\nAddress: 127.0.0.11:53\n"), UNKNOWN),
        (Ran(143, "", cut=True), FAILED),
        (ran("ping-missing.txt"), UNKNOWN),
    ],
)
def test_a_name_resolves_to_exactly_the_address_that_its_host_gives(answering, lookup, severity):
    assert answering.judge("resolves: {from: qyt1, to: qyt2}", exec={"nslookup": lookup}).severity is severity


def test_a_container_that_asks_another_dns_does_not_resolve(answering):
    other = Exec(0, "nameserver 10.9.9.9\nnameserver 127.0.0.11\n")
    found = answering.judge("resolves: {from: qyt1, to: qyt2}", exec={"cat": other})
    assert found.severity is FAILED
    assert "10.9.9.9" in found.seen


VISIBLE, AGREED = "visible: {network: qyt_overlay}", "agreed: {network: qyt_overlay}"


def changed(host, **fields):
    return {host: {**inspected(host), **fields}}


def test_one_network_is_seen_from_both_hosts(answering):
    assert answering.judge(VISIBLE).severity is OK


@pytest.mark.parametrize(
    ("inspect", "seen"),
    [
        ({"docker2": {}}, "there is no network qyt_overlay on docker2"),
        (changed("docker2", Id="f" * 64), "several of the same name"),
        (changed("docker2", Scope="local"), "its scope is local"),
        (changed("docker2", Driver="bridge"), "its driver is bridge"),
        (changed("docker1", IPAM={"Config": None}), "its subnet is not set"),
    ],
)
def test_another_network_of_the_name_is_not_the_network(answering, inspect, seen):
    found = answering.judge(VISIBLE, inspect=inspect)
    assert found.severity is FAILED
    assert seen in found.seen
    assert agreed(facts(), **inspect).severity is FAILED


def test_a_wrong_subnet_is_a_failure(answering):
    found = answering.judge(VISIBLE, subnet="10.10.0.0/16")
    assert found.seen.startswith("on docker1 its subnet is 10.10.10.0/24, not 10.10.0.0/16")


def agreed(known, **inspect):
    """Judge with the container `near` left out of the playbook, as on the recorded hosts."""
    made = lab(AGREED)
    playbook = made.playbook.model_copy(
        update={"containers": {k: v for k, v in made.playbook.containers.items() if k != "near"}}
    )
    (check,) = checks_of(replace(made, playbook=playbook), known)
    return check.judge({p: inspect.get(p.host, inspected(p.host)) for p in check.probes})


def endpoints(host, edit):
    raw = copy.deepcopy(inspected(host))
    edit(raw["Containers"])
    return {host: raw}


REMOTE = next(k for k in inspected("docker1")["Containers"] if k.startswith("ep-"))
LOCAL = next(k for k in inspected("docker1")["Containers"] if not k.startswith("ep-"))


def test_hosts_agree_on_who_is_on_the_network():
    assert agreed(facts()).seen == "docker1, docker2 agree: qyt1 10.10.10.2, qyt2 10.10.10.3"


@pytest.mark.parametrize(
    ("edit", "seen"),
    [
        (lambda c: c.pop(REMOTE), "docker1 does not list qyt2 of docker2"),
        (lambda c: c.pop(LOCAL), "docker1 does not list qyt1, which runs there"),
        (lambda c: c[REMOTE].update(IPv4Address="10.10.10.7/24"), "docker1 lists qyt2 with the address 10.10.10.7"),
        (lambda c: c[REMOTE].update(Name="other"), "docker1 lists qyt2 with the name other"),
        (
            lambda c: c[LOCAL].update(MacAddress="02:00:00:00:00:01"),
            "docker1 lists qyt1 with the MAC 02:00:00:00:00:01",
        ),
        (lambda c: c.update({"ep-dead": {**c[REMOTE], "EndpointID": "dead", "Name": "old"}}), "stale endpoint"),
    ],
)
def test_any_difference_between_hosts_is_said(edit, seen):
    found = agreed(facts(), **endpoints("docker1", edit))
    assert found.severity is FAILED
    assert seen in found.seen


def test_a_stale_endpoint_says_how_to_remove_it():
    stale = endpoints("docker1", lambda c: c.update({"ep-dead": {**c[REMOTE], "EndpointID": "dead", "Name": "old"}}))
    assert agreed(facts(), **stale).hint == "docker network disconnect -f qyt_overlay old"


def test_a_live_stranger_is_a_warning():
    both = endpoints("docker1", lambda c: c.update({"x": {**c[LOCAL], "EndpointID": "e", "Name": "guest"}}))
    found = agreed(facts(), **both)
    assert found.severity is WARNING
    assert "guest" in found.seen


FORWARDED = "forwarded: {from: qyt1, to: qyt2}"
OVERLAY = text("overlay-docker1.txt")


def test_the_forwarding_entry_leads_to_the_targets_host(answering):
    assert answering.judge(FORWARDED).seen == "vxlan0: 02:42:0a:0a:0a:03 dst 10.1.79.2, VNI 256"


@pytest.mark.parametrize(
    ("printed", "severity", "seen"),
    [
        (OVERLAY.replace('"dst":"10.1.79.2"', '"dst":"10.1.79.254"'), FAILED, "to 10.1.79.254, not only to 10.1.79.2"),
        (OVERLAY.replace('"dst":"10.1.79.2",', ""), FAILED, "has no entry for 02:42:0a:0a:0a:03"),
        (OVERLAY.replace('"info_kind":"vxlan"', '"info_kind":"veth"'), FAILED, "there is no VXLAN device"),
        (OVERLAY.partition("\x01 end")[0], UNKNOWN, "did not answer in full"),
        (OVERLAY.replace("[{", "1: lo: <LOOPBACK>"), UNKNOWN, "iproute2 4.14 or newer"),
        (Result("docker1", command("x", ok=(0, 3)), 3, "", ""), FAILED, "there is no namespace of qyt_overlay"),
        (Result("docker1", command("x"), 1, "", "nsenter: not permitted"), UNKNOWN, "nsenter: not permitted"),
    ],
)
def test_a_missing_or_wrong_entry_is_a_failure(answering, printed, severity, seen):
    found = answering.judge(FORWARDED, host={"overlay-docker1": printed})
    assert found.severity is severity
    assert seen in found.seen


def test_on_one_host_it_is_the_bridge_port(answering):
    near = "forwarded: {from: qyt1, to: near}"
    mine = "/sys/class/net/{0}/address:{1}\n/sys/class/net/{0}/iflink:{2}\n"
    port = OVERLAY.partition('"ifname":"veth')[0].rpartition('"ifindex":')[2].partition(",")[0]
    there = mine.format("eth0", "02:42:0a:0a:0a:09", port)
    found = answering.judge(near, exec={"sh": Exec(0, there)})
    assert found.severity is OK
    assert found.seen.startswith("same host: near's eth0 is port veth")
    gone = mine.format("eth0", "02:42:0a:0a:0a:09", 999)
    assert answering.judge(near, exec={"sh": Exec(0, gone)}).severity is FAILED
    assert answering.judge(near, exec={"sh": Exec(0, "")}).severity is UNKNOWN


ENCAPSULATED = "encapsulated: {from: qyt1, to: qyt2, by: vxlan}"
CAPTURE = text("capture-docker1.txt")


def test_the_packet_on_the_wire_carries_the_containers_packet(answering):
    found = answering.judge(ENCAPSULATED)
    assert found.severity is OK
    assert found.seen == (
        "on eth0: 10.1.79.1 > 10.1.79.2 udp 4789, VXLAN VNI 256, in it 10.10.10.2 > 10.10.10.3 ICMP echo request"
    )


@pytest.mark.parametrize(
    ("printed", "severity", "seen"),
    [
        (CAPTURE.replace("vni 256", "vni 257"), FAILED, "VNI 257, not 256"),
        (CAPTURE.replace("> 10.1.79.2.4789", "> 10.1.79.254.4789"), FAILED, "outer addresses 10.1.79.1 → 10.1.79.254"),
        (CAPTURE.replace("10.10.10.2 > 10.10.10.3: ICMP", "10.10.10.9 > 10.10.10.3: ICMP"), FAILED, "inner addresses"),
        (CAPTURE.replace("ICMP echo request", "ICMP echo reply"), UNKNOWN, "decoded something else"),
        (CAPTURE.replace("made 0", "made 1"), WARNING, "no reply came back"),
        (CAPTURE.replace("made 0", "made 126"), UNKNOWN, "there is no ping in the image"),
        (CAPTURE.replace("packets transmitted", "?"), UNKNOWN, "no ping was sent"),
        (text("capture-dropped.txt"), FAILED, "no VXLAN packet of it left eth0"),
        (CAPTURE.partition("\x01 end")[0], UNKNOWN, "cut short"),
        (Result("docker1", command("x", ok=(4,)), 4, "", "tcpdump: eth0: No such device"), UNKNOWN, "No such device"),
        (Result("docker1", command("x", ok=(127,)), 127, "", ""), UNKNOWN, "there is no tcpdump"),
    ],
)
def test_any_other_packet_is_not_the_packet(answering, printed, severity, seen):
    found = answering.judge(ENCAPSULATED, host={"capture-docker1": printed})
    assert (found.severity, seen in found.seen) == (severity, True), found.seen


def test_hosts_with_different_vnis_are_a_failure(answering):
    other = text("overlay-docker2.txt").replace('"id":256,', '"id":300,')
    found = answering.judge(ENCAPSULATED, host={"overlay-docker2": other})
    assert found.severity is FAILED
    assert "docker1: 256, docker2: 300" in found.seen


def test_two_containers_on_one_host_never_reach_the_wire(answering):
    found = answering.judge("encapsulated: {from: qyt1, to: near}")
    assert found.severity is FAILED
    assert "both run on docker1" in found.seen


@pytest.mark.parametrize("kind", ["ping", "resolves", "forwarded", "encapsulated"])
def test_a_container_that_does_not_run_fails_at_once(answering, kind):
    stopped = replace(container("qyt2", "docker2"), state="exited")
    answering.known = with_container(answering.known, "docker2", stopped)
    check = answering.check(f"{kind}: {{from: qyt1, to: qyt2}}")
    assert check.probes == ()
    assert check.judge({}).seen == "container qyt2 is exited on docker2"
    assert check.judge({}).severity is FAILED
    answering.known = without_container(answering.known, "docker2", "qyt2")
    assert (
        answering.check(f"{kind}: {{from: qyt1, to: qyt2}}").judge({}).seen == "there is no container qyt2 on docker2"
    )


def test_a_negative_fails_too_when_its_target_does_not_run(answering):
    answering.known = without_container(answering.known, "docker2", "qyt2")
    assert answering.check(NEGATIVE).judge({}).severity is FAILED


def test_a_host_that_did_not_answer_is_unknown(answering):
    known = answering.known
    hosts = {k: v for k, v in known.hosts.items() if k != "docker2"}
    answering.known = replace(known, hosts=hosts, missing={"docker2": "no route to host"})
    for expect in (PING, VISIBLE, AGREED):
        found = answering.check(expect).judge({})
        assert found.severity is UNKNOWN
        assert "no route to host" in found.seen


def test_all_is_every_ordered_pair_that_shares_a_network():
    subjects = [c.subject for c in checks_of(lab("ping: {from: all, to: all}"), facts())]
    assert sorted(subjects) == [
        "near → qyt1", "near → qyt2", "qyt1 → near", "qyt1 → qyt2", "qyt2 → near", "qyt2 → qyt1",
    ]  # fmt: skip
    subjects = [c.subject for c in checks_of(lab("encapsulated: {from: all, to: qyt2}"), facts())]
    assert subjects == ["qyt1 → qyt2", "near → qyt2"]


def test_all_that_means_nobody_is_a_failure():
    (check,) = checks_of(lab("ping: {from: solo, to: all}"), facts())
    assert check.judge({}).severity is FAILED


def test_an_expectation_names_what_it_mentions():
    with pytest.raises(InputError) as error:
        lab("ping: {from: qyt1, to: qyt9}", "visible: {network: nonet}", "ping: {from: qyt1, to: qyt1}")
    assert len(error.value.problems) == 3

"""Every check holds on a healthy lab, and fails with the right evidence once what it checks is broken."""

import contextlib
import json
import time

import labs
import pytest

pytestmark = pytest.mark.lab

PLAYBOOK = labs.ROOT / "playbooks/overlay.yml"
NS = "nsenter --net=$(grep -o '/run/docker/netns/[0-9]*-[0-9a-f]*' /proc/self/mountinfo | head -n 1)"
DROP = "OUTPUT -p udp --dport 4789 -j DROP"
NEGATIVES = """\
  - ping: {from: qyt1, to: qyt2, succeeds: false}
  - ping: {from: qyt1, to: qyt2, by: address, succeeds: false}
"""


def findings(lab, playbook=PLAYBOOK, check=0):
    """Return the findings of `verify` by kind and subject; those of one kind and subject together."""
    report = json.loads(lab.cli("verify", str(playbook), "-o", "json", check=check).stdout)["report"]
    found = {}
    for finding in report["findings"]:
        found.setdefault((finding["check"], finding["subject"]), []).append(finding)
    return found


def severities(found, kind, subject="qyt1 → qyt2"):
    return [f["severity"] for f in found[kind, subject]]


def seen(found, kind, subject="qyt1 → qyt2"):
    return " ".join(f["seen"] for f in found[kind, subject])


@pytest.fixture
def playbook(tmp_path):
    """Write the overlay's playbook with other expectations, or with a text in it replaced."""

    def write(expect="", old="", new=""):
        text = PLAYBOOK.read_text()
        if expect:
            text = text.partition("expect:")[0] + "expect:\n" + expect
        path = tmp_path / "playbook.yml"
        path.write_text(text.replace(old, new) if old else text)
        return path

    return write


@contextlib.contextmanager
def broken(lab, host, how, mend):
    """Break something on a host, and mend it whatever the test finds."""
    try:
        lab.ssh(host, how)
        yield
    finally:
        lab.ssh(host, mend)


def mended(lab):
    """Wait until everything holds again, so that the next test meets a healthy lab."""
    deadline = time.monotonic() + 20
    while (done := lab.cli("verify", check=None)).returncode and time.monotonic() < deadline:
        time.sleep(0.5)
    assert done.returncode == 0, done.stdout


def mac(lab, name, host):
    template = "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}"
    return lab.ssh(host, f"docker inspect -f '{template}' {name}").strip()


def test_everything_holds_on_a_healthy_lab(lab):
    found = findings(lab)
    assert {s for kind, subject in found for s in severities(found, kind, subject)} == {"ok"}
    assert "VXLAN VNI" in seen(found, "encapsulated")


def test_a_negative_does_not_pass_on_a_healthy_lab(lab, playbook):
    found = findings(lab, playbook(NEGATIVES), check=1)
    assert severities(found, "ping") == ["failed", "failed"]
    assert "3 of 3 packets came back" in seen(found, "ping")


def test_a_dropped_underlay_port_fails_pings_but_no_names(lab, playbook):
    with broken(lab, "docker1", f"iptables -I {DROP}", f"iptables -D {DROP}"):
        found = findings(lab, check=1)
        negatives = findings(lab, playbook(NEGATIVES))
    assert severities(found, "resolves") == ["ok"]
    assert severities(found, "ping") == ["failed", "failed"]
    assert "0 came back" in seen(found, "ping")
    assert "no VXLAN packet of it left" in seen(found, "encapsulated")
    assert severities(negatives, "ping") == ["ok", "ok"]


def test_a_forwarding_entry_that_is_gone_or_wrong_is_seen(lab, playbook):
    target = mac(lab, "qyt2", "docker2")
    other = lab.net + ".254"
    right = f"{target} dev vxlan0 dst {lab.hosts['docker2']} self"
    wrong = f"{target} dev vxlan0 dst {other} self"
    expect = "  - forwarded: {from: qyt1, to: qyt2}\n"
    mend = f"{NS} bridge fdb replace {right} permanent"
    with broken(lab, "docker1", f"{NS} bridge fdb del {right}", mend):
        assert "has no entry for" in seen(findings(lab, playbook(expect), check=1), "forwarded")
        lab.ssh("docker1", f"{NS} bridge fdb replace {wrong} permanent")
        found = findings(lab, playbook(expect + "  - encapsulated: {from: qyt1, to: qyt2}\n"), check=1)
    assert f"to {other}, not only" in seen(found, "forwarded")
    assert f"→ {other}" in seen(found, "encapsulated")
    mended(lab)


def test_a_stopped_container_fails_what_needs_it_and_no_negative_passes(lab, playbook):
    with broken(lab, "docker2", "docker stop -t 0 qyt2", "docker rm -f qyt2"):
        found = findings(lab, check=1)
        negatives = findings(lab, playbook(NEGATIVES), check=1)
    for kind in ("ping", "resolves", "forwarded", "encapsulated"):
        assert "container qyt2 is exited on docker2" in seen(found, kind)
    assert severities(found, "visible", "qyt_overlay") == ["ok"]
    assert severities(negatives, "ping") == ["failed", "failed"]
    lab.cli("up", "-q")
    mended(lab)


def test_another_subnet_than_expected_is_a_failure(lab, playbook):
    found = findings(lab, playbook(old="10.10.10.0/24", new="10.10.0.0/16"), check=1)
    for kind in ("visible", "agreed"):
        assert "its subnet is 10.10.10.0/24, not 10.10.0.0/16" in seen(found, kind, "qyt_overlay")


def test_a_name_that_leads_elsewhere_is_a_failure(lab, playbook):
    lie = "docker exec qyt1 sh -c 'cp /etc/hosts /tmp/h; echo 127.0.0.1 qyt2 >> /etc/hosts'"
    with broken(lab, "docker1", lie, "docker exec qyt1 sh -c 'cat /tmp/h > /etc/hosts; rm /tmp/h'"):
        found = findings(lab, check=1)
        negatives = findings(lab, playbook(NEGATIVES), check=1)
    assert "qyt2 was taken for 127.0.0.1" in seen(found, "ping")
    assert severities(found, "resolves") == ["ok"], "Docker's DNS is not to blame"
    assert severities(negatives, "ping") == ["failed", "failed"]


def test_a_second_holder_of_a_name_is_seen(lab):
    run = "docker run -d --name liar --network qyt_overlay --network-alias qyt2 clusterctl/probe:1 sleep 60"
    with broken(lab, "docker1", run, "docker rm -f liar"):
        found = findings(lab, check=1)
    assert severities(found, "resolves") == ["failed"]
    assert severities(found, "agreed", "qyt_overlay") == ["warning"]
    assert "liar" in seen(found, "agreed", "qyt_overlay")
    mended(lab)


def test_what_was_asked_early_counts_until_something_is_done_to_the_machine(lab):
    """A host that was asked while the program was still starting may be another by the time it is looked at."""
    from clusterctl.plan.action import MACHINE
    from clusterctl.plan.command import script

    asked = script("cat /run/said; date +%s.%N > /run/answered")
    with lab.session() as session:
        door = session.doors.ssh("docker1")

        def ask(between):
            lab.ssh("docker1", "rm -f /run/answered; echo before > /run/said")
            door.begin(asked)
            lab.ssh("docker1", "while [ ! -s /run/answered ]; do sleep 0.05; done; echo after > /run/said")
            between()
            return door.run(asked).stdout

        assert ask(lambda: None) == "before\n"
        assert door.run(asked).stdout == "after\n", "it is taken once"
        assert ask(lambda: session.doors(MACHINE)) == "after\n"
    lab.ssh("docker1", "rm /run/answered /run/said")

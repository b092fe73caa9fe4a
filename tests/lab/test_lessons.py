"""Every lesson holds on real hosts, and each kind of check fails once what it checks is broken."""

import contextlib
import functools
import json
import os
import pty
import re
import select
import subprocess
import threading
import time

import labs
import pytest

pytestmark = pytest.mark.lab

LESSONS = (
    "bridge",
    "link",
    "user-bridge",
    "isolation",
    "host",
    "none",
    "container",
    "overlay",
    "overlay-isolated",
    "overlay-three",
)
ENGLISH = re.compile(r"\b(the|of|is|has|not|with|it|by|and|on|was|no|to)\b")
"""Words by which a sentence that was left in English is known."""

PID = "$(docker inspect -f '{{.State.Pid}}' %s)"
STRANGER = "docker run -d --name %s clusterctl/probe:1"


class Standing:
    """The lab, and the lesson that stands on it."""

    def __init__(self, lab):
        self.lab, self.name = lab, ""

    def up(self, name):
        """Let a lesson stand; returns its checks as `up` saw them, none where it stands already."""
        if self.name == name:
            return []
        self.name = name
        return json.loads(self.lab.cli("up", name, "-o", "json").stdout)["report"]["findings"]


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """Three hosts, made once; each lesson takes the place of the one before."""
    made = labs.Lab(tmp_path_factory.mktemp("lessons"), "ltl", "10.1.84")
    made.hosts["docker3"] = "10.1.84.3"
    made.inventory.write_text(made.text())
    yield Standing(made)
    made.cli("down", "--yes")
    assert made.gone()


@pytest.fixture
def judged(standing, tmp_path):
    """Return what a lesson's containers are found to be by other expectations than its own."""

    def judge(lesson, *expect):
        standing.up(lesson)
        if not expect:
            return []
        path = tmp_path / "playbook.yml"
        text = (labs.ROOT / f"playbooks/{lesson}.yml").read_text().partition("expect:")[0]
        path.write_text(text + "expect:\n" + "".join(f"  - {e}\n" for e in expect))
        done = standing.lab.cli("verify", str(path), "-o", "json", check=None)
        return json.loads(done.stdout)["report"]["findings"]

    return judge


@contextlib.contextmanager
def broken(standing, how, mend, host="docker1"):
    """Break something on a host, and mend it whatever is found."""
    try:
        standing.lab.ssh(host, how)
        yield
    finally:
        standing.lab.ssh(host, mend)


def fails(judged, lesson, words):
    """Each of these expectations fails, and says so in its words."""
    found = judged(lesson, *words)
    assert [f["severity"] for f in found] == ["failed"] * len(words), found
    for finding, said in zip(found, words.values(), strict=True):
        assert said in finding["seen"], finding


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_holds_and_explains_itself_in_two_languages(standing, name):
    from clusterctl.model.lang import Lang
    from clusterctl.report.said import said

    standing.name = ""
    standing.up(name)
    report = json.loads(standing.lab.cli("verify", "-o", "json").stdout)["report"]
    assert report["left_out"] == 0
    assert {f["severity"] for f in report["findings"]} == {"ok"}
    for finding in report["findings"]:
        assert set(finding["why"]) == {"en", "zh"}
        for text in (finding["expected"], finding["seen"]):
            translated = said(text, Lang.ZH)
            told = re.sub(r"(ping|nc|httpd): [^（；]*", "", translated)
            assert not ENGLISH.search(told), translated


@pytest.mark.long
def test_a_wrong_address_and_gateway_and_one_more_interface_are_seen(standing, judged):
    enter = f"nsenter --net=/proc/{PID % 'c1'}/ns/net"
    judged("bridge")
    how = f"{enter} ip addr add 172.17.0.9/16 dev eth0; {enter} ip addr del 172.17.0.2/16 dev eth0; "
    how += f"{enter} ip addr add 172.17.0.9/16 dev eth0; {enter} ip route replace default via 172.17.0.77"
    mend = f"{enter} ip addr flush dev eth0; {enter} ip addr add 172.17.0.2/16 dev eth0; "
    mend += f"{enter} ip route replace default via 172.17.0.1; {enter} ip link del more; true"
    with broken(standing, f"{how}; {enter} ip link add more type veth peer name other", mend):
        words = {
            "address: {of: c1, on: bridge, is: 172.17.0.2}": "the container has 172.17.0.9/16",
            "gateway: {of: c1, is: 172.17.0.1}": "leads to 172.17.0.77, not to",
            "gateway: {of: c1}": "which no interface of docker1 has",
            "gateway: {of: c1, is: none}": "leads to 172.17.0.77 by eth0",
            "interfaces: {of: c1, are: [lo, eth0]}": "more",
            "interfaces: {of: c1, same_as: c2}": "more",
        }
        fails(judged, "bridge", words)
    assert {f["severity"] for f in judged("bridge", "gateway: {of: all, is: 172.17.0.1}")} == {"ok"}


@pytest.mark.long
def test_an_address_that_somebody_else_has_is_named(standing, judged):
    judged("bridge")
    with broken(standing, STRANGER % "web", "docker rm -f web"):
        (found,) = judged("bridge", "address: {of: c1, is: 172.17.0.4}")
    assert (found["severity"], found["hint"]) == ("failed", "172.17.0.4 is that of web, which is not of this lab")


@pytest.mark.long
def test_a_veth_that_is_off_the_bridge_is_seen(standing, judged):
    judged("bridge")
    veth = (
        f"$(ip -o link | grep ^$(cat /proc/{PID % 'c1'}/root/sys/class/net/eth0/iflink): | sed 's/^[0-9]*: //;s/@.*//')"
    )
    with broken(standing, f"ip link set {veth} nomaster", f"ip link set {veth} master docker0"):
        words = {
            "veth: {of: c1}": "a port of no bridge, not of",
            "ping: {from: c2, to: c1, by: address}": "0 came back",
        }
        fails(judged, "bridge", words)
    with broken(standing, f"ip link set {veth} down", f"ip link set {veth} up"):
        fails(judged, "bridge", {"veth: {of: c1}": "is down"})


@pytest.mark.long
def test_a_veth_that_does_not_come_with_its_container_is_seen(standing, judged):
    judged("bridge")
    there = "ls /sys/class/net/docker0/brif"
    loop = f"old=$({there}); while [ -e /tmp/off ]; do for v in $({there}); do case $old in *$v*) ;; "
    loop += "*) ip link set $v nomaster;; esac; done; done"
    with broken(standing, f"touch /tmp/off; nohup sh -c '{loop}' >/dev/null 2>&1 &", "rm -f /tmp/off"):
        fails(judged, "bridge", {"lifetime: {on: docker1}": "no veth of the container came to docker0"})
    assert standing.lab.ssh("docker1", "docker ps -aq | wc -l").strip() == "2", "the trial has left nothing"


@pytest.mark.long
def test_a_name_that_is_known_after_all_fails_the_negatives(standing, judged):
    judged("link")
    how = "docker exec c1 sh -c 'cp /etc/hosts /tmp/h; echo 172.17.0.3 c2 >> /etc/hosts'"
    with broken(standing, how, "docker exec c1 sh -c 'cat /tmp/h > /etc/hosts'"):
        words = {
            "hosts_file: {of: c1, has: c2, succeeds: false}": "172.17.0.3 c2 is in there",
            "ping: {from: c1, to: c2, succeeds: false}": "answered: 3 of 3",
        }
        fails(judged, "link", words)


@pytest.mark.long
def test_a_link_whose_line_is_gone_or_wrong_is_seen(standing, judged):
    judged("link")
    keep = "docker exec c2 sh -c 'cp /etc/hosts /tmp/h; sed %s /tmp/h > /tmp/n; cat /tmp/n > /etc/hosts'"
    mend = "docker exec c2 sh -c 'cat /tmp/h > /etc/hosts'"
    with broken(standing, keep % "/c1/d", mend):
        words = {
            "hosts_file: {of: c2, has: c1}": "it does not name c1",
            "ping: {from: c2, to: c1}": "name is not known",
        }
        fails(judged, "link", words)
    with broken(standing, keep % "s/172.17.0.2/172.17.0.99/", mend):
        fails(judged, "link", {"hosts_file: {of: c2, has: c1}": "it says 172.17.0.99 c1, c1 has 172.17.0.2"})


@pytest.mark.long
def test_a_name_that_the_dns_is_not_to_know(standing, judged):
    unknown = "resolves: {from: c1, to: c2, as: nobody, succeeds: false}"
    (held,) = judged("user-bridge", unknown)
    assert held["severity"] == "ok", held
    how = f"{STRANGER % 'liar'}; docker network connect --alias nobody qyt_bridge liar"
    with broken(standing, how, "docker rm -f liar"):
        fails(judged, "user-bridge", {unknown: "nobody is 10.30.1."})


@pytest.mark.long
def test_servers_that_are_cut_off_and_servers_that_should_be(standing, judged):
    judged("isolation")
    drop = "FORWARD -p tcp --dport 8080 -j DROP"
    with broken(standing, f"iptables -I {drop}", f"iptables -D {drop}"):
        words = {
            "connects: {from: nginx, to: app, port: 8080}": "no connection: nc: timed out",
            "connects: {from: nginx, to: app, port: 99}": "nothing in app listens on port 99",
        }
        fails(judged, "isolation", words)
    way = "FORWARD -s 10.30.2.0/23 -d 10.30.2.0/23 -j ACCEPT"
    with broken(standing, f"iptables -I {way}", f"iptables -D {way}"):
        words = {
            "connects: {from: nginx, to: db, port: 5432, by: address, succeeds: false}": "connected to 10.30.3.",
            "ping: {from: db, to: nginx, by: address, succeeds: false}": "packets came back",
        }
        fails(judged, "isolation", words)


@pytest.mark.long
def test_ports_that_are_free_or_taken_after_all(standing, judged):
    taken, free = "binds: {in: second, port: 8089, succeeds: false}", "binds: {in: apart, port: 8089}"
    judged("host")
    with broken(standing, "docker stop -t 0 web", "docker start web"):
        fails(judged, "host", {taken: "it got port 8089"})
    with broken(standing, "docker exec -d apart httpd -p 8089", "docker exec apart killall httpd"):
        same = "interfaces: {of: apart, same_as: host}"
        fails(judged, "host", {free: "Address already in use", same: "lo 127.0.0.1/8, eth0 172.17.0.2/16"})


@pytest.mark.long
def test_attaching_fails_when_the_overlay_does_not_carry(standing, judged):
    attaches = "attaches: {on: docker1, network: qyt_overlay, reaches: qyt2}"
    judged("overlay")
    drop = "OUTPUT -p udp --dport 4789 -j DROP"
    with broken(standing, f"iptables -I {drop}", f"iptables -D {drop}"):
        fails(judged, "overlay", {attaches: "qyt2 was not reached"})
        found = judged("overlay", "ping: {from: qyt1, to: qyt2}", attaches)
    assert [f["severity"] for f in found] == ["failed", "unknown"]
    assert "it was not tried" in found[1]["seen"], "nothing is made where something is broken"


@pytest.mark.long
def test_keys_that_are_not_in_the_store_are_missed(standing, judged):
    judged("overlay")
    prefix = "/docker/network/v1.0/"
    with standing.lab.session(changes=True) as session:
        etcd = session.doors("docker1").etcd
        keys = etcd.keys(prefix)
        ends = [k for k, v in keys.items() if "/endpoint/" in k and '"name":"qyt2"' in v.replace(" ", "")]
        etcd.put(ends[0], keys[ends[0]].replace("qyt2", "qytX"))
    try:
        found = judged("overlay", "stored: {network: qyt_overlay}")
        assert (found[0]["severity"], found[1]["severity"]) == ("failed", "ok"), found
        assert "no endpoint of qyt2" in found[0]["seen"]
    finally:
        with standing.lab.session(changes=True) as session:
            session.doors("docker1").etcd.put(ends[0], keys[ends[0]])
    taken = "docker network create -d overlay --subnet 198.18.255.0/24 taken"
    with broken(standing, taken, "docker network rm taken"):
        found = judged("overlay", "stored: {network: qyt_overlay}")
    assert "Pool overlaps" in found[0]["seen"], found


PUBLISHED = """\
name: published
containers:
  web: {host: docker1, network_mode: bridge, command: [httpd, -f, -p, "80"], publish: ["8080:80"]}
"""


@pytest.mark.long
def test_a_published_port_leads_to_its_container_and_nowhere_once_it_is_gone(standing, tmp_path):
    lab, path = standing.lab, tmp_path / "published.yml"
    path.write_text(PUBLISHED)
    standing.name = ""
    ask = f"curl -s -m 3 -o /dev/null -w '%{{http_code}}' http://{lab.hosts['docker1']}:8080/ || true"
    lab.cli("up", str(path))
    assert lab.ssh("docker2", ask) == "404", "httpd has nothing to show, and says so"
    lab.cli("down", "--keep-cluster", "--yes")
    assert lab.ssh("docker2", ask) == "000"


@pytest.mark.long
def test_what_is_a_stranger_s_stays_and_stops_a_lesson_only_where_it_is_in_the_way(standing):
    lab = standing.lab
    standing.up("none")
    with broken(standing, f"{STRANGER % 'c1'}; docker network create mine", "docker rm -f c1; docker network rm mine"):
        done = lab.cli("up", "bridge", check=3)
        assert "docker1: a container named c1 exists there, not made by clusterctl" in done.stderr
        lab.cli("up", "isolation", "-q")
        lab.cli("down", "--keep-cluster", "--yes", "-q")
        assert lab.ssh("docker1", "docker ps -a --format '{{.Names}}'").split() == ["c1"]
        assert "mine" in lab.ssh("docker1", "docker network ls")
    standing.name = ""


def test_a_subnet_that_collides_is_named_before_anything_is_changed(standing):
    taken = "docker network create --subnet 10.30.2.0/25 theirs"
    with broken(standing, taken, "docker network rm theirs"):
        done = standing.lab.cli("up", "isolation", check=3)
    assert "subnet 10.30.2.0/24 of network front overlaps 10.30.2.0/25 of the network theirs there" in done.stderr


def test_a_lesson_that_was_stopped_half_way_goes_on_or_goes_away(standing):
    lab = standing.lab
    stopped = lab.signalled("create network front: done", [2], "up", "isolation")
    assert stopped.returncode == 130, labs.seen(stopped)
    lab.cli("up", "isolation", "-q")
    stopped = lab.signalled("run container c1: done", [2], "up", "user-bridge")
    assert stopped.returncode == 130, labs.seen(stopped)
    planned = json.loads(lab.cli("down", "--keep-cluster", "--dry-run", "-o", "json").stdout)
    done = json.loads(lab.cli("down", "--keep-cluster", "--yes", "-o", "json").stdout)
    assert planned["actions"] == done["actions"] > 1
    assert not lab.ssh("docker1", "docker ps -aq; docker images -q; docker network ls -q --filter type=custom")
    assert json.loads(lab.cli("down", "--keep-cluster", "--yes", "-o", "json").stdout)["actions"] == 0
    standing.name = ""


def test_a_walk_shows_each_command_and_what_was_seen(standing):
    standing.name = ""
    walk = json.loads(standing.lab.cli("lesson", "container", "-o", "json").stdout)
    assert walk["holds"] is True
    first, second, third, *checks = walk["steps"]
    assert first["commands"][0].startswith("docker1: docker run --detach --name main --network bridge")
    assert "--network container:main" in second["commands"][0] + third["commands"][0]
    assert [f["severity"] for step in checks for f in step["findings"]] == ["ok"] * 4
    assert all(step["commands"] for step in walk["steps"])


class Terminal:
    """The program on a terminal of its own, for what waits for keys."""

    def __init__(self, lab, *args):
        self.master, slave = pty.openpty()
        env = {**labs.environment(lab.base), "TERM": "xterm", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            lab.argv(*args), stdin=slave, stdout=slave, stderr=slave, cwd=labs.ROOT, env=env, close_fds=True
        )
        os.close(slave)
        self.text = ""

    def until(self, words, within=60):
        """Read until these words were printed since the last call."""
        deadline, seen = time.monotonic() + within, ""
        while words not in seen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"it never said {words!r}: {self.text[-2000:]}"
            got = os.read(self.master, 65536).decode("utf-8", "replace")
            seen, self.text = seen + got, self.text + got

    def press(self, key):
        os.write(self.master, key.encode())

    def end(self):
        """Wait for the end. Returns the exit code."""
        drain = threading.Thread(target=self._drain, daemon=True)
        drain.start()
        code = self.process.wait(60)
        drain.join(5)
        os.close(self.master)
        return code

    def _drain(self):
        with contextlib.suppress(OSError):
            while got := os.read(self.master, 65536):
                self.text += got.decode("utf-8", "replace")


def test_a_walk_waits_for_keys_and_can_be_left(standing):
    lab = standing.lab
    screen = Terminal(lab, "lesson", "none", "--lang", "zh")
    wait = functools.partial(screen.until, "按任意键继续")
    wait()
    assert "docker run --detach --name alone" in screen.text
    assert lab.ssh("docker1", "docker ps -aq").strip() == "", "the command is shown before it is carried out"
    screen.press(" ")
    wait()
    screen.press(" ")
    wait()
    assert "内核" not in screen.text
    screen.press(" ")
    wait()
    assert "原因" in screen.text
    screen.press("q")
    assert screen.end() == 0
    assert "停在这里" in screen.text
    standing.name = ""

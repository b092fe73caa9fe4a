"""A lab on real VMs, from nothing to nothing: each test takes the lab on from the one before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("clusterctl")
HOSTS = {"docker1": "192.168.56.11", "docker2": "192.168.56.12"}
PATIENCE = "6"
"""How many times as long as usual these guests are given for an answer."""
WITHIN = 3000
"""Seconds for one command: without KVM a VM takes minutes to boot, and to install Docker."""


def seen(done):
    return f"{' '.join(map(str, done.args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def run(*argv, check=0, **env):
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=WITHIN,
        check=False,
        cwd=ROOT,
        env={**os.environ, **env},
    )
    assert check is None or done.returncode == check, seen(done)
    return done


class Lab:
    """The lab, its files in a folder of its own."""

    def __init__(self, folder):
        self.inventory = folder / "vagrant.yml"
        self.state = folder / "state/vt"
        self.dotfile = folder / "dotfile"
        hosts = "".join(f"  {name}: {address}\n" for name, address in HOSTS.items())
        self.inventory.write_text(
            f"name: vt\nprovider: vagrant\nhosts:\n{hosts}"
            f"vagrant:\n  folder: {HERE}\n  env: {{VAGRANT_DOTFILE_PATH: {self.dotfile}}}\n"
        )

    def cli(self, *args, check=0):
        words = (args[0], "-i", str(self.inventory), *args[1:])
        env = {"CLUSTERCTL_STATE": str(self.state.parent), "CLUSTERCTL_PATIENCE": PATIENCE, "NO_COLOR": "1"}
        done = run(str(PROGRAM), *words, check=check, **env)
        assert "Traceback" not in done.stderr, seen(done)
        return done

    def vagrant(self, *args):
        return run("vagrant", *args, VAGRANT_CWD=str(HERE), VAGRANT_DOTFILE_PATH=str(self.dotfile)).stdout

    def ssh(self, host, command):
        config = str(self.state / "ssh_config")
        return run("ssh", "-F", config, "-o", "BatchMode=yes", host, command).stdout


def assert_joined(lab, done):
    """The lab is joined where every check holds; on an emulated CPU some end before the guests answer them."""
    assert done.returncode in {0, 1}, seen(done)
    for here, there in (("1", "2"), ("2", "1")):
        said = lab.ssh(f"docker{here}", f"sudo docker exec qyt{here} ping -c 3 -W 20 qyt{there}")
        assert "0% packet loss" in said, f"{said}\n{seen(done)}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if "CLUSTERCTL_SANDBOX" not in os.environ:
        pytest.skip("VMs are made in a sandbox only: make test-vagrant")
    run("vagrant", "box", "add", "--name", "clusterctl/debian", f"{os.environ['CLUSTERCTL_TEST_BOX']}/debian.box")
    made = Lab(tmp_path_factory.mktemp("vagrant"))
    yield made
    made.cli("down", "--yes", check=None)


def virsh(*args):
    lines = run("virsh", "-q", "-c", "qemu:///system", *args).stdout.splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def test_a_plan_is_shown_before_anything_is_there(lab):
    plan = lab.cli("up", "--dry-run").stdout
    assert "vagrant up --no-parallel docker1" in plan
    assert "docker1: install" in plan
    assert not (lab.dotfile / "clusterctl").exists()
    assert not lab.state.exists()


def test_up_makes_vms_and_a_verified_lab(lab):
    done = lab.cli("up", check=None)
    assert "create docker2 with Vagrant (libvirt): done" in done.stderr
    assert "still at it" in done.stderr
    assert_joined(lab, done)


def test_up_again_does_nothing(lab):
    assert "vt: nothing to do" in lab.cli("up", check=None).stdout


def test_its_settings_serve_people_and_its_keys_are_pinned(lab):
    for host in HOSTS:
        assert lab.ssh(host, "hostname").strip() == host
    known = lab.state / "known_hosts"
    text = known.read_text()
    assert len(text.splitlines()) == len(HOSTS)
    one, two = (line.split()[2] for line in text.splitlines())
    assert one != two, "each VM has a key of its own"
    known.write_text(text.replace(one, two))
    try:
        assert "THE HOST KEY OF" in lab.cli("up", check=3).stderr
    finally:
        known.write_text(text)


def test_verify_and_status_say_how_it_is(lab):
    assert_joined(lab, lab.cli("verify", check=None))
    status = json.loads(lab.cli("status", "-o", "json").stdout)
    assert [host["address"] for host in status["hosts"]] == list(HOSTS.values())
    assert status["problems"] == []


def test_an_inventory_is_written_from_what_vagrant_has(lab):
    done = run(str(PROGRAM), "init", "--vagrant", str(HERE), "-i", "-", VAGRANT_DOTFILE_PATH=str(lab.dotfile))
    for name, address in HOSTS.items():
        assert f"  {name}: {address}\n" in done.stdout


def findings(lab, playbook):
    """Return the findings on a playbook once they hold; on an emulated CPU some need another look."""
    for _ in range(4):
        done = lab.cli("verify", str(playbook), "-o", "json", check=None)
        found = json.loads(done.stdout)["report"]["findings"]
        if done.returncode == 0:
            break
    return found


def of(found, kind, subject):
    return next(f for f in found if (f["check"], f["subject"]) == (kind, subject))


def assert_all_hold(found):
    assert [f for f in found if f["severity"] not in ("ok", "warning")] == []


@pytest.fixture
def lesson(lab):
    """Bring a playbook up; the lab is what it was afterwards."""

    def up(name):
        playbook = ROOT / f"playbooks/{name}.yml"
        done = lab.cli("up", str(playbook), check=None)
        assert done.returncode in {0, 1}, seen(done)
        return playbook, findings(lab, playbook)

    yield up
    lab.cli("up", "playbooks/overlay.yml", check=None)


def test_vlans_on_one_wire_are_apart_and_a_router_on_a_stick_joins_them(lab, lesson, tmp_path):
    playbook, found = lesson("macvlan-vlan")
    assert_all_hold(found)
    assert "802.1Q vlan 10" in of(found, "framed", "ten1 → ten2")["seen"]
    assert "802.1Q vlan 20" in of(found, "framed", "router → twenty3")["seen"]

    other = tmp_path / "other.yml"
    other.write_text(playbook.read_text().replace("vlan: 10}", "vlan: 11}"))
    wrong = of(findings(lab, other), "framed", "ten1 → ten2")
    assert (wrong["severity"], wrong["seen"]) == ("failed", "VLAN 10, not 11")

    def inside(host, container, command):
        pid = f"$(sudo docker inspect -f '{{{{.State.Pid}}}}' {container})"
        lab.ssh(host, f"sudo nsenter -t {pid} -n {command}")

    inside("docker2", "router", "sysctl -qw net.ipv4.ip_forward=0")
    inside("docker1", "ten1", "ip route add 10.10.120.0/24 via 10.10.110.5")
    inside("docker1", "twenty1", "ip route add 10.10.110.0/24 via 10.10.120.5")
    found = findings(lab, playbook)
    assert of(found, "ping", "ten3 → twenty3")["severity"] == "failed"
    assert of(found, "routed", "ten3 → twenty3")["severity"] == "failed"
    inside("docker2", "router", "sysctl -qw net.ipv4.ip_forward=1")
    found = findings(lab, playbook)
    assert of(found, "routed", "ten3 → twenty3")["severity"] == "ok"
    assert of(found, "ping", "ten1 → twenty1")["severity"] == "failed", "with a route it gets across"


def test_ipvlan_shares_the_mac_of_its_host(lab, lesson, tmp_path):
    playbook, found = lesson("ipvlan")
    assert_all_hold(found)
    mac = lab.ssh("docker1", "cat /sys/class/net/eth1/address").strip()
    assert f"on eth1: {mac} > " in of(found, "framed", "ip1 → ip2")["seen"]
    other = tmp_path / "other.yml"
    other.write_text(
        playbook.read_text().replace("driver: ipvlan", "driver: macvlan").replace("mode: l2", "mode: bridge")
    )
    assert f"source MAC {mac}, not" in of(findings(lab, other), "framed", "ip1 → ip2")["seen"]


def test_macvlan_on_the_second_interface_of_a_vm(lesson):
    _, found = lesson("macvlan")
    assert_all_hold(found)


def test_a_vm_that_was_halted_is_missed_and_started_again(lab):
    lab.vagrant("halt", "docker2")
    assert "docker2 is gone: its machine does not run" in lab.cli("status", check=1).stdout
    done = lab.cli("up", check=None)
    assert "start docker2, which is 'shutoff': done" in done.stderr
    assert "create docker" not in done.stderr
    assert_joined(lab, done)


def test_down_takes_vms_away_whether_they_run_or_not(lab):
    lab.vagrant("halt", "--force", "docker2")
    refused = lab.cli("down", check=2)
    assert "DESTROY" in refused.stderr
    lab.cli("down", "--yes")
    assert virsh("list", "--all", "--name") == []
    assert [disk for disk in virsh("vol-list", "clusterctl-test") if "docker" in disk] == []
    assert [network for network in virsh("net-list", "--all", "--name") if network != "default"] == []
    assert not list(lab.dotfile.glob("machines/*/*/id"))
    assert not (lab.dotfile / "clusterctl").exists()
    assert not lab.state.exists()
    assert "nothing to do" in lab.cli("down", "--yes").stdout

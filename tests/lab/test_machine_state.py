"""The comparison before and after: it must notice whatever a lab could leave behind."""

import subprocess

import machine_state
import pytest

pytestmark = pytest.mark.lab

LEFT = {
    "namespaces": ("ip netns add leftns", "ip netns del leftns", "leftns"),
    "links": ("ip link add leftlink type bridge", "ip link del leftlink", "leftlink"),
    "routes": ("ip route add 10.1.77.128/30 dev lo", "ip route del 10.1.77.128/30 dev lo", "10.1.77.128/30"),
    "mounts": ("mkdir /run/leftm; mount -t tmpfs x /run/leftm", "umount /run/leftm; rmdir /run/leftm", "leftm"),
    "firewall": (
        "iptables -A OUTPUT -d 10.1.77.250 -j ACCEPT",
        "iptables -D OUTPUT -d 10.1.77.250 -j ACCEPT",
        "10.1.77.250",
    ),
    "sysctl": (
        "cat /proc/sys/vm/swappiness > /run/left; echo 61 > /proc/sys/vm/swappiness",
        "cat /run/left > /proc/sys/vm/swappiness; rm /run/left",
        "vm.swappiness = 61",
    ),
    "temporary files": ("touch /tmp/leftfile", "rm /tmp/leftfile", "leftfile"),
    "nspawn": (
        "mkdir -p /run/systemd/nspawn/propagate/left",
        "rmdir /run/systemd/nspawn/propagate/left",
        "left",
    ),
    "control groups": (
        "mkdir $(dirname $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -n 1))/leftgroup",
        "rmdir $(dirname $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -n 1))/leftgroup",
        "leftgroup",
    ),
    "processes": (
        "cp /bin/sleep /run/dockerd; setsid /run/dockerd 30 < /dev/null > /dev/null 2>&1 & echo $! > /run/left",
        "kill $(cat /run/left); rm /run/left /run/dockerd; sleep 0.2",
        "/run/dockerd 30",
    ),
}


@pytest.mark.parametrize("kind", LEFT)
def test_it_notices(kind):
    make, undo, name = LEFT[kind]
    before = machine_state.snapshot()
    try:
        subprocess.run(make, shell=True, check=True)
        found = machine_state.differences(before, machine_state.snapshot())
    finally:
        subprocess.run(undo, shell=True, check=True)
    assert any(line.startswith(f"{kind}: +") and name in line for line in found), found
    left = machine_state.differences(before, machine_state.snapshot())
    assert not any(name in line for line in left), left

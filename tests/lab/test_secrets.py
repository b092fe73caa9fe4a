"""No private key shows anywhere: not in what is printed, in transcripts, in process lists, in journals."""

import os
import re
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

_KEYS = "find / -xdev -type f \\( -name '*.key' -o -name 'ssh_host_*_key' \\) -path '/etc/*' -exec cat {} +"

LOOKS = 10


class ProcessLists:
    """Every command line seen on this machine, each 20 ms; the nodes' processes are among them."""

    def __init__(self):
        self.seen = set()
        self._looked = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._stop.wait(0.02):
            for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
                # A process may become another program soon after it began; later it stays what it is.
                self._looked[pid] = self._looked.get(pid, 0) + 1
                if self._looked[pid] > LOOKS:
                    continue
                try:
                    self.seen.add(Path("/proc", pid, "cmdline").read_text(errors="replace").replace("\0", " "))
                except OSError:
                    continue

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()


def lines_of_keys(text):
    """Return the lines that only a private key has: base64 of some length."""
    return {line for line in text.splitlines() if re.fullmatch(r"[A-Za-z0-9+/=]{24,}", line)}


def test_no_private_key_shows_anywhere(fresh):
    printed = {"dry run": fresh.cli("up", "--dry-run").stdout}
    with ProcessLists() as processes:
        up = fresh.cli("up", "-v")
        printed["progress"], printed["result"] = up.stderr, up.stdout
        # What is written anew while the lab runs is secret as well.
        for host in fresh.hosts:
            fresh.ssh(host, "rm /etc/clusterctl/pki/docker.key; chmod 640 /etc/clusterctl/pki/etcd.key")
        again = fresh.cli("up", "-v")
        printed["progress of mending"], printed["result of mending"] = again.stderr, again.stdout
        assert "write Docker's key: done" in again.stderr
        printed["status"] = fresh.cli("status", "-o", "json").stdout
        printed["verify"] = fresh.cli("verify", "-o", "json").stdout
        printed["plan of the way down"] = fresh.cli("down", "--dry-run").stdout
    for path in (fresh.state / "transcripts").iterdir():
        printed[path.name] = path.read_text()
    printed["processes"] = "\n".join(processes.seen)
    for host in fresh.hosts:
        printed[f"journal of {host}"] = fresh.ssh(host, "journalctl --no-pager -o verbose")
        printed[f"processes of {host}"] = fresh.ssh(host, "ps axeww")
        printed[f"notes on {host}"] = fresh.ssh(host, "cd /var/lib/clusterctl; find . -type f -exec cat {} +")

    kept = [p.read_text() for p in fresh.state.rglob("*") if p.suffix == ".key" or p.name == "id_ed25519"]
    assert len(kept) == 3
    secrets = lines_of_keys("\n".join([*kept, *(fresh.ssh(host, _KEYS) for host in fresh.hosts)]))
    # CA, client and SSH key here, two keys and a host key on each host, three lines or more each.
    assert len(secrets) >= 3 * (3 + 2 * 3)
    assert not any(fresh.inventory.name in line for line in secrets)

    assert any("/etc/clusterctl/pki" in text for text in printed.values()), "the run was looked at"
    assert any("up -i" in line for line in processes.seen), "the run's own process was seen"
    assert any("dockerd" in line for line in processes.seen), "so were the nodes' processes"
    shown = [f"{where}: {line[:8]}…" for where, text in printed.items() for line in secrets if line in text]
    assert shown == []
    headers = [where for where, text in printed.items() if "PRIVATE KEY-----" in text]
    assert headers == []


def test_a_key_that_shows_would_be_noticed():
    shown = "docker1: -----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----"
    assert lines_of_keys(shown) == {"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49"}


def test_a_plan_shows_a_key_as_its_size(lab):
    lab.ssh("docker1", "chmod 644 /etc/clusterctl/pki/docker.key")
    plan = lab.cli("up", "--dry-run").stdout
    assert "secret bytes)" in plan
    lab.cli("up", "-q")
    assert lab.ssh("docker1", "stat -c %a /etc/clusterctl/pki/docker.key") == "600\n"

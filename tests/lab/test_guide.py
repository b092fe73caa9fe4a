"""The guide is followed, line by line, by somebody who knows nothing else: it makes a lab, and takes it away."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import labs
import pytest

pytestmark = pytest.mark.lab

BLOCK = re.compile(r"^(`{3,})sh ?(\S*)\n(.*?)^\1$", re.M | re.S)
STATE = """hostname; cat /etc/hosts; ls -d /etc/docker/daemon.json /etc/clusterctl /var/lib/clusterctl 2>&1
systemctl is-active docker clusterctl-etcd || true"""
LEFT_OUT = "docker run --detach --name qyt2"


class Shell:
    """A shell that is open all the time and types what it is given; the first line that fails ends it."""

    def __init__(self, *argv, **options):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        self.number = 0
        self.type("set -e")

    def type(self, lines):
        self.number += 1
        mark = f"typed {self.number}"
        self.process.stdin.write(f"{lines}\necho {mark}\n")
        self.process.stdin.flush()
        out = []
        for line in self.process.stdout:
            if line.rstrip().endswith(mark):
                return "".join(out)
            out.append(line)
        raise AssertionError(f"{lines}\n--- failed\n{''.join(out)}")

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


class Reader:
    """Somebody with a guide and a shell on every machine, each opened when it is first needed."""

    def __init__(self, lab, folder):
        self.lab, self.folder, self.shells = lab, folder, {}

    def type(self, host, lines):
        if host not in self.shells:
            config = str(self.lab.state / "ssh_config")
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            self.shells[host] = (
                Shell("ssh", "-F", config, host, "bash")
                if host
                else Shell("bash", cwd=labs.ROOT, env={**labs.environment(self.lab.base), "PATH": path})
            )
        return self.shells[host].type(lines)

    def close(self):
        for shell in self.shells.values():
            shell.close()


def blocks(text):
    return [(host, lines.rstrip("\n")) for _, host, lines in BLOCK.findall(text)]


@pytest.fixture
def followed(tmp_path):
    lab = labs.Lab(tmp_path / "lab", "ltg", "10.1.125")
    lab.cli("down", "--yes", check=None)
    reader = Reader(lab, tmp_path)
    yield lab, reader
    reader.close()
    lab.cli("down", "--yes")
    assert lab.gone()


def test_the_guide_alone_makes_a_lab_that_holds(followed, tmp_path):
    lab, reader = followed
    guide = tmp_path / "guide.md"
    done = lab.cli("guide", "playbooks/overlay.yml", "--write", str(guide), "--lang", "zh")
    assert re.search(r"guide\.md: 17 chapters, \d+ steps", done.stdout)
    assert not lab.state.exists(), "nothing is made, and no host asked"
    steps = blocks(guide.read_text())
    assert {host for host, _ in steps} == {"", "docker1", "docker2"}
    (here, make), *rest = steps
    proof = next(i for i, (host, lines) in enumerate(rest) if not host and lines.startswith("clusterctl verify"))
    build, (where, verify), clear = rest[:proof], rest[proof], rest[proof + 1 :]

    reader.type(here, make)
    before = {host: lab.ssh(host, STATE) for host in lab.hosts}
    left_out = [s for s in build if s[1].startswith(LEFT_OUT)]
    for host, lines in build:
        if not lines.startswith(LEFT_OUT):
            reader.type(host, lines)
    broken = lab.cli("verify", "playbooks/overlay.yml", check=1)
    assert "qyt2" in broken.stdout, "a step that is left out is missed"

    for host, lines in left_out:
        reader.type(host, lines)
    assert labs.ALL_HOLD in reader.type(where, verify)

    assert "nothing to do" in lab.cli("up", "playbooks/overlay.yml").stdout
    assert "all is as it must be" in lab.cli("status").stdout
    assert lab.ssh("docker1", "stat -c '%a %U' /etc/clusterctl/pki/*.key") == "600 root\n600 etcd\n"
    assert "pki" not in lab.ssh("docker1", "ls -A /tmp /root"), "no key lies about"
    assert sorted(p.name for p in (lab.state / "pki").iterdir() if p.suffix == ".key") == ["ca.key", "client.key"]

    for host, lines in clear:
        reader.type(host, lines)
    for host in lab.hosts:
        assert lab.ssh(host, STATE) == before[host]
        assert not lab.ssh(host, "ls -d /etc/systemd/system/docker.service.d 2>/dev/null || true")
    assert json.loads(lab.cli("down", "--yes", "--keep-hosts", "--dry-run", "-o", "json").stdout)["actions"] == 0

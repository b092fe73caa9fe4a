"""Rolling changes: a CA that was lost is replaced host by host; no ping is lost and the store always answers."""

import json
import re

import labs
import pytest

pytestmark = [pytest.mark.lab, pytest.mark.long]

PKI = "/etc/clusterctl/pki"

# Asks every member in turn, ten times a second, for what only a majority can tell; "$1": their addresses.
# It shows the certificate that it began with or the present one, whichever a member takes.
_ASK = r"""
cp -r /etc/clusterctl/pki /root/asked; cd /root/asked; rm -f /root/go /root/said; : > /root/go
while [ -e /root/go ]; do
  cat ca.crt /etc/clusterctl/pki/ca.crt > both.crt; n=0
  for address in $1; do for from in /root/asked /etc/clusterctl/pki; do
    curl -fsS --max-time 1 --cacert both.crt --cert $from/docker.crt --key $from/docker.key \
      https://$address:2379/v2/keys/docker/nodes?quorum=true >/dev/null 2>&1 && n=$((n+1)) && break
  done; done
  echo $n >> /root/said; sleep 0.1
done; rm -rf /root/asked /root/go
"""


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    made = labs.Lab(tmp_path_factory.mktemp("rotation"), "ltr", "10.1.126")
    made.hosts = {f"docker{i}": f"{made.net}.{i}" for i in (1, 2, 3)}
    made.inventory.write_text(made.text())
    made.cli("up", "playbooks/overlay.yml")
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def trusted(lab):
    """Return how many CAs each host trusts, and the certificate of the present one."""
    found = {h: lab.ssh(h, f"cat {PKI}/ca.crt") for h in lab.hosts}
    return {h: text.count("BEGIN") for h, text in found.items()}, set(found.values())


def started(lab):
    """Return since when the containers run."""
    return {h: lab.ssh(h, "docker inspect -f '{{.State.StartedAt}}' $(docker ps -q)") for h in ("docker1", "docker2")}


def test_a_lost_ca_is_replaced_and_nobody_notices(three):
    before = trusted(three)
    since = started(three)
    for path in (three.state / "pki").iterdir():
        path.unlink()
    addresses = " ".join(three.hosts.values())
    three.ssh("docker3", f"systemd-run -q --unit=asks --collect sh -c '{_ASK}' sh '{addresses}'; sleep 1")
    with labs.pinging(three):
        did = three.cli("up").stderr
    answered = [int(n) for n in three.ssh("docker3", "rm /root/go; sleep 1; cat /root/said; rm /root/said").split()]
    print(f"{len(answered)} times asked, {answered.count(3)} times all answered, at least {min(answered)}")
    assert len(answered) > 50
    assert min(answered) >= 1, "somebody had a majority at all times"
    assert trusted(three)[0] == dict.fromkeys(three.hosts, 1)
    assert trusted(three)[1].isdisjoint(before[1])
    assert started(three) == since
    for title in ("restart etcd", "restart Docker under its running containers", "restart etcd without the former CA"):
        assert re.findall(rf"(\S+): {title}: done", did) == list(three.hosts)
    assert not (three.state / "pki/trusted.crt").exists()
    assert "true" not in three.ssh("docker1", "docker info -f '{{.LiveRestoreEnabled}}'; cat /etc/docker/daemon.json")
    assert json.loads(three.cli("up", "-o", "json").stdout)["actions"] == 0
    three.cli("status")


def test_a_change_that_was_cut_short_is_completed(three):
    for stage in ("beside the one before: done", "restart etcd: done", "restart Docker under", "write etcd's key"):
        for path in (three.state / "pki").iterdir():
            path.unlink()
        done = three.signalled(stage, [2], "up")
        assert done.returncode == 130, labs.seen(done)
        three.cli("up")
        assert trusted(three)[0] == dict.fromkeys(three.hosts, 1)
    assert json.loads(three.cli("up", "-o", "json").stdout)["actions"] == 0
    three.cli("verify", "-q")

"""Day two of the store: members come and go while containers talk, and a snapshot brings the networks back."""

import json
import re
import time

import labs
import pytest

pytestmark = [pytest.mark.lab, pytest.mark.long]

ETCD = "clusterctl-etcd"
SINCE = (
    "systemctl show -p ExecMainStartTimestampMonotonic docker; docker inspect -f '{{.State.StartedAt}}' $(docker ps -q)"
)


def resize(lab, hosts):
    """Write an inventory of that many hosts."""
    lab.hosts = {f"docker{i}": f"{lab.net}.{i}" for i in range(1, hosts + 1)}
    lab.inventory.write_text(lab.text())


class Store(labs.Lab):
    """A lab whose commands of a group have the inventory after their second word."""

    def argv(self, *args):
        words = 2 if args[0] == "etcd" else 1
        return [str(labs.PROGRAM), *args[:words], "-i", str(self.inventory), *args[words:]]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("etcd"), "edt", "10.1.105")
    made.cli("down", "--yes", check=None)
    made.cli("up", "playbooks/overlay.yml")
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def etcd(lab, *args, **more):
    """Run `clusterctl etcd …`."""
    return lab.cli("etcd", *args, **more)


def members(lab, check=0):
    return json.loads(etcd(lab, "members", "-o", "json", check=check).stdout)


def healthy(lab):
    return [m["host"] for m in members(lab)["members"] if m["healthy"]]


def test_members_and_keys_of_a_finished_lab(store):
    found = members(store)
    assert [(m["host"], m["name"], m["started"], m["version"]) for m in found["members"]] == [
        ("docker1", "docker1", True, "3.4.23"),
        ("docker2", "docker2", True, "3.4.23"),
    ]
    assert sum(m["leader"] for m in found["members"]) == 1
    shown = etcd(store, "keys", "/docker/network/v1.0/overlay", "-v").stdout
    assert '"Vni": 256' in shown
    assert "each overlay's subnet and VNI" in shown
    keys = json.loads(etcd(store, "keys", "-o", "json").stdout)["keys"]
    assert {f"/docker/nodes/{a}:2375" for a in store.hosts.values()} <= keys.keys()


def test_from_two_hosts_to_five_and_back_no_container_notices(store):
    before = {host: store.ssh(host, SINCE) for host in ("docker1", "docker2")}
    with labs.pinging(store):
        resize(store, 5)
        grown = store.cli("up")
        assert len(healthy(store)) == 5
        joined = [line.split(":")[0] for line in grown.stderr.splitlines() if "add it to the store's members" in line]
        assert joined == ["docker3", "docker4", "docker5"]
        assert not re.search(r"docker[12]: (stop|start|restart)", grown.stderr), grown.stderr
        assert json.loads(store.cli("up", "-o", "json").stdout)["actions"] == 0
        assert "docker5" in store.cli("status").stdout
        resize(store, 2)
        shrunk = store.cli("up")
        assert shrunk.stderr.count("which the inventory no longer has: done") == 3
        assert healthy(store) == ["docker1", "docker2"]
        assert json.loads(store.cli("up", "-o", "json").stdout)["actions"] == 0
    assert {host: store.ssh(host, SINCE) for host in ("docker1", "docker2")} == before
    # The daemons still name members that are gone nowhere, or find the others.
    store.ssh("docker1", "docker network create -d overlay --subnet 10.77.0.0/24 later")
    assert "later" in store.ssh("docker2", "docker network ls")
    store.ssh("docker2", "docker network rm later")


def test_one_member_by_hand(store):
    resize(store, 3)
    assert "not in the store" in etcd(store, "members", check=1).stdout
    etcd(store, "add", "docker3")
    assert "nothing was changed" in etcd(store, "remove", "docker3", "--dry-run").stdout
    assert healthy(store) == ["docker1", "docker2", "docker3"]
    assert "nothing to do" in etcd(store, "add", "docker3").stdout
    store.ssh("docker3", f"systemctl stop {ETCD}; rm -rf /var/lib/clusterctl-etcd/member")
    refused = etcd(store, "remove", "docker1", "--yes", check=3)
    assert (
        "docker1: the store would lose its majority: of the 2 members that remain 1 would be healthy" in refused.stderr
    )
    etcd(store, "replace", "docker3", "--yes")
    assert healthy(store) == ["docker1", "docker2", "docker3"]
    etcd(store, "remove", "docker3", "--yes")
    resize(store, 2)
    assert healthy(store) == ["docker1", "docker2"]


def test_what_is_refused_changes_nothing(store):
    assert "add --yes" in etcd(store, "remove", "docker2", check=2).stderr
    assert "no such host with the role etcd" in etcd(store, "add", "docker9", check=2).stderr
    assert "no such member; its members: docker1, docker2" in etcd(store, "remove", "docker9", "--yes", check=3).stderr
    store.ssh("docker2", f"systemctl stop {ETCD}")
    for args in (("remove", "docker2"), ("replace", "docker2"), ("remove", "docker1")):
        assert "the store has no majority" in etcd(store, *args, "--yes", check=3).stderr
    store.cli("up")
    assert healthy(store) == ["docker1", "docker2"]


def test_a_new_certificate_is_served_without_a_restart_and_new_settings_one_member_at_a_time(store):
    resize(store, 3)
    store.cli("up")
    began = "systemctl show -p ExecMainStartTimestampMonotonic clusterctl-etcd"
    pki = "/etc/clusterctl/pki"
    serial = (
        f"echo | openssl s_client -connect 127.0.0.1:2379 -CAfile {pki}/ca.crt -cert {pki}/docker.crt "
        f"-key {pki}/docker.key 2>/dev/null | openssl x509 -noout -serial"
    )
    before = {h: (store.ssh(h, began), store.ssh(h, serial)) for h in store.hosts}
    for host in store.hosts:
        store.ssh(host, f"rm {pki}/etcd.crt")
    store.cli("up")
    for host, (start, number) in before.items():
        assert store.ssh(host, began) == start
        assert store.ssh(host, serial) != number, "the new one is served"
    for host in store.hosts:
        store.ssh(host, "echo '# changed' >> /etc/systemd/system/clusterctl-etcd.service")
    done = store.cli("up")
    order = [
        line.split(":")[0] for line in done.stderr.splitlines() if re.search(": (restart etcd|wait until etcd)", line)
    ]
    assert order == [h for h in store.hosts for _ in range(2)], done.stderr
    store.cli("verify", "-q")


@pytest.fixture(scope="module")
def saved(store):
    store.cli("up")
    file = store.folder / "lab.snapshot"
    said = etcd(store, "snapshot", str(file))
    assert "networks: qyt_overlay" in said.stdout
    return file


def test_a_snapshot_says_what_it_is_and_overwrites_nothing(store, saved):
    manifest = json.loads(saved.read_text())["manifest"]
    assert (manifest["lab"], manifest["etcd"], manifest["networks"]) == ("edt", "3.4.23", ["qyt_overlay"])
    assert saved.stat().st_mode & 0o777 == 0o600
    assert "is there already" in etcd(store, "snapshot", str(saved), check=2).stderr


def test_a_snapshot_that_does_not_fit_is_refused(store, saved, tmp_path):
    def other(text, name="other.snapshot"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    text = saved.read_text()
    for changed, reason in (
        (text.replace('"lab": "edt"', '"lab": "else"'), "the snapshot is of another lab: else"),
        (text.replace('"etcd": "3.4.23"', '"etcd": "3.5.9"'), "the snapshot is of etcd 3.5.9, and it has 3.4.23"),
    ):
        assert reason in etcd(store, "restore", other(changed), "--yes", check=3).stderr
    assert "damaged" in etcd(store, "restore", other(text.replace("qyt_overlay", "x")), "--yes", check=2).stderr
    assert "is no snapshot" in etcd(store, "restore", other("{}"), "--yes", check=2).stderr
    store.ssh("docker1", "docker network create -d overlay --subnet 10.78.0.0/24 newer")
    refused = etcd(store, "restore", str(saved), "--yes", check=3)
    assert "has not: network newer; to restore it all the same: --force" in refused.stderr
    store.ssh("docker1", "docker network rm newer")
    assert "add --yes" in etcd(store, "restore", str(saved), check=2).stderr
    store.cli("verify", "-q")


def test_a_snapshot_brings_the_networks_back_into_wiped_members(store, saved):
    overlay = store.ssh("docker1", "docker network inspect -f '{{.Id}}' qyt_overlay")
    for host in store.hosts:
        store.ssh(host, f"systemctl stop docker; systemctl kill -s KILL {ETCD}; systemctl stop {ETCD}")
        store.ssh(host, "rm -rf /var/lib/clusterctl-etcd/member")
    began = time.monotonic()
    done = etcd(store, "restore", str(saved), "--yes")
    print(f"restored in {time.monotonic() - began:.1f} s")
    assert "all hold" in done.stdout
    assert store.ssh("docker1", "docker network inspect -f '{{.Id}}' qyt_overlay") == overlay, "the very same network"
    store.cli("verify", "-q")
    assert json.loads(store.cli("up", "-o", "json").stdout)["actions"] == 0
    assert etcd(store, "defrag").returncode == 0

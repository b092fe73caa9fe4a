"""Doctor names what was broken, the layer and the host, for each fault on its own; of a healthy lab it says nothing."""

import contextlib
import datetime
import json
import re
import time

import faults
import labs
import pytest

pytestmark = pytest.mark.lab

BASE = "/docker/network/v1.0/endpoint"
GHOST = ("10.10.10.99", "02:42:0a:0a:0a:99")


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    """A lab that these tests break and mend."""
    made = labs.Lab(tmp_path_factory.mktemp("sick"), "ltd", "10.1.87")
    made.cli("up", "playbooks/overlay.yml")
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def diagnose(lab, *args, check=None):
    """Return doctor's one document."""
    done = lab.cli("doctor", "-o", "json", "-q", *args, check=check)
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    assert done.returncode == (0 if found["healthy"] else 1), labs.seen(done)
    return found


def told(found):
    """Return what was found, for the message of an assertion."""
    return "\n".join(
        f"{f['layer']} {f['severity']} {f['check']} {f['subject']}: {f['seen']}"
        for f in found["findings"]
        if f["severity"] != "ok"
    )


def well(lab):
    """Wait until the lab is healthy, so that the next fault is the only one."""
    deadline = time.monotonic() + 40
    while not (found := diagnose(lab))["healthy"] and time.monotonic() < deadline:
        time.sleep(1)
    assert found["healthy"], told(found)


def names_it(cause, layer, check, where, says=(), all_of_it=""):
    """Assert that a cause is the right one, and comes with evidence and a remedy."""
    assert (cause["layer"], cause["check"]) == (layer, check), all_of_it or cause["seen"]
    assert where in f"{cause['subject']} {cause['seen']}", all_of_it
    for word in says:
        assert word in cause["seen"], all_of_it
    assert cause["remedy"]
    assert cause["evidence"]
    assert all(e["command"] and e["output"] for e in cause["evidence"])


def must_be(found, layer, check, where, says=()):
    """Assert that doctor blames the right thing on the right host, and gives what it promises with it."""
    assert found["cause"], "nothing was found"
    names_it(found["cause"], layer, check, where, says, told(found))
    states = {s["layer"]: s["state"] for s in found["layers"]}
    order = list(states)
    assert states[layer] in ("failed", "unknown")
    assert all(states[above] == "not judged" for above in order[order.index(layer) + 1 :])


def break_(lab, fault):
    for host, line in fault.breaks:
        lab.ssh(host, line.replace("10.1.0.", f"{lab.net}."))


def mend(lab, fault):
    for host, line in fault.mends:
        lab.ssh(host, line.replace("10.1.0.", f"{lab.net}."), check=None if fault.fix else 0)
    if fault.up:
        lab.cli("up")


@contextlib.contextmanager
def broken(lab, fault):
    """Break something, and mend it whatever the test finds."""
    break_(lab, fault)
    try:
        yield
    finally:
        mend(lab, fault)


def test_a_healthy_lab_is_not_blamed_and_says_what_was_looked_at(sick):
    found = diagnose(sick)
    assert found["healthy"], told(found)
    assert found["cause"] is None
    assert {s["state"] for s in found["layers"]} <= {"ok", "warning"}
    said = sick.cli("doctor").stdout
    assert "healthy" in said
    assert "qyt1 → qyt2" in said


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, id=f.name, marks=[] if f.name in faults.OFTEN else [pytest.mark.long]) for f in faults.FAULTS],
)
def test_each_fault_is_named_with_its_host(sick, fault):
    with broken(sick, fault):
        if not fault.fix:
            must_be(diagnose(sick), fault.layer, fault.check, fault.where, fault.says)
            return
        found = diagnose(sick, "--fix", "--yes")
        assert found["fixed"], told(found)
        names_it(found["fixed"][0]["cause"], fault.layer, fault.check, fault.where, fault.says)
        assert found["fixed"][0]["actions"]
        assert found["healthy"], told(found)


def test_a_stale_endpoint_is_named_and_dropped(sick):
    with sick.session() as session:
        store = session.doors("docker1").etcd
        key, value = next((k, v) for k, v in store.keys(BASE).items() if '"name":"qyt2"' in v)
        mine = json.loads(value)
        made = f"{key[: -len(mine['id'])]}{'e' * 64}"
        iface = {**mine["ep_iface"], "addr": f"{GHOST[0]}/24", "mac": GHOST[1]}
        store.put(made, json.dumps({**mine, "id": "e" * 64, "name": "ghost", "ep_iface": iface}, separators=(",", ":")))
    found = diagnose(sick, "--fix", "--yes")
    names_it(found["fixed"][0]["cause"], "network", "stale-endpoint", "docker2", ("stale endpoint", "ghost"))
    assert found["healthy"], told(found)
    with sick.session() as session:
        assert made not in session.doors("docker1").etcd.keys(BASE)


def test_a_network_that_the_store_has_lost_is_named(sick):
    with sick.session() as session:
        keys = session.doors("docker1").etcd.keys("/docker/network/v1.0/network")
    key, value = next((k, v) for k, v in keys.items() if '"name":"qyt_overlay"' in v)
    sick.ssh("docker1", f"{faults.CURL}/v2/keys{key} -X DELETE")
    try:
        must_be(diagnose(sick), "network", "store-lost-network", "qyt_overlay", ("lost the network",))
    finally:
        with sick.session() as session:
            session.doors("docker1").etcd.put(key, value)
    well(sick)


def test_an_expired_certificate_is_named(sick):
    from clusterctl.stores import etcd
    from clusterctl.stores.certificates import Authority, Pair

    folder = sick.state / "pki"
    authority = Authority(Pair((folder / "ca.crt").read_text(), (folder / "ca.key").read_text()))
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=4000)
    old = authority.issue("docker2 etcd", [f"{sick.net}.2", "127.0.0.1"], server=True, now=past).certificate
    sick.ssh("docker2", f"cp -p {etcd.MEMBER_CERT} /run/was.crt; cat > {etcd.MEMBER_CERT} <<'END'\n{old}END")
    try:
        must_be(diagnose(sick), "host", "certificate-expired", "docker2", ("expired",))
    finally:
        sick.ssh("docker2", f"cp -p /run/was.crt {etcd.MEMBER_CERT}")
    well(sick)


def test_without_consent_nothing_is_mended(sick):
    fault = next(f for f in faults.FAULTS if f.name == "container paused")
    with broken(sick, fault):
        done = sick.cli("doctor", "--fix", check=2)
        assert "docker unpause qyt1" in done.stderr
        assert "not without consent" in done.stderr
        assert sick.ssh("docker1", "docker inspect -f '{{.State.Status}}' qyt1").strip() == "paused"


@pytest.mark.long
def test_people_get_the_cause_the_evidence_and_what_to_type(sick):
    fault = next(f for f in faults.FAULTS if f.name == "4789 dropped")
    with broken(sick, fault):
        done = sick.cli("doctor", check=1)
    assert "✗ FAILED" in done.stdout
    assert re.search(r"^cause: udp 4789 .* docker1 to docker2 is dropped", done.stdout, re.MULTILINE)
    assert re.search(r"^  docker2\$ iptables-save", done.stdout, re.MULTILINE)
    assert re.search(r"^remedy: docker2: iptables -D INPUT -p udp", done.stdout, re.MULTILINE)


def test_a_host_that_is_gone_is_named_and_brought_back(sick):
    sick.kill("docker2")
    must_be(diagnose(sick), "host", "gone", "docker2", ("gone",))
    sick.cli("up")
    well(sick)


@pytest.mark.long
def test_a_healthy_lab_is_never_blamed(sick):
    blamed = [told(found) for _ in range(50) if not (found := diagnose(sick))["healthy"]]
    assert blamed == []

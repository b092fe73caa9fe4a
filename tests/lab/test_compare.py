"""Docker's kinds of networks side by side: measured on real containers, and gone again whatever happens."""

import json
import signal

import labs
import pytest

pytestmark = [pytest.mark.lab, pytest.mark.long]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """The overlay's lab, with its containers running."""
    made = labs.Lab(tmp_path_factory.mktemp("compare"), "ltm", "10.1.132")
    made.inventory.write_text(made.text(internet="true"))
    made.cli("up", "playbooks/overlay.yml")
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def named(lab):
    """Return what Docker has on both hosts."""
    ask = "docker ps -a --format '{{.Names}}'; docker network ls --format '{{.Name}}'; docker images -q"
    return {host: sorted(lab.ssh(host, ask).split()) for host in lab.hosts}


def pair(row, key):
    return row[key]["near"]["value"], row[key]["far"]["value"]


def test_kinds_differ_as_they_must_and_nothing_is_left(hosts):
    before = named(hosts)
    words = [w for kind in ("bridge", "none", "overlay", "macvlan", "ipvlan") for w in ("--only", kind)]
    done = hosts.cli("compare", *words, "-o", "json")
    rows = {row["network"]: row for row in json.loads(done.stdout)["networks"]}
    assert named(hosts) == before

    assert (pair(rows["bridge"], "name"), pair(rows["bridge"], "address")) == ((False, False), (True, False))
    assert rows["bridge"]["by_host"]["value"], "a bridge has its host on it"
    assert (pair(rows["none"], "address"), rows["none"]["mtu"]["value"]) == ((False, False), None)
    assert (pair(rows["overlay"], "name"), pair(rows["overlay"], "address")) == ((True, True), (True, True))
    assert (rows["overlay"]["mtu"]["value"], rows["overlay"]["payload"]["value"]) == (1450, 1422)
    assert (pair(rows["macvlan"], "name"), pair(rows["macvlan"], "address")) == ((True, False), (True, True))
    assert not rows["macvlan"]["by_host"]["value"], "the parent's own host does not reach it"
    assert (rows["macvlan"]["mtu"]["value"], rows["macvlan"]["payload"]["value"]) == (1500, 1472)
    for kind in ("overlay", "macvlan"):
        assert all(v and v > 0 for key in ("milliseconds", "megabits") for v in pair(rows[kind], key)), rows[kind]
        assert not rows[kind]["by_outsider"]["value"]
    if rows["ipvlan"]["missing"]:
        assert "has no ipvlan devices" in rows["ipvlan"]["missing"]


def test_an_interrupted_comparison_takes_away_what_it_made(hosts):
    before = named(hosts)
    done = hosts.signalled(
        "run container clusterctl-compare-source", [signal.SIGINT], "compare", "--only", "user-bridge"
    )
    assert done.returncode == 130, labs.seen(done)
    assert named(hosts) == before


def test_what_a_killed_one_left_goes_with_the_next_and_names_of_others_are_refused(hosts):
    before = named(hosts)
    theirs = "docker run -d --name clusterctl-compare-near clusterctl/probe:1"
    hosts.ssh("docker1", theirs)
    try:
        refused = hosts.cli("compare", "--only", "none", check=3)
        assert "clusterctl-compare-near is not of this lab" in refused.stderr
    finally:
        hosts.ssh("docker1", "docker rm -f clusterctl-compare-near")
    hosts.ssh("docker1", theirs.replace("-d", f"-d --label clusterctl.lab={hosts.name}"))
    hosts.cli("compare", "--only", "none")
    assert named(hosts) == before


def test_iperf3_measures_where_the_hosts_have_it(hosts):
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends iperf3 >/dev/null"
    for host in hosts.hosts:
        hosts.ssh(host, f"apt-get update -qq && {install}")
    (row,) = json.loads(hosts.cli("compare", "--only", "overlay", "-o", "json").stdout)["networks"]
    assert all(v and v > 0 for v in pair(row, "megabits")), row["megabits"]
    assert {row["megabits"][where]["seen"] for where in ("near", "far")} == {"iperf3"}

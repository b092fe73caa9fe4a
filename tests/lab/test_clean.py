"""The environment cleared: what is on the hosts goes, whoever made it, once it was named and consented to."""

import json

import labs
import pytest

pytestmark = pytest.mark.lab

STRANGERS = """\
docker network create theirs && docker run -d --name stranger --network theirs --label theirs clusterctl/probe:1 \
  && docker create --name idle clusterctl/probe:1 && docker tag clusterctl/probe:1 mine:2 \
  && mkdir -p /tmp/empty && tar -c -C /tmp/empty . | docker import - \
  && docker run -d --name attached --network qyt_overlay clusterctl/probe:1 && docker volume create kept
"""
LEFT = """\
docker ps -aq; docker images -aq; docker network ls -q --filter type=custom --filter name=theirs
docker network ls --format '{{.Name}}' --filter driver=overlay; docker volume ls -q
"""


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The overlay's lab, with things of others on docker2."""
    made = labs.Lab(tmp_path_factory.mktemp("clean"), "ltc", "10.1.131")
    made.cli("up", "playbooks/overlay.yml")
    made.ssh("docker2", STRANGERS)
    yield made
    made.cli("down", "--yes")
    assert made.gone()


def names(done):
    hosts = json.loads(done.stdout)["hosts"]
    return {h: {kind: sorted(n) for kind, n in found.items()} for h, found in hosts.items()}


def test_nothing_goes_unnamed_or_without_consent(full):
    before = full.snapshots()
    dry = full.cli("clean", "--dry-run", "-o", "json")
    assert json.loads(dry.stdout)["dry_run"]
    found = names(dry)
    assert found["docker2"]["containers"] == ["attached", "idle", "qyt2", "stranger"]
    assert found["docker1"]["networks"] == ["qyt_overlay"]
    assert "theirs" in found["docker2"]["networks"]
    assert {"clusterctl/probe:1", "mine:2"} <= set(found["docker2"]["images"])
    assert len(found["docker2"]["images"]) == 3, "one without a name among them"
    asked = full.cli("clean", check=2)
    assert "stranger" in asked.stdout
    assert "REMOVE 5 containers, 2 networks, 4 images on docker1, docker2: not without consent" in asked.stderr
    assert "not in the inventory: docker9" in full.cli("clean", "--hosts", "docker9", "--yes", check=2).stderr
    assert labs.differences(before, full.snapshots()) == []


def test_what_is_in_use_is_refused_where_its_user_would_stay(full):
    before = full.snapshots()
    done = full.cli("clean", "--only", "images", "--yes", check=3)
    assert "docker2: image clusterctl/probe:1 is used by container attached, idle, qyt2, stranger" in done.stderr
    done = full.cli("clean", "--hosts", "docker2", "--yes", check=3)
    assert "network qyt_overlay is used by container qyt1" in done.stderr
    assert labs.differences(before, full.snapshots()) == []


def test_all_of_it_goes_and_the_lab_can_be_made_again(full):
    full.cli("clean", "--only", "containers", "--hosts", "docker2", "--yes")
    assert full.ssh("docker2", "docker ps -aq") == ""
    assert full.ssh("docker1", "docker ps -aq") != ""
    done = full.cli("clean", "--yes")
    assert "clean, 7 removed" in done.stdout
    assert (full.ssh("docker1", LEFT), full.ssh("docker2", LEFT)) == ("", "kept\n"), "a named volume is data"
    assert "nothing to remove on docker1, docker2" in full.cli("clean").stdout
    full.cli("up", "playbooks/overlay.yml")

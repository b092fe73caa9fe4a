"""What clears a host: everything that was named, in an order that works, and nothing besides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import Refused
from clusterctl.model.facts import ContainerFacts, Endpoint, ImageFacts, NetworkFacts
from clusterctl.model.thing import Kind, Thing
from clusterctl.phases.clean import CleanHosts, everything, held
from example import NETWORK, after, decide, finished, lab, reasons, titles, with_docker


def with_strangers():
    """Return the finished lab with things of others on docker2."""
    facts = finished()
    docker = facts.hosts["docker2"].docker
    theirs = NetworkFacts("n1", "theirs", "bridge", "local", "172.20.0.0/16")
    theirs = replace(theirs, endpoints=(Endpoint("stranger", "stranger-id", "", "172.20.0.2"),))
    stranger = ContainerFacts("stranger-id", "stranger", "mine:2", "exited", {}, {"theirs": ("", "")})
    images = (*docker.images, ImageFacts("sha256:aaaabbbbccccdddd", ("mine:2", "mine:3")), ImageFacts("sha256:99", ()))
    return with_docker(
        facts,
        "docker2",
        networks={**docker.networks, "theirs": theirs},
        containers={**docker.containers, "stranger": stranger},
        images=images,
    )


def named(facts, *kinds: Kind) -> list[str]:
    return [f"{t.host} {t.kind} {t.name}" for t in everything(facts, kinds or list(Kind))]


def test_all_of_it_is_named_host_by_host_whoever_made_it() -> None:
    assert named(with_strangers()) == [
        "docker1 containers qyt1",
        f"docker1 networks {NETWORK}",
        "docker1 images clusterctl/probe:1",
        "docker2 containers qyt2",
        "docker2 containers stranger",
        "docker2 networks theirs",
        "docker2 images 99",
        "docker2 images clusterctl/probe:1",
        "docker2 images mine:2",
        "docker2 images mine:3",
    ]
    whose = {t.name: t.owner for t in everything(with_strangers(), [Kind.CONTAINERS])}
    assert whose == {"qyt1": "ut", "qyt2": "ut", "stranger": ""}


def test_some_of_it_is_named_where_that_is_wanted() -> None:
    assert named(with_strangers(), Kind.NETWORKS) == [f"docker1 networks {NETWORK}", "docker2 networks theirs"]


def test_containers_go_first_then_networks_then_images() -> None:
    facts = with_strangers()
    steps = decide(CleanHosts(everything(facts, list(Kind))), lab(), facts)
    assert titles(sorted(steps, key=lambda s: s.turn)) == [
        "docker1: remove container qyt1",
        "docker2: remove container qyt2",
        "docker2: remove container stranger",
        f"docker1: remove network {NETWORK}",
        "docker2: remove network theirs",
        "docker1: remove image clusterctl/probe:1",
        "docker2: remove image 99",
        "docker2: remove image clusterctl/probe:1",
        "docker2: remove image mine:2",
        "docker2: remove image mine:3",
    ]
    left = after(steps, facts)
    assert named(left, Kind.CONTAINERS, Kind.NETWORKS) == []


def test_what_came_since_it_was_named_stays() -> None:
    before = everything(finished(), [Kind.CONTAINERS])
    facts = with_strangers()
    assert titles(decide(CleanHosts(before), lab(), facts)) == [
        "docker1: remove container qyt1", "docker2: remove container qyt2"
    ]  # fmt: skip


def test_what_went_since_is_not_missed() -> None:
    things = [Thing("docker1", Kind.CONTAINERS, "gone", "")]
    steps = decide(CleanHosts(things), lab(), finished())
    assert titles(steps) == []
    assert reasons(steps) == ["docker1: nothing of it is there", "docker2: nothing of it is there"]


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (Kind.IMAGES, "docker2: image mine:2 is used by container stranger"),
        (Kind.NETWORKS, "docker2: network theirs is used by container stranger"),
        (Kind.NETWORKS, f"docker1: network {NETWORK} is used by container qyt1, qyt2"),
    ],
)
def test_what_a_container_that_stays_holds_on_to_is_refused_before_anything_goes(kind: Kind, seen: str) -> None:
    facts = with_strangers()
    with pytest.raises(Refused) as caught:
        decide(CleanHosts(everything(facts, [kind])), lab(), facts)
    assert seen in str(caught.value)


def test_an_image_is_held_by_its_id_as_well() -> None:
    facts = with_strangers()
    found = facts.hosts["docker2"].docker.containers["stranger"]
    by_id = {"stranger": replace(found, image="sha256:aaaabbbbccccdddd")}
    facts = with_docker(facts, "docker2", containers=by_id)
    assert {r.host for r in held(facts, everything(facts, [Kind.IMAGES]))} >= {"docker2"}

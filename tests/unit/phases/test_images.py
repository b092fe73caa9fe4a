from __future__ import annotations

from dataclasses import replace

from clusterctl.checks import KINDS
from clusterctl.commands.docker import LoadImage, PullImage
from clusterctl.model.facts import ContainerFacts, ImageFacts
from clusterctl.model.lab import IMAGE_LABEL
from clusterctl.model.playbook import load_playbook
from clusterctl.phases.images import ProvideImages, RemoveImages
from example import NETWORK, after, both, changed, decide, finished, fresh, lab, reasons, titles, with_docker

PROBE = "clusterctl/probe:1"


def two(image1: str, image2: str, **images: dict):
    containers = {
        "qyt1": {"host": "docker1", "networks": [NETWORK], "image": image1},
        "qyt2": {"host": "docker2", "networks": [NETWORK], "image": image2},
    }
    return lab(containers=containers, images=images)


def test_a_host_gets_the_images_of_its_own_containers() -> None:
    steps = decide(ProvideImages(), two(PROBE, "nginx:1"), with_docker(fresh(), "docker1"))
    assert titles(steps) == [
        f"docker1: build {PROBE} from the host's busybox",
        "docker2: record that image nginx:1 is not there",
        "docker2: pull nginx:1",
    ]


def test_a_built_image_carries_the_lab_s_label() -> None:
    (build, _) = decide(ProvideImages(), lab(), fresh())
    assert build.command.argv[-2:] == (PROBE, f"{IMAGE_LABEL}=ut")


def test_an_image_is_pulled_or_loaded_as_the_playbook_says() -> None:
    wanted = two("aa:1", "bb:1", **{"aa:1": {"pull": "example.org/x:2"}, "bb:1": {"load": "b.tar"}})
    pull, load = (a for a in decide(ProvideImages(), wanted, fresh()) if not getattr(a, "note", False))
    assert isinstance(pull, PullImage)
    assert (pull.reference, pull.tag) == ("example.org/x:2", "aa:1")
    assert isinstance(load, LoadImage)
    assert load.archive == "b.tar"


def test_what_is_there_is_not_brought_again() -> None:
    steps = decide(ProvideImages(), lab(), finished())
    assert titles(steps) == []
    assert reasons(steps) == both(f"{PROBE} there already")


def test_a_host_without_containers_needs_none() -> None:
    one = lab(containers={"qyt1": {"host": "docker1", "networks": [NETWORK]}})
    assert reasons(decide(ProvideImages(), one, finished()))[1] == "docker2: no container runs there"


def test_it_comes_out_as_foreseen() -> None:
    facts = with_docker(with_docker(fresh(), "docker1"), "docker2")
    assert titles(decide(ProvideImages(), lab(), after(decide(ProvideImages(), lab(), facts), facts))) == []


def test_down_removes_what_the_lab_built_and_leaves_what_others_did() -> None:
    more = (
        ImageFacts("1", ("nginx:1",)),
        ImageFacts("2", ("x:1", "x:2"), {IMAGE_LABEL: "ut"}),
        ImageFacts("3", ("y:1",), {IMAGE_LABEL: "other"}),
    )
    steps = decide(RemoveImages(), lab(), with_docker(finished(), "docker1", images=more))
    assert titles(steps) == ["docker1: remove image x:1", "docker1: remove image x:2", f"docker2: remove image {PROBE}"]


def test_down_leaves_a_built_image_that_another_s_container_is_made_of() -> None:
    strange = ContainerFacts("9", "web", PROBE, "running", {IMAGE_LABEL: "ut"})
    steps = decide(RemoveImages(), lab(), with_docker(finished(), "docker1", containers={"web": strange}))
    assert titles(steps) == [f"docker2: remove image {PROBE}"]


def test_down_removes_what_the_lab_brought_unless_another_has_a_container_of_it() -> None:
    wanted = two("aa:1", "org/bb:1", **{"aa:1": {"pull": "example.org/x:2"}, "org/bb:1": {"load": "b.tar"}})
    facts = after(decide(ProvideImages(), wanted, finished()), finished())
    assert titles(decide(ProvideImages(), wanted, facts)) == []
    brought = (ImageFacts("1", ("aa:1", "example.org/x:2")), ImageFacts("2", ("nginx:1",)))
    facts = with_docker(facts, "docker1", images=brought)
    assert titles(decide(RemoveImages(), wanted, facts)) == [
        "docker1: remove image aa:1",
        "docker1: remove image example.org/x:2",
        f"docker2: remove image {PROBE}",
        "docker2: remove image org/bb:1",
    ]
    theirs = {"x": ContainerFacts("x", "x", "aa:1", "exited")}
    facts = with_docker(facts, "docker1", images=brought, containers=theirs)
    assert titles(decide(RemoveImages(), wanted, facts))[0] == "docker1: remove image example.org/x:2"


def test_down_needs_no_daemon_where_none_runs() -> None:
    facts = changed(finished(), "docker1", lambda f: replace(f, docker=None))
    assert reasons(decide(RemoveImages(), lab(), facts)) == ["docker1: no image of this lab"]


def test_a_host_on_which_a_check_tries_a_container_gets_an_image_for_it() -> None:
    text = """\
name: p
containers: {qyt2: {host: docker2, network_mode: bridge, image: "nginx:1"}}
expect: [{lifetime: {on: docker1}}, {lifetime: {on: docker2}}]
"""
    wanted = replace(lab(), playbook=load_playbook(text, "p.yml", KINDS))
    assert wanted.playbook.hosts == ("docker1", "docker2")
    assert titles(decide(ProvideImages(), wanted, fresh())) == [
        f"docker1: build {PROBE} from the host's busybox",
        "docker2: record that image nginx:1 is not there",
        "docker2: pull nginx:1",
    ]

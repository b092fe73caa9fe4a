from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.facts import ContainerFacts, Endpoint, Facts
from clusterctl.model.lab import LABEL, Lab
from clusterctl.model.playbook import Attachment
from clusterctl.phases.containers import SPEC, ClearContainers, RemoveContainers, RunContainers, digest
from clusterctl.plan.action import Action
from example import NETWORK, after, both, changed, decide, finished, lab, reasons, titles, with_docker


def steps(facts: Facts, wanted=None):
    """Clear what does not fit, then run what is missing, as `up` does one after the other."""
    cleared = [s for s in decide(ClearContainers(), wanted or lab(), facts) if isinstance(s, Action)]
    return [*cleared, *decide(RunContainers(), wanted or lab(), after(cleared, facts))]


def empty() -> Facts:
    """Return the finished lab before its containers."""
    facts = finished()
    for host in ("docker1", "docker2"):
        network = replace(facts.hosts[host].docker.networks[NETWORK], endpoints=())
        facts = with_docker(facts, host, containers={}, networks={NETWORK: network})
    return facts


def qyt1(**changes: object) -> Facts:
    found = replace(finished().hosts["docker1"].docker.containers["qyt1"], **changes)
    return with_docker(finished(), "docker1", containers={"qyt1": found})


def test_each_container_is_run_on_its_host_with_the_lab_s_label() -> None:
    found = steps(empty())
    assert titles(found) == ["docker1: run container qyt1", "docker2: run container qyt2"]
    assert found[0].labels == {LABEL: "ut", SPEC: digest(lab().playbook.containers["qyt1"])}
    assert list(found[0].networks) == [NETWORK]


def test_a_finished_host_plans_nothing_and_says_why() -> None:
    assert titles(steps(finished())) == []
    assert reasons(steps(finished())) == ["docker1: container qyt1 is running", "docker2: container qyt2 is running"]


def test_it_comes_out_as_foreseen() -> None:
    assert titles(steps(after(steps(empty()), empty()))) == []


@pytest.mark.parametrize("state", ["exited", "created", "dead", "paused", "restarting"])
def test_a_container_that_does_not_run_is_made_anew(state: str) -> None:
    assert titles(steps(qyt1(state=state))) == [
        f"docker1: remove container qyt1, which is {state}",
        "docker1: run container qyt1",
    ]


@pytest.mark.parametrize(
    "changes", [{"labels": {LABEL: "ut", SPEC: "older"}}, {"labels": {LABEL: "ut"}}, {"networks": {}}]
)
def test_a_container_that_is_other_than_the_playbook_says_is_made_anew(changes: dict) -> None:
    assert titles(steps(qyt1(**changes)))[0] == "docker1: remove container qyt1, which is other than the playbook says"


def test_a_container_that_is_on_one_more_network_stays() -> None:
    assert titles(steps(qyt1(networks={NETWORK: ("10.10.10.2", ""), "more": ("", "")}))) == []


def test_a_container_that_runs_without_an_address_is_made_anew() -> None:
    assert titles(steps(qyt1(networks={NETWORK: ("", "")}))) == [
        f"docker1: remove container qyt1, which has no address on {NETWORK}",
        "docker1: run container qyt1",
    ]


def test_the_digest_sees_everything_that_makes_a_container_what_it_is() -> None:
    container = lab().playbook.containers["qyt1"]
    on = Attachment()
    changes = [
        {"image": "x:1"},
        {"command": ("x",)},
        {"networks": {"aa": on}},
        {"networks": {NETWORK: on, "aa": on}},
        {"networks": {NETWORK: Attachment(address="10.10.10.9")}},
        {"networks": {NETWORK: Attachment(aliases=("web",))}},
        {"network_mode": "bridge"},
        {"network_mode": "bridge", "links": ("web",)},
        {"publish": ("80:80",)},
        {"capabilities": ("NET_ADMIN",)},
        {"sysctls": {"net.ipv4.ip_forward": "1"}},
    ]
    digests = {digest(container.model_copy(update=c)) for c in [{}, *changes]}
    assert len(digests) == 1 + len(changes)
    assert digest(container.model_copy(update={"host": "docker2"})) == digest(container)


def test_a_stale_endpoint_of_that_name_is_dropped_before_the_run() -> None:
    facts = empty()
    network = facts.hosts["docker1"].docker.networks[NETWORK]
    stale = (Endpoint("qyt1", "ep-dead", "", "10.10.10.2"), Endpoint("qyt2", "ep-x", "", "10.10.10.3"))
    facts = with_docker(facts, "docker1", networks={NETWORK: replace(network, endpoints=stale)})
    assert titles(steps(facts))[:2] == ["docker1: drop the stale endpoint qyt1", "docker1: run container qyt1"]


def test_a_container_s_own_endpoint_is_not_stale() -> None:
    assert not [t for t in titles(steps(qyt1(state="exited"))) if "stale" in t]


def test_a_container_that_left_the_playbook_is_removed_and_a_stranger_s_stays() -> None:
    one = lab(containers={"qyt1": {"host": "docker1", "networks": [NETWORK]}})
    strange = ContainerFacts("9", "web", "nginx", "running", {})
    other = ContainerFacts("8", "box", "nginx", "running", {LABEL: "other"})
    found = finished().hosts["docker2"].docker.containers
    facts = with_docker(finished(), "docker2", containers={**found, "web": strange, "box": other})
    assert titles(steps(facts, one)) == ["docker2: remove container qyt2, which is not in the playbook"]


def test_a_container_that_moves_leaves_its_old_host_before_its_name_is_taken_on_the_new_one() -> None:
    moved = lab(containers={"qyt1": {"host": "docker2", "networks": [NETWORK]}})
    cleared = decide(ClearContainers(), moved, finished())
    assert titles(cleared) == [
        "docker1: remove container qyt1, which is not in the playbook",
        "docker2: remove container qyt2, which is not in the playbook",
    ]
    assert titles(decide(RunContainers(), moved, after(cleared, finished()))) == ["docker2: run container qyt1"]


def test_what_fits_is_not_cleared_and_why_is_said() -> None:
    assert reasons(decide(ClearContainers(), lab(), finished())) == both("every container there fits")
    assert reasons(decide(ClearContainers(), lab(), empty())) == both("no container of this lab")


def test_a_host_without_containers_says_so() -> None:
    one = lab(containers={"qyt1": {"host": "docker1", "networks": [NETWORK]}})
    assert (
        reasons(steps(with_docker(finished(), "docker2", containers={}), one))[1] == "docker2: no container runs there"
    )


def test_down_removes_what_carries_the_label_whatever_the_playbook_says() -> None:
    nothing = lab(containers={})
    assert titles(decide(RemoveContainers(), nothing, finished())) == [
        "docker1: remove container qyt1",
        "docker2: remove container qyt2",
    ]


def test_down_leaves_strangers_alone() -> None:
    facts = with_docker(
        finished(), "docker1", containers={"qyt1": ContainerFacts("1", "qyt1", "x", "running", {LABEL: "other"})}
    )
    facts = changed(facts, "docker2", lambda f: replace(f, docker=None))
    assert reasons(decide(RemoveContainers(), lab(), facts)) == both("no container of this lab")


def test_a_container_that_is_removed_is_foreseen_to_leave_its_networks_on_every_host() -> None:
    facts = after(decide(RemoveContainers(), lab(), finished()), finished())
    for host in ("docker1", "docker2"):
        daemon = facts.hosts[host].docker
        assert daemon.containers == {}
        assert daemon.networks[NETWORK].endpoints == ()


def test_a_container_of_the_same_name_elsewhere_is_foreseen_to_stay() -> None:
    facts = with_docker(finished(), "docker2", containers=dict(finished().hosts["docker1"].docker.containers))
    (first, *_) = decide(RemoveContainers(), lab(), facts)
    assert set(first.predict(facts).hosts["docker2"].docker.containers) == {"qyt1"}


def leaning(**mode: object) -> Lab:
    containers = {
        "second": {"host": "docker1", "network_mode": "container:first"},
        "third": {"host": "docker1", "network_mode": "bridge", "links": ["first"]},
        "first": {"host": "docker1", "network_mode": "bridge", **mode},
    }
    return lab(containers=containers)


def nothing() -> Facts:
    return with_docker(with_docker(finished(), "docker1", containers={}), "docker2", containers={})


def test_what_leans_on_another_runs_after_it_and_comes_out_as_foreseen() -> None:
    wanted = leaning()
    found = steps(nothing(), wanted)
    assert titles(found) == [f"docker1: run container {n}" for n in ("first", "second", "third")]
    assert found[1].shell().startswith("docker run --detach --name second --network container:first")
    assert "--network bridge --link first:first" in found[2].shell()
    assert titles(steps(after(found, nothing()), wanted)) == []


def test_what_leans_on_one_that_is_made_anew_is_made_anew_after_it() -> None:
    built = after(steps(nothing(), leaning()), nothing())
    assert titles(steps(built, leaning(publish=["80:80"]))) == [
        "docker1: remove container first, which is other than the playbook says",
        "docker1: remove container second, which leans on first",
        "docker1: remove container third, which leans on first",
        *(f"docker1: run container {n}" for n in ("first", "second", "third")),
    ]
    daemon = built.hosts["docker1"].docker
    without = with_docker(built, "docker1", containers={k: v for k, v in daemon.containers.items() if k != "first"})
    assert titles(steps(without, leaning()))[:2] == [
        "docker1: remove container second, which leans on first",
        "docker1: remove container third, which leans on first",
    ]


def test_a_container_on_a_network_that_is_made_anew_is_made_anew() -> None:
    other = lab(networks={NETWORK: {"driver": "overlay", "subnet": "10.10.11.0/24"}})
    assert titles(decide(ClearContainers(), other, finished())) == [
        f"docker{i}: remove container qyt{i}, whose network {NETWORK} is made anew" for i in (1, 2)
    ]

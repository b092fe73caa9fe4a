"""What is made to compare networks, why not, and that it goes again, alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.compared import Compared
from clusterctl.model.facts import GATEWAY_BRIDGE, ContainerFacts, NetworkFacts
from clusterctl.model.lab import LABEL
from clusterctl.phases.comparison import PREFIX, RemoveComparison, before, missing, playbook_of, setting, strangers
from clusterctl.phases.containers import RunContainers
from clusterctl.phases.networks import CreateNetworks
from example import after, changed, decide, finished, lab, titles, with_docker

DEVICES = {"macvlan": "built in", "ipvlan": "absent"}


def hosts():
    facts = finished()
    for name in facts.hosts:
        facts = changed(facts, name, lambda f: replace(f, devices=DEVICES, links=frozenset({"lo", "eth0"})))
    return facts


@pytest.mark.parametrize("kind", list(Compared))
def test_each_kind_has_two_containers_on_a_host_one_on_the_next_and_an_outsider(kind: Compared) -> None:
    containers = playbook_of(kind, lab()).playbook.containers
    assert {n.removeprefix(PREFIX): c.host for n, c in containers.items()} == {
        "source": "docker1", "near": "docker1", "outsider": "docker1", "far": "docker2"
    }  # fmt: skip
    mode = str(kind) if kind in (Compared.BRIDGE, Compared.HOST, Compared.NONE) else ""
    assert containers[f"{PREFIX}source"].network_mode == mode


def test_one_host_alone_has_no_far_end() -> None:
    one = lab(hosts={"docker1": "10.1.90.1"}, containers={})
    assert f"{PREFIX}far" not in playbook_of(Compared.OVERLAY, one).playbook.containers


def why(kind: Compared, facts=None) -> str:
    return missing(kind, playbook_of(kind, lab()), facts or hosts())


def test_why_a_kind_cannot_be_had_is_said() -> None:
    assert [k for k in Compared if why(k)] == [Compared.IPVLAN]
    assert why(Compared.IPVLAN).endswith("has no ipvlan devices")
    assert why(Compared.OVERLAY, with_docker(hosts(), "docker2", store="")) == "docker2: Docker is on no cluster store"
    wire = NetworkFacts("w", "wire", "macvlan", "local", labels={LABEL: "ut"}, options={"parent": "eth0"})
    taken = with_docker(hosts(), "docker1", networks={"wire": wire})
    assert why(Compared.MACVLAN, taken) == "docker1: eth0 is the parent of Docker's network wire already"


def made(kind: Compared, facts):
    wanted = playbook_of(kind, lab())
    for phase in (CreateNetworks(), RunContainers()):
        facts = after(decide(phase, wanted, facts), facts)
    return facts


def test_it_all_goes_again_and_nothing_besides() -> None:
    facts = made(Compared.MACVLAN, hosts())
    steps = decide(RemoveComparison(before(hosts())), lab(), facts)
    assert {s.title.rpartition(" ")[2] for s in steps} == {
        f"{PREFIX}{n}" for n in ("source", "near", "far", "outsider", "macvlan", "other")
    }
    assert titles(decide(RemoveComparison(before(hosts())), lab(), after(steps, facts))) == []


def test_the_image_goes_where_it_was_not_there_before_and_nothing_else_uses_it() -> None:
    bare = with_docker(hosts(), "docker1", containers={}, images=())
    facts = with_docker(bare, "docker1", images=finished().hosts["docker1"].docker.images)
    assert "docker1: remove image clusterctl/probe:1" in titles(decide(RemoveComparison(before(bare)), lab(), facts))
    assert "docker1: remove image clusterctl/probe:1" not in titles(
        decide(RemoveComparison(before(facts)), lab(), facts)
    )


def test_dockers_bridge_goes_unless_a_container_of_somebody_else_is_on_an_overlay() -> None:
    goes = f"docker1: remove {GATEWAY_BRIDGE}"
    gateway = NetworkFacts("g", GATEWAY_BRIDGE, "bridge", "local")
    networks = {**hosts().hosts["docker1"].docker.networks, gateway.name: gateway}
    facts = with_docker(hosts(), "docker1", networks=networks)
    assert goes not in titles(decide(RemoveComparison(()), lab(), facts)), "the lab's own container is on one"
    empty = with_docker(facts, "docker1", containers={})
    assert goes in titles(decide(RemoveComparison(()), lab(), empty))
    assert goes not in titles(decide(RemoveComparison({("docker1", GATEWAY_BRIDGE)}), lab(), empty))


def test_names_of_others_are_told() -> None:
    name = f"{PREFIX}near"
    theirs = {name: ContainerFacts("x", name, "i", "running")}
    assert strangers(with_docker(hosts(), "docker2", containers=theirs), lab()) == [("docker2", name)]
    assert strangers(made(Compared.NONE, hosts()), lab()) == []


def test_the_host_s_network_has_the_host_s_address() -> None:
    facts = made(Compared.HOST, hosts())
    found = setting(Compared.HOST, playbook_of(Compared.HOST, lab()), facts)
    assert (found.source.ip, found.peers["far"].ip) == ("10.1.90.1", "10.1.90.2")
    assert not found.iperf3

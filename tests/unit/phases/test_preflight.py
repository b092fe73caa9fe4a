from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import Refused
from clusterctl.model.facts import ContainerFacts, Facts, File, Listener, NetworkFacts, Unit
from clusterctl.model.lab import LABEL
from clusterctl.phases.preflight import Preflight
from clusterctl.stores import etcd
from example import NETWORK, changed, decide, finished, fresh, lab, with_docker


def refused(facts: Facts, wanted=None) -> list[str]:
    with pytest.raises(Refused) as caught:
        decide(Preflight(), wanted or lab(), facts)
    assert caught.value.exit_code == 3
    return [str(r) for r in caught.value.reasons]


def host1(**changes: object) -> Facts:
    return changed(fresh(), "docker1", lambda f: replace(f, **changes))


def network(name: str, subnet: str, **labels: str) -> NetworkFacts:
    return NetworkFacts("id", name, "bridge", "local", subnet, labels=labels)


@pytest.mark.parametrize(
    "facts", [fresh(), finished(), with_docker(fresh(), "docker1")], ids=["fresh", "finished", "half"]
)
def test_hosts_that_can_carry_the_lab_pass(facts: Facts) -> None:
    assert decide(Preflight(), lab(), facts) == []


def test_every_reason_of_every_host_comes_at_once() -> None:
    facts = changed(host1(root=False, user="admin", disk_free_mb=10), "docker2", lambda f: replace(f, systemd=False))
    found = refused(facts)
    assert [r.partition(":")[0] for r in found] == ["docker1", "docker1", "docker2"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"root": False}, "docker1: root may not use sudo; log in as root, or allow sudo without a password"),
        ({"systemd": False}, "docker1: it does not run systemd; clusterctl manages its services through systemd"),
        ({"disk_free_mb": 299}, "docker1: 299 MB free under /var/lib, 300 MB are needed; docker system prune"),
        (
            {"versions": {"etcd": "3.6.1"}},
            "docker1: etcd 3.6.1 has no v2 API, and Docker's cluster store needs it; install etcd 3.5 or older",
        ),
        (
            {"versions": {"docker": "26.1.4"}},
            "docker1: Docker 26.1.4 has no cluster store (it was removed after 20.10); "
            "install Docker 20.10 (Debian 12's docker.io), or take another host",
        ),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_host_that_cannot_carry_it_is_refused(changes: dict, reason: str) -> None:
    assert refused(host1(**changes)) == [reason]


@pytest.mark.parametrize("version", ["3.5.30", "3.4.23", "3.3.0"])
def test_an_etcd_with_the_v2_api_passes(version: str) -> None:
    assert decide(Preflight(), lab(), host1(versions={"etcd": version})) == []


def test_300_mb_are_enough() -> None:
    assert decide(Preflight(), lab(), host1(disk_free_mb=300)) == []


def test_a_running_docker_26_is_refused_by_its_own_word() -> None:
    assert "Docker 26.1.4 has no cluster store" in refused(with_docker(fresh(), "docker1", version="26.1.4+dfsg1"))[0]


@pytest.mark.parametrize("state", ["active", "pending", "locked", "error"])
def test_a_daemon_in_a_swarm_is_refused(state: str) -> None:
    (found,) = refused(with_docker(fresh(), "docker1", swarm=state))
    assert found == (
        f"docker1: Docker is in swarm mode ({state}), which excludes a cluster store; docker swarm leave --force"
    )


def test_a_cluster_address_on_no_interface_is_refused() -> None:
    wanted = lab(hosts={"docker1": "10.1.90.9", "docker2": "10.1.90.2"})
    (found,) = refused(fresh(), wanted)
    assert found == (
        "docker1: its cluster address 10.1.90.9 is on none of its interfaces (it has 10.1.90.1, 172.17.0.1); "
        "set cluster_address of docker1 in the inventory"
    )


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "*", "127.0.0.1", "10.1.90.1"])
@pytest.mark.parametrize("port", [2379, 2380])
def test_a_port_in_use_is_refused_with_its_holder(ip: str, port: int) -> None:
    (found,) = refused(host1(listeners=(Listener("tcp", ip, port, "consul"),)))
    assert found == f"docker1: port {port} is in use by consul; ss -lntp 'sport = :{port}'"


def test_a_foreign_etcd_is_named_with_the_way_to_stop_it() -> None:
    (found,) = refused(host1(listeners=(Listener("tcp", "127.0.0.1", 2379, "etcd"),)))
    assert found == "docker1: port 2379 is in use by etcd; systemctl stop etcd"


@pytest.mark.parametrize(
    "listener",
    [
        Listener("udp", "0.0.0.0", 2379, "x"),
        Listener("tcp", "172.17.0.1", 2379, "x"),
        Listener("tcp", "0.0.0.0", 2381, "x"),
    ],
)
def test_a_listener_that_is_in_nobody_s_way_passes(listener: Listener) -> None:
    assert decide(Preflight(), lab(), host1(listeners=(listener,))) == []


@pytest.mark.parametrize("active", ["active", "activating", "reloading", "deactivating"])
def test_our_own_etcd_may_hold_its_ports(active: str) -> None:
    facts = changed(
        host1(listeners=(Listener("tcp", "127.0.0.1", 2379, "etcd"),)),
        "docker1",
        lambda f: f.with_unit(etcd.UNIT, Unit(active)),
    )
    assert decide(Preflight(), lab(), facts) == []


def test_a_host_without_etcd_may_use_its_ports_otherwise() -> None:
    wanted = lab(hosts={"docker1": {"address": "10.1.90.1", "roles": ["docker"]}, "docker2": "10.1.90.2"})
    assert decide(Preflight(), wanted, host1(listeners=(Listener("tcp", "0.0.0.0", 2379, "x"),))) == []


@pytest.mark.parametrize("route", ["10.10.10.0/24", "10.10.0.0/16", "10.10.10.128/25", "10.10.10.7"])
def test_a_network_over_a_route_of_the_host_is_refused(route: str) -> None:
    (found,) = refused(host1(routes=("default", "10.1.90.0/24", route, "blackhole")))
    assert found == (
        f"docker1: subnet 10.10.10.0/24 of network {NETWORK} overlaps its route {route}; "
        f"choose another subnet for {NETWORK} in the playbook"
    )


def test_the_route_of_the_network_itself_is_no_overlap() -> None:
    bridge = lab(networks={"br": {"driver": "bridge", "subnet": "10.10.10.0/24"}}, containers={})
    facts = with_docker(
        host1(routes=("10.10.10.0/24",)), "docker1", networks={"br": network("br", "10.10.10.0/24", **{LABEL: "ut"})}
    )
    assert decide(Preflight(), bridge, facts) == []


def test_a_daemon_json_that_is_none_is_refused_and_says_where() -> None:
    found = refused(changed(fresh(), "docker1", lambda f: f.with_file(etcd.DAEMON_JSON, File("{not json"))))
    assert found[0].startswith("docker1: /etc/docker/daemon.json is not JSON: ")
    found = refused(changed(fresh(), "docker1", lambda f: f.with_file(etcd.DAEMON_JSON, File("[]"))))
    assert found == ["docker1: /etc/docker/daemon.json is not a JSON object; mend or remove the file"]


def test_a_daemon_on_another_cluster_s_store_is_refused() -> None:
    theirs = File('{"cluster-store": "consul://10.9.9.9:8500"}')
    (found,) = refused(changed(fresh(), "docker1", lambda f: f.with_file(etcd.DAEMON_JSON, theirs)))
    assert found == (
        "docker1: /etc/docker/daemon.json already names the cluster store consul://10.9.9.9:8500; "
        "that daemon belongs to another cluster: take it out there first"
    )


@pytest.mark.parametrize(("labels", "whose"), [({}, "not made by clusterctl"), ({LABEL: "other"}, "of lab other")])
def test_a_stranger_s_container_of_that_name_is_refused(labels: dict, whose: str) -> None:
    strange = ContainerFacts("1", "qyt1", "nginx", "running", labels)
    (found,) = refused(with_docker(fresh(), "docker1", containers={"qyt1": strange}))
    assert found == (
        f"docker1: a container named qyt1 exists there, {whose}; "
        "docker rename qyt1 NEW, or name the playbook's container otherwise"
    )


def test_a_stranger_s_container_of_a_name_that_is_not_ours_there_passes() -> None:
    strange = ContainerFacts("1", "qyt2", "nginx", "running")
    assert decide(Preflight(), lab(), with_docker(fresh(), "docker1", containers={"qyt2": strange})) == []


@pytest.mark.parametrize("labels", [{}, {LABEL: "other"}])
def test_a_stranger_s_network_of_that_name_is_refused(labels: dict) -> None:
    (found,) = refused(with_docker(fresh(), "docker1", networks={NETWORK: network(NETWORK, "10.10.10.0/24", **labels)}))
    assert found.startswith(f"docker1: a network named {NETWORK} exists there, not made by this lab")


def test_clocks_that_differ_are_refused() -> None:
    facts = changed(fresh(), "docker2", lambda f: replace(f, clock=31.0))
    assert refused(facts) == ["docker1: its clock is -31 s off the other hosts'; timedatectl set-ntp true"]
    assert decide(Preflight(), lab(), changed(fresh(), "docker2", lambda f: replace(f, clock=30.0))) == []


def test_the_one_of_three_that_is_off_is_named() -> None:
    facts = changed(fresh(), "docker2", lambda f: replace(f, clock=-3600.0))
    facts = facts.with_host(replace(facts.hosts["docker1"], name="docker3"))
    assert refused(facts) == ["docker2: its clock is -3600 s off the other hosts'; timedatectl set-ntp true"]


def test_a_host_that_did_not_answer_is_refused_with_its_reason() -> None:
    facts = Facts(hosts={"docker1": fresh().hosts["docker1"]}, missing={"docker2": "docker2: no SSH connection"})
    assert refused(facts) == ["docker2: no SSH connection"]

from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import HostError
from clusterctl.model.facts import Facts, File
from clusterctl.model.inventory import Cluster, Tarball
from clusterctl.phases import docker, etcd
from clusterctl.phases.tarballs import FetchTarballs, Install, InstallTarballs, RemoveTarballs
from clusterctl.stores import releases
from clusterctl.stores.releases import DOCKER, ETCD, SERVICE, SOCKET
from clusterctl.testing import FakeDoor
from example import after, both, changed, decide, finished, fresh, lab, reasons, titles

D = Tarball(url="https://example.org/docker-20.10.24.tgz", sha256="d" * 64)
E = Tarball(file="~/etcd.tar.gz", sha256="e" * 64)
UNITS = ["write docker.socket", "write docker.service", "start Docker at boot"]
NOTE = "write down what is there before anything is installed"
PUT = {
    "docker": ["write down that docker comes from a tarball", "install docker-20.10.24.tgz in /opt/clusterctl/docker"],
    "etcd": ["write down that etcd comes from a tarball", "install etcd.tar.gz in /opt/clusterctl/etcd"],
}


def wanted(**tarballs: Tarball):
    made = lab()
    return replace(made, inventory=made.inventory.model_copy(update={"cluster": Cluster(**tarballs)}))


def bare(**changes: object) -> Facts:
    facts = fresh()
    for name in facts.hosts:
        facts = changed(facts, name, lambda f: replace(f, tools=frozenset({"apt-get"}), units={}, **changes))
    return facts


def of(host: str, *titles: str) -> list[str]:
    return [f"{host}: {t}" for t in titles]


def test_without_tarballs_there_is_nothing_to_do() -> None:
    for facts in (fresh(), bare()):
        assert reasons(decide(FetchTarballs(), lab(), facts)) == both("needs no tarball")
        assert reasons(decide(InstallTarballs(), lab(), facts)) == both("no tarball to install")
        assert reasons(decide(RemoveTarballs(), lab(), facts)) == both("nothing came from a tarball")


def test_what_a_host_has_is_used_and_no_tarball_replaces_it() -> None:
    both_given = wanted(docker=D, etcd=E)
    assert titles(decide(FetchTarballs(), both_given, fresh())) == []
    assert titles(decide(InstallTarballs(), both_given, fresh())) == []
    assert titles(decide(InstallTarballs(), both_given, finished())) == []


def test_each_tarball_is_fetched_once_and_installed_on_each_host_that_lacks_it() -> None:
    fetch = decide(FetchTarballs(), wanted(docker=D, etcd=E), bare())
    assert titles(fetch) == [
        "this machine: check ~/etcd.tar.gz",
        "this machine: fetch https://example.org/docker-20.10.24.tgz",
    ]
    assert all(a.machines == {"x86_64"} for a in fetch)
    steps = decide(InstallTarballs(), wanted(docker=D, etcd=E), bare())
    deeds = [NOTE, *PUT["etcd"], *PUT["docker"], *UNITS]
    assert titles(steps) == [*of("docker1", *deeds), *of("docker2", *deeds)]


def test_it_comes_out_as_foreseen() -> None:
    given = wanted(docker=D, etcd=E)
    facts = after(decide(InstallTarballs(), given, bare()), bare())
    assert titles(decide(FetchTarballs(), given, facts)) == []
    assert titles(decide(InstallTarballs(), given, facts)) == []


def test_a_half_installed_one_is_finished() -> None:
    given = wanted(docker=D)
    whole = after(decide(InstallTarballs(), given, bare()), bare())
    unlinked = changed(whole, "docker1", lambda f: replace(f, tools=f.tools - {"dockerd"}))
    assert titles(decide(InstallTarballs(), given, unlinked)) == of("docker1", PUT["docker"][1])
    for path in (SOCKET, SERVICE):
        without = changed(whole, "docker1", lambda f, path=path: f.with_file(path, None))
        deeds = [f"write {path.rpartition('/')[2]}", UNITS[2]]
        assert titles(decide(InstallTarballs(), given, without)) == of("docker1", *deeds)
    only_noted = changed(bare(), "docker1", lambda f: f.with_record("tarballs/docker", "x").with_record("before", ""))
    assert titles(decide(InstallTarballs(), given, only_noted))[0] == f"docker1: {PUT['docker'][1]}"


def test_another_tarball_in_the_inventory_takes_the_place_of_the_first_and_restarts_the_daemon() -> None:
    given = wanted(docker=D, etcd=E)
    facts = after(decide(InstallTarballs(), given, bare()), bare())
    newer = wanted(docker=D.model_copy(update={"sha256": "a" * 64}), etcd=E)
    assert titles(decide(InstallTarballs(), newer, facts)) == both(PUT["docker"][1])
    late = File("x", modified=4e9)
    assert docker.stale(finished().hosts["docker1"].with_file(DOCKER.marker, late))
    assert etcd.stale(finished().hosts["docker1"].with_file(ETCD.marker, late))


def test_a_tarball_that_is_no_longer_named_stays_until_down() -> None:
    facts = after(decide(InstallTarballs(), wanted(docker=D), bare()), bare())
    assert titles(decide(InstallTarballs(), lab(), facts)) == []
    assert titles(decide(RemoveTarballs(), lab(), facts)) == [
        f"{host}: {deed}"
        for host in ("docker1", "docker2")
        for deed in (
            "look for what is not the lab's in the Docker that was installed",
            "remove Docker's bridges and rules",
            "remove docker from /opt/clusterctl",
            "remove what Docker left",
        )
    ]


def test_roles_decide_what_comes() -> None:
    hosts = {
        "docker1": {"address": "10.1.90.1", "roles": ["etcd"]},
        "docker2": {"address": "10.1.90.2", "roles": ["docker"]},
    }
    made = lab(hosts=hosts, containers={"qyt2": {"host": "docker2", "networks": ["qyt_overlay"]}})
    given = replace(made, inventory=made.inventory.model_copy(update={"cluster": Cluster(docker=D, etcd=E)}))
    assert titles(decide(InstallTarballs(), given, bare())) == [
        *of("docker1", NOTE, *PUT["etcd"]),
        *of("docker2", NOTE, *PUT["docker"], *UNITS),
    ]


def answering(version: str):
    def answer(command):
        return (0, version, "") if "--version" in command.argv[2] else (0, "", "")

    return FakeDoor(answers=answer)


def install(door: FakeDoor, kind: releases.Kind = DOCKER) -> str:
    return Install(host="docker1", title="install", tarball=D, kind=kind).perform(door)


def test_it_is_sent_to_a_folder_of_the_login_user_then_unpacked_then_put_in_place(monkeypatch) -> None:
    monkeypatch.setenv("CLUSTERCTL_CACHE", "/cache")
    door = answering("Docker version 20.10.24, build 1")
    assert install(door) == "Docker version 20.10.24, build 1"
    assert door.sent == [(f"/cache/{'d' * 64}", "/opt/clusterctl/incoming/docker")]
    receive, unpack, activate = door.commands
    assert receive.argv[-1] == "/opt/clusterctl/incoming"
    assert unpack.argv[4:7] == ("docker", "d" * 64, "dockerd")
    assert activate.argv[-2:] == ("docker", "dockerd"), "the daemon's link comes last"


@pytest.mark.parametrize(
    ("kind", "said"),
    [(DOCKER, "Docker version 23.0.1, build 1"), (ETCD, "etcd Version: 3.6.0\n"), (DOCKER, "something else")],
)
def test_a_release_that_does_not_fit_is_not_put_in_place(kind: releases.Kind, said: str) -> None:
    door = answering(said)
    with pytest.raises(HostError, match=r"or older"):
        install(door, kind)
    assert "rm -rf" in door.commands[-1].argv[2]
    assert not any("ln -s" in c.argv[2] for c in door.commands)

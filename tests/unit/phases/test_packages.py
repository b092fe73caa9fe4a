from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import Refused
from clusterctl.phases.packages import InstallPackages, RemovePackages
from example import after, both, changed, decide, finished, fresh, lab, reasons, titles

BARE = frozenset({"apt-get", "hostnamectl"})


def bare(*tools: str, **changes: object):
    return changed(fresh(), "docker1", lambda f: replace(f, tools=BARE | set(tools), versions={}, **changes))


def test_what_is_there_is_used_as_it_is() -> None:
    steps = decide(InstallPackages(), lab(), fresh())
    assert titles(steps) == []
    assert reasons(steps) == both("docker 20.10.24, etcd 3.4.23 already installed")


def test_a_bare_host_gets_what_its_roles_need_and_nothing_else() -> None:
    steps = decide(InstallPackages(), lab(), bare())
    assert titles(steps) == ["docker1: install etcd-server, docker.io, iptables, busybox-static, tcpdump"]
    only_docker = lab(hosts={"docker1": {"address": "10.1.90.1", "roles": ["docker"]}, "docker2": "10.1.90.2"})
    steps = decide(InstallPackages(), only_docker, bare())
    assert titles(steps) == ["docker1: install docker.io, iptables, busybox-static, tcpdump"]


def test_only_what_is_missing_is_installed_and_goes_as_words() -> None:
    (install, _) = decide(InstallPackages(), lab(), bare("dockerd", "iptables", "busybox", "etcd"))
    assert install.command.argv[-1] == "tcpdump"
    assert "tcpdump" not in install.command.argv[2]


def test_it_comes_out_as_foreseen() -> None:
    facts = after(decide(InstallPackages(), lab(), bare()), bare())
    assert titles(decide(InstallPackages(), lab(), facts)) == []
    assert facts.hosts["docker1"].records["packages"].split()[0] == "etcd-server"


@pytest.mark.parametrize(
    "changes", [{"os_id": "fedora", "os_name": "Fedora 41"}, {"os_version": "13", "os_name": "Debian 13"}]
)
def test_another_system_that_lacks_something_is_refused_before_any_host_is_changed(changes: dict) -> None:
    with pytest.raises(Refused) as caught:
        decide(InstallPackages(), lab(), bare("dockerd", "iptables", "busybox", **changes))
    assert str(caught.value) == (
        f"docker1: {changes['os_name']} has no packages that fit a cluster store, "
        "and etcd-server, tcpdump are missing; "
        "install Docker 20.10 and etcd 3.4 or 3.5 on it, or take a Debian 12 host"
    )


def test_another_system_that_has_everything_passes() -> None:
    facts = changed(fresh(), "docker1", lambda f: replace(f, os_id="fedora"))
    assert titles(decide(InstallPackages(), lab(), facts)) == []


def test_a_debian_without_apt_is_refused() -> None:
    with pytest.raises(Refused):
        decide(InstallPackages(), lab(), changed(fresh(), "docker1", lambda f: replace(f, tools=frozenset())))


def test_down_purges_what_the_record_names_and_nothing_else() -> None:
    facts = changed(finished(), "docker1", lambda f: f.with_record("packages", "tcpdump\ndocker.io\ndocker.io\n"))
    steps = decide(RemovePackages(), lab(), facts)
    assert titles(steps) == ["docker1: remove 2 packages: docker.io, tcpdump"]
    assert steps[0].command.argv[-2:] == ("docker.io", "tcpdump")
    assert reasons(steps) == ["docker2: no package was installed"]

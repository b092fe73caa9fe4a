from __future__ import annotations

from dataclasses import replace

import pytest
from clusterctl.model.errors import Refused
from clusterctl.model.facts import Unit
from clusterctl.model.inventory import Cluster, ProviderName, Tarball
from clusterctl.phases.packages import InstallPackages, RemovePackages
from clusterctl.phases.preflight import Preflight
from example import after, both, changed, decide, finished, fresh, lab, reasons, titles

BARE = frozenset({"apt-get", "hostnamectl", "bridge"})
NOTE = "docker1: write down what is there before anything is installed"
OWN_ETCD = "docker1: keep Debian's own etcd off"
TARBALL = Tarball(file="x.tgz", sha256="0" * 64)


def bare(*tools: str, **changes: object):
    return changed(fresh(), "docker1", lambda f: replace(f, tools=BARE | set(tools), versions={}, units={}, **changes))


def with_tarballs(**tarballs: Tarball):
    made = lab()
    return replace(made, inventory=made.inventory.model_copy(update={"cluster": Cluster(**tarballs)}))


def test_where_the_kernel_has_apparmor_on_docker_gets_its_parser() -> None:
    has = ("dockerd", "etcd", "iptables", "busybox", "tcpdump", "kernel:apparmor")
    assert titles(decide(InstallPackages(), lab(), bare(*has)))[1:2] == ["docker1: install apparmor"]
    assert "apparmor" not in " ".join(titles(decide(InstallPackages(), lab(), bare(*has, "apparmor_parser"))))


def test_what_is_there_is_used_as_it_is() -> None:
    steps = decide(InstallPackages(), lab(), fresh())
    assert titles(steps) == []
    assert reasons(steps) == both("docker 20.10.24, etcd 3.4.23 already installed")


def test_a_bare_host_gets_what_its_roles_need_and_nothing_else() -> None:
    steps = decide(InstallPackages(), lab(), bare())
    install = "docker1: install etcd-server, docker.io, iptables, busybox-static, tcpdump"
    assert titles(steps) == [NOTE, install, OWN_ETCD]
    only_docker = lab(hosts={"docker1": {"address": "10.1.90.1", "roles": ["docker"]}, "docker2": "10.1.90.2"})
    steps = decide(InstallPackages(), only_docker, bare())
    assert titles(steps) == [NOTE, "docker1: install docker.io, iptables, busybox-static, tcpdump"]
    only_etcd = lab(
        hosts={"docker1": {"address": "10.1.90.1", "roles": ["etcd"]}, "docker2": "10.1.90.2"},
        containers={"qyt2": {"host": "docker2", "networks": ["qyt_overlay"]}},
    )
    assert titles(decide(InstallPackages(), only_etcd, bare())) == [NOTE, "docker1: install etcd-server", OWN_ETCD]


def test_only_what_is_missing_is_installed_and_goes_as_words() -> None:
    (_, install, _) = decide(InstallPackages(), lab(), bare("dockerd", "iptables", "busybox", "etcd", "user:etcd"))
    assert install.command.argv[-1] == "tcpdump"
    assert "tcpdump" not in install.command.argv[2]
    assert install.shell() == "apt-get update\napt-get install -y --no-install-recommends tcpdump"


def test_a_host_that_pulls_an_image_gets_the_registries_certificates() -> None:
    containers = {"a1": {"host": "docker1", "image": "alpine:3.20", "networks": ["qyt_overlay"]}}
    facts = changed(fresh(), "docker1", lambda f: replace(f, tools=f.tools - {"update-ca-certificates"}))
    assert titles(decide(InstallPackages(), lab(), facts)) == []
    assert titles(decide(InstallPackages(), lab(containers=containers), facts)) == [
        NOTE,
        "docker1: install ca-certificates",
    ]


def test_it_comes_out_as_foreseen() -> None:
    facts = after(decide(InstallPackages(), lab(), bare()), bare())
    assert titles(decide(InstallPackages(), lab(), facts)) == []
    assert "etcd-server" in facts.hosts["docker1"].records["packages"].split()


def test_debians_own_etcd_is_kept_off_even_when_the_first_run_ended_before() -> None:
    def change(found):
        return found.with_record("packages", "etcd-server").with_unit("etcd.service", Unit(enabled="enabled"))

    assert titles(decide(InstallPackages(), lab(), changed(fresh(), "docker1", change))) == [OWN_ETCD]
    theirs = changed(fresh(), "docker1", lambda f: f.with_unit("etcd.service", Unit(enabled="enabled")))
    assert titles(decide(InstallPackages(), lab(), theirs)) == []


def test_an_etcd_without_its_user_gets_one() -> None:
    facts = changed(fresh(), "docker1", lambda f: replace(f, tools=f.tools - {"user:etcd"}))
    steps = decide(InstallPackages(), lab(), facts)
    assert titles(steps) == [NOTE, "docker1: make the user etcd"]
    facts = after(steps, facts)
    assert titles(decide(InstallPackages(), lab(), facts)) == []
    assert titles(decide(RemovePackages(), lab(), facts)) == ["docker1: remove the user etcd"]


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"os_id": "ubuntu", "os_version": "26.04", "os_name": "Ubuntu 26.04", "arch": "aarch64"}, "both"),
        ({"os_version": "13", "os_name": "Debian 13", "arch": "x86_64"}, "docker"),
    ],
)
@pytest.mark.parametrize("phase", [Preflight(), InstallPackages()])
def test_a_system_whose_packages_do_not_fit_is_refused_with_the_lines_to_add(phase, changes: dict, lacks: str) -> None:
    with pytest.raises(Refused) as caught:
        decide(phase, lab(), bare("iptables", "busybox", **changes))
    (reason,) = caught.value.reasons
    what = "etcd and docker are" if lacks == "both" else "docker is"
    assert reason.message == f"no package of {changes['os_name']} fits a cluster store, and {what} missing there"
    lines = reason.hint.splitlines()
    assert lines[0] == "add release tarballs to the inventory (CHECKSUM: curl -fsSL URL | sha256sum):"
    assert lines[1] == "cluster:"
    assert (
        f"  docker: {{url: https://download.docker.com/linux/static/stable/{changes['arch']}/docker-20.10.24.tgz, "
        "sha256: CHECKSUM}" in lines
    )
    assert any("linux-arm64.tar.gz" in line for line in lines) == (lacks == "both")


def test_with_tarballs_only_the_rest_comes_from_the_distribution() -> None:
    facts = bare(os_id="ubuntu", os_version="26.04")
    steps = decide(InstallPackages(), with_tarballs(docker=TARBALL, etcd=TARBALL), facts)
    assert titles(steps) == [
        NOTE,
        "docker1: install iptables, busybox-static, tcpdump",
        "docker1: make the user etcd",
    ]


def test_another_system_that_has_everything_passes() -> None:
    facts = changed(fresh(), "docker1", lambda f: replace(f, os_id="fedora"))
    assert titles(decide(InstallPackages(), lab(), facts)) == []


def test_a_host_without_apt_is_refused() -> None:
    with pytest.raises(Refused, match=r"has no apt, and etcd-server, docker.io, .* are missing"):
        decide(InstallPackages(), lab(), changed(fresh(), "docker1", lambda f: replace(f, tools=frozenset())))


def test_down_purges_what_the_record_names_and_nothing_else() -> None:
    facts = changed(finished(), "docker1", lambda f: f.with_record("packages", "tcpdump\nlibpcap\ntcpdump\n"))
    steps = decide(RemovePackages(), lab(), facts)
    assert titles(steps) == ["docker1: remove 2 packages: libpcap, tcpdump"]
    assert steps[0].command.argv[-2:] == ("libpcap", "tcpdump")
    assert reasons(steps) == ["docker2: no package was installed"]


def test_a_docker_that_came_goes_with_what_it_made_unless_the_user_has_something_in_it() -> None:
    facts = changed(finished(), "docker1", lambda f: f.with_record("packages", "docker.io"))
    look = "docker1: look for what is not the lab's in the Docker that was installed"
    others = [
        "docker1: remove Docker's bridges and rules",
        "docker1: remove 1 packages: docker.io",
        "docker1: remove what they left",
    ]
    assert titles(decide(RemovePackages(), lab(), facts)) == [look, *others]
    made = lab()
    local = replace(made, inventory=made.inventory.model_copy(update={"provider": ProviderName.LOCAL}))
    assert titles(decide(RemovePackages(), local, facts)) == others

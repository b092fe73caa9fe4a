"""The programs that a host needs, from its distribution; what fits is used as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import apt
from clusterctl.commands.apt import Typed
from clusterctl.model.errors import Reason, Refused
from clusterctl.model.facts import Unit
from clusterctl.model.inventory import ProviderName, Role
from clusterctl.plan import files
from clusterctl.plan.action import Run
from clusterctl.plan.command import command, script
from clusterctl.plan.phase import Noop, Section, steps
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host, Tarball
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action

RECORD, BEFORE = "packages", "before"

ETCD = {"etcd": "etcd-server"}
DOCKER = {
    "dockerd": "docker.io", "iptables": "iptables", "busybox": "busybox-static", "tcpdump": "tcpdump",
    "bridge": "iproute2",
}  # fmt: skip
"""A program that is looked for, and the Debian package that brings it."""

APPARMOR = {"apparmor_parser": "apparmor"}
"""What dockerd needs besides to start a container, where the kernel has AppArmor on."""

CERTIFICATES = {"update-ca-certificates": "ca-certificates"}
"""What pulling from a registry needs besides."""

FITS = {
    ("debian", "12"): frozenset({"docker.io", "etcd-server"}),
    ("debian", "13"): frozenset({"etcd-server"}),
}
"""Which of the two a distribution has in a version that fits; tried on each of these."""

TOO_NEW = {
    "docker.io": ".".join(map(str, (etcd.LAST_DOCKER[0], etcd.LAST_DOCKER[1] + 1))),
    "etcd-server": ".".join(map(str, (etcd.LAST_ETCD[0], etcd.LAST_ETCD[1] + 1))),
}
"""From which version a package does not fit."""

DOCKER_DATA = "/var/lib/docker"
LEFT = {
    "docker.io": (DOCKER_DATA, "/var/lib/containerd", "/etc/docker", "/etc/containerd", "/opt/containerd", "/etc/cni"),
    "etcd-server": ("/var/lib/etcd", "/etc/etcd"),
}
"""What the programs leave behind, by package."""

OWN_ETCD = "etcd.service"
"""The unit of Debian's package. It would open a port without a certificate."""

_DOWNLOADS = {
    "docker": "https://download.docker.com/linux/static/stable/{machine}/docker-20.10.24.tgz",
    "etcd": "https://github.com/etcd-io/etcd/releases/download/v3.4.34/etcd-v3.4.34-linux-{go}.tar.gz",
}
_GO = {"x86_64": "amd64", "aarch64": "arm64"}


def tarballs(lab: Lab) -> dict[str, Tarball]:
    """Return the tarballs of the inventory by the package that each stands for."""
    cluster = lab.inventory.cluster
    return {p: t for p, t in (("docker.io", cluster.docker), ("etcd-server", cluster.etcd)) if t}


def missing(lab: Lab, host: Host, facts: HostFacts) -> list[str]:
    """Return the packages whose programs the host lacks and no tarball brings."""
    wanted = {**(ETCD if Role.ETCD in host.roles else {}), **(DOCKER if Role.DOCKER in host.roles else {})}
    if Role.DOCKER in host.roles and "kernel:apparmor" in facts.tools:
        wanted |= APPARMOR
    images = set(lab.playbook.images_on(host.name))
    if any(lab.playbook.images[i].pull for i in images if i in lab.playbook.images):
        wanted |= CERTIFICATES
    lacking = [package for program, package in wanted.items() if program not in facts.tools]
    return [p for p in lacking if p not in tarballs(lab)]


def reasons(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Reason]:
    """Say why what a host lacks cannot be installed there."""
    packages = missing(lab, host, facts)
    if not packages:
        return
    system = facts.os_name or "this system"
    if "apt-get" not in facts.tools:
        yield Reason(host.name, f"{system} has no apt, and {', '.join(packages)} are missing", "install them there")
        return
    unfit = [p for p in packages if p in TOO_NEW and p not in FITS.get((facts.os_id, facts.os_version), ())]
    if unfit:
        machine = facts.arch or "x86_64"
        names = {"docker.io": "docker", "etcd-server": "etcd"}
        lines = ["cluster:"]
        for package in unfit:
            url = _DOWNLOADS[names[package]].format(machine=machine, go=_GO.get(machine, machine))
            lines.append(f"  {names[package]}: {{url: {url}, sha256: CHECKSUM}}")
        yield Reason(
            host.name,
            f"no package of {system} fits a cluster store, and {' and '.join(names[p] for p in unfit)} "
            f"{'is' if len(unfit) == 1 else 'are'} missing there",
            "add release tarballs to the inventory (CHECKSUM: curl -fsSL URL | sha256sum):\n" + "\n".join(lines),
        )


def note(host: str, found: HostFacts) -> Iterator[Action]:
    """Write down what the host has before the first installation, unless that was done."""
    if BEFORE not in found.records:
        yield Typed(
            host=host,
            title="write down what is there before anything is installed",
            note=True,
            command=apt.note([p for paths in LEFT.values() for p in paths]),
            typed=f"{{ getent passwd; getent group; ls -d {' '.join(p for paths in LEFT.values() for p in paths)}; "
            f"ip -br link; iptables -S FORWARD; sysctl net.ipv4.ip_forward; }} > {apt.BEFORE}",
            effect=lambda f: f.with_record(BEFORE, ""),
        )


def came(found: HostFacts) -> frozenset[str]:
    """Return the packages that clusterctl brought to a host."""
    return frozenset(found.records.get(RECORD, "").split())


class InstallPackages:
    """Install what is missing."""

    title = "Install what is missing"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Refuse hosts that have nothing that fits; say which versions are used as they are."""
        hosts = lab.inventory.hosts.values()
        if refused := [r for h in hosts for r in reasons(lab, h, facts.hosts[h.name])]:
            raise Refused(refused)
        for host in hosts:
            found = facts.hosts[host.name]
            has = ", ".join(f"{name} {version}" for name, version in sorted(found.versions.items()))
            yield from steps(self._actions(lab, host, found), host.name, f"{has or 'what it needs'} already installed")

    def _actions(self, lab: Lab, host: Host, found: HostFacts) -> Iterator[Action]:
        packages = missing(lab, host, found)
        if packages:
            yield from note(host.name, found)
            yield self._install(host.name, packages)
        own = found.unit(OWN_ETCD).enabled == "enabled" and "etcd-server" in came(found)
        if own or "etcd-server" in packages:
            yield Run(
                host=host.name,
                title="keep Debian's own etcd off",
                command=command("systemctl", "disable", "-q", "--now", OWN_ETCD),
                effect=lambda f: f.with_unit(OWN_ETCD, Unit(enabled="disabled")),
            )
        if Role.ETCD in host.roles and "user:etcd" not in found.tools and "etcd-server" not in packages:
            yield from () if packages else note(host.name, found)
            yield Typed(
                host=host.name,
                title="make the user etcd",
                command=script(_MAKE_USER),
                typed=f"useradd --system --user-group --no-create-home --home-dir {etcd.DATA} "
                "--shell /usr/sbin/nologin etcd",
                effect=lambda f: replace(f, tools=f.tools | {"user:etcd"}).with_record("user", "etcd"),
            )

    def _install(self, host: str, packages: list[str]) -> Action:
        programs = {**ETCD, **DOCKER, **CERTIFICATES}
        brought = {program for program, package in programs.items() if package in packages}
        brought |= {"user:etcd"} if "etcd" in brought else set()
        return Typed(
            host=host,
            title=f"install {', '.join(packages)}",
            command=apt.install(packages, {p: v for p, v in TOO_NEW.items() if p in packages}),
            typed=f"apt-get update\napt-get install -y --no-install-recommends {' '.join(packages)}",
            hint=f"on {host}: apt-get update && apt-get install {' '.join(packages)}",
            effect=lambda f: replace(
                f, tools=f.tools | brought, records={**f.records, RECORD: "\n".join(sorted(came(f) | set(packages)))}
            ),
        )


_MAKE_USER = f"""\
set -eu; umask 077; mkdir -p {files.WAS}; echo etcd > {files.WAS}/user
getent passwd etcd >/dev/null || exec useradd --system --user-group --no-create-home \\
  --home-dir {etcd.DATA} --shell /usr/sbin/nologin etcd"""

_REMOVE_USER = "! getent passwd etcd >/dev/null || userdel etcd; ! getent group etcd >/dev/null || groupdel etcd"


class RemovePackages:
    """Remove the packages that clusterctl brought."""

    title = "Remove the packages that were installed"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Purge what the record names, and what those programs made."""
        for name, found in facts.hosts.items():
            yield from steps(self._actions(lab, name, found), name, "no package was installed")

    def _actions(self, lab: Lab, host: str, found: HostFacts) -> Iterator[Action]:
        packages = sorted(came(found))
        if packages:
            if "docker.io" in packages:
                yield from leave_docker(lab, host)
            yield Typed(
                host=host,
                title=f"remove {len(packages)} packages: {', '.join(packages)}",
                command=apt.purge(packages),
                typed=f"apt-get purge {' '.join(packages)}",
            )
            paths = [p for package in LEFT if package in packages for p in LEFT[package]]
            if paths:
                yield sweep(host, "remove what they left", paths)
        if found.records.get("user"):
            yield Typed(host=host, title="remove the user etcd", command=script(_REMOVE_USER), typed="userdel etcd")


def leave_docker(lab: Lab, host: str) -> Iterator[Action]:
    """Take away what a Docker that clusterctl brought has set up, unless it holds something of the user's."""
    # Hosts that were made for the lab go with all that is in them.
    if lab.inventory.provider is ProviderName.SSH:
        yield Typed(
            host=host,
            title="look for what is not the lab's in the Docker that was installed",
            command=apt.nothing_of_others(DOCKER_DATA),
            typed=f"ls {DOCKER_DATA}/containers {DOCKER_DATA}/volumes",
            hint=f"remove these from {host} first; to keep them and Docker: rm -r {files.WAS} there",
        )
    yield Typed(
        host=host,
        title="remove Docker's bridges and rules",
        command=apt.unplug_docker(),
        typed="systemctl stop docker.socket docker\nip link delete docker0\n"
        "iptables-save | grep -v -e DOCKER -e docker0 -e docker_gwbridge | iptables-restore",
    )


def sweep(host: str, title: str, paths: Sequence[str]) -> Action:
    """Remove what programs have made in places that were noted as absent or empty."""
    return Typed(host=host, title=title, command=apt.sweep(paths), typed=f"rm -rf {' '.join(paths)}")

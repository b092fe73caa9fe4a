"""The programs that a host needs, from its distribution; what fits is used as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.model.errors import Reason, Refused
from clusterctl.model.inventory import Role
from clusterctl.plan import files
from clusterctl.plan.action import Run
from clusterctl.plan.command import script
from clusterctl.plan.phase import Noop, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action

RECORD = "packages"

# A program that is looked for, and the Debian package that brings it.
ETCD = {"etcd": "etcd-server"}
DOCKER = {"dockerd": "docker.io", "iptables": "iptables", "busybox": "busybox-static", "tcpdump": "tcpdump"}

# "$@": packages. Services must not start by themselves on installation: etcd would open a port with no
# certificate, dockerd would come up without its store. What is new is recorded before it is installed.
_INSTALL = """\
set -eu; export DEBIAN_FRONTEND=noninteractive LC_ALL=C
for u in etcd.service docker.service docker.socket; do
  systemctl cat "$u" >/dev/null 2>&1 || { systemctl mask --runtime -q "$u"; masked="${masked:-} $u"; }; done
trap 'for u in ${masked:-}; do systemctl unmask --runtime -q "$u"; done' EXIT
apt-get update -qq
new=$(apt-get install -s --no-install-recommends "$@" | sed -n 's/^Inst \\([^ ]*\\).*/\\1/p')
mkdir -p @WAS@; printf '%s\\n' $new >> @WAS@/packages
apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
systemctl disable -q etcd.service 2>/dev/null || true
""".replace("@WAS@", files.WAS)

# "$@": packages that clusterctl brought. Docker's own data goes with them, as nothing was there before.
_PURGE = """\
set -eu; export DEBIAN_FRONTEND=noninteractive
apt-get purge -qq -y "$@"
case " $* " in *" docker.io "*) rm -rf /var/lib/docker /var/lib/containerd /etc/docker;; esac
case " $* " in *" etcd-server "*) rm -rf /var/lib/etcd;; esac
"""


def missing(host: Host, facts: HostFacts) -> list[str]:
    """Return the Debian packages whose programs the host lacks."""
    wanted = {**(ETCD if Role.ETCD in host.roles else {}), **(DOCKER if Role.DOCKER in host.roles else {})}
    return [package for program, package in wanted.items() if program not in facts.tools]


class InstallPackages:
    """Install what is missing."""

    title = "Install what is missing"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Refuse hosts that need something and have no apt; say which versions are used as they are."""
        reasons = []
        steps: list[Action | Noop] = []
        for host in lab.inventory.hosts.values():
            found = facts.hosts[host.name]
            packages = missing(host, found)
            if not packages:
                has = ", ".join(f"{name} {version}" for name, version in sorted(found.versions.items()))
                steps.append(Noop(host.name, f"{has} already installed"))
            elif "apt-get" not in found.tools or (found.os_id, found.os_version) != ("debian", "12"):
                reasons.append(
                    Reason(
                        host.name,
                        f"{found.os_name or 'this system'} has no packages that fit a cluster store, "
                        f"and {', '.join(packages)} are missing",
                        "install Docker 20.10 and etcd 3.4 or 3.5 on it, or take a Debian 12 host",
                    )
                )
            else:
                steps.append(self._install(host.name, packages))
        if reasons:
            raise Refused(reasons)
        yield from steps

    def _install(self, host: str, packages: list[str]) -> Action:
        return Run(
            host=host,
            title=f"install {', '.join(packages)}",
            command=script(_INSTALL, *packages, within=900),
            hint="is a package mirror reachable from the host? apt-get update",
            effect=lambda f: replace(
                f,
                tools=f.tools | {p for p, package in {**ETCD, **DOCKER}.items() if package in packages},
                records={**f.records, RECORD: "\n".join(packages)},
            ),
        )


class RemovePackages:
    """Remove the packages that clusterctl brought."""

    title = "Remove the packages that were installed"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Purge what the record names."""
        for name, found in facts.hosts.items():
            packages = sorted(set(found.records.get(RECORD, "").split()))
            if packages:
                yield Run(
                    host=name,
                    title=f"remove {len(packages)} packages: {', '.join(packages)}",
                    command=script(_PURGE, *packages, within=300),
                )
            else:
                yield Noop(name, "no package was installed")

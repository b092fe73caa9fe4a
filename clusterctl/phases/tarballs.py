"""Docker and etcd from release tarballs, in a folder of clusterctl's own; for hosts whose packages do not fit."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clusterctl.commands.apt import Typed
from clusterctl.model.errors import HostError
from clusterctl.model.facts import File, Unit
from clusterctl.phases import packages
from clusterctl.plan.action import MACHINE, Action, Run, WriteFile, record
from clusterctl.plan.command import script
from clusterctl.plan.phase import Noop, Section, steps
from clusterctl.providers import tarballs
from clusterctl.stores.releases import DOCKER, FOLDER, KINDS, SERVICE, SERVICE_TEXT, SOCKET, SOCKET_TEXT, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host, Tarball
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Hear
    from clusterctl.plan.door import Door

INCOMING = f"{FOLDER}/incoming"


def wanted(lab: Lab, host: Host, found: HostFacts, kind: Kind) -> Tarball | None:
    """Return the tarball that a host is to have; none where its own program is used as it is."""
    cluster = lab.inventory.cluster
    tarball = cluster.docker if kind is DOCKER else cluster.etcd
    own = kind.main in found.tools and kind.record not in found.records
    return None if tarball is None or kind.role not in host.roles or own else tarball


def lacks(lab: Lab, host: Host, found: HostFacts, kind: Kind) -> Tarball | None:
    """Return the tarball that a host still has to get, whole and linked."""
    tarball = wanted(lab, host, found, kind)
    there = found.content(kind.marker).strip()
    return None if tarball is None or (there == tarball.sha256 and kind.main in found.tools) else tarball


class _Throttled:
    """Passes on how far something is, at most every two seconds."""

    def __init__(self, hear: Hear) -> None:
        self._hear, self._last = hear, 0.0

    def __call__(self, have: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= 2:
            self._last = now
            of = f" of {total / 1e6:.1f} MB, {100 * have // total} %" if total else " MB"
            self._hear(f"{have / 1e6:.1f}{of}")


@dataclass(frozen=True, kw_only=True)
class Fetch(Action):
    """Have a tarball on this machine: downloaded once, its checksum and its contents checked."""

    tarball: Tarball
    kind: Kind
    machines: frozenset[str] = frozenset()

    def shell(self) -> str:
        """Return how a person would download and check it."""
        place = shlex.quote(str(tarballs.path(self.tarball)))
        lines = [f"curl -fL --create-dirs -o {place} {shlex.quote(self.tarball.url)}"] if self.tarball.url else []
        return "\n".join([*lines, f"echo '{self.tarball.sha256}  '{place} | sha256sum -c"])

    def perform(self, door: Door) -> str:
        """Fetch it, saying nothing meanwhile."""
        return self.carry_out(door, lambda _: None)

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Fetch it."""
        place = tarballs.provide(self.tarball, _Throttled(hear))
        tarballs.look_into(place, self.kind.programs, self.machines)
        return f"{place}: {place.stat().st_size} bytes"


# A folder that the login user may write to, in one that only root may: what comes over SFTP comes as that user.
_RECEIVE = """\
set -eu; umask 022; mkdir -p "$1"; chown "${SUDO_USER:-root}" "$1"; chmod 0700 "$1\""""

# "$1" kind, "$2" checksum, "$3" the daemon, the rest: what must be in it. Says its version.
_UNPACK = """\
set -eu; umask 022; cd @FOLDER@; kind=$1 sum=$2 main=$3; shift 3
trap 'exit 143' HUP INT TERM; trap 'rm -rf "$kind.part" incoming/"$kind"' EXIT
rm -rf "$kind.part" "$kind.new"; mkdir "$kind.part"; chown root:root incoming/"$kind"; chmod 0600 incoming/"$kind"
echo "$sum  incoming/$kind" | sha256sum -c --quiet >&2
tar -xf incoming/"$kind" -C "$kind.part" --strip-components=1 --no-same-owner
for program; do
  [ -f "$kind.part/$program" ] && [ -x "$kind.part/$program" ] || { echo "no program $program in it" >&2; exit 1; }
done
echo "$sum" > "$kind.part/.sha256"
"./$kind.part/$main" --version
mv -T "$kind.part" "$kind.new"; trap - EXIT; rm -f incoming/"$kind"; rmdir incoming 2>/dev/null || :
""".replace("@FOLDER@", FOLDER)

# "$1" kind, the rest: what everybody is to find, the daemon last: with its link it counts as installed.
# What the host has of the same name stays.
_ACTIVATE = """\
set -eu; umask 022; export PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"; cd @FOLDER@; kind=$1; shift
rm -rf "$kind.old"; [ ! -d "$kind" ] || mv -T "$kind" "$kind.old"; mv -T "$kind.new" "$kind"; rm -rf "$kind.old"
mkdir -p /usr/local/bin
for program; do
  link=/usr/local/bin/$program
  case $(readlink "$link" || :) in @FOLDER@/*) rm -f "$link";; esac
  ! command -v "$program" >/dev/null || continue
  if [ -e "$link" ] || [ -L "$link" ]; then echo "$link is there, and not of clusterctl" >&2; exit 1; fi
  ln -s "@FOLDER@/$kind/$program" "$link"
done""".replace("@FOLDER@", FOLDER)

_DROP = f'rm -rf "{FOLDER}/$1.new"'


@dataclass(frozen=True, kw_only=True)
class Install(Action):
    """Send a tarball over and unpack it; it becomes visible only once its programs run there."""

    tarball: Tarball
    kind: Kind

    def here(self) -> str:
        """Return how the tarball is brought over."""
        return f"scp {shlex.quote(str(tarballs.path(self.tarball)))} {self.host}:/tmp/"

    def shell(self) -> str:
        """Return how a person would do it."""
        folder = f"{FOLDER}/{self.kind.name}"
        links = " ".join(f"{folder}/{p}" for p in self.kind.linked)
        return (
            f"mkdir -p {folder}\n"
            f"tar -xf /tmp/{shlex.quote(tarballs.path(self.tarball).name)} -C {folder} --strip-components=1\n"
            f"ln -s {links} /usr/local/bin/"
        )

    def perform(self, door: Door) -> str:
        """Install it, saying nothing meanwhile."""
        return self.carry_out(door, lambda _: None)

    def carry_out(self, door: Door, hear: Hear) -> str:
        """Send, unpack, try, and only then put it into its place."""
        kind, sent = self.kind, f"{INCOMING}/{self.kind.name}"
        door.run(script(_RECEIVE, INCOMING)).expect(self.title)
        door.send(str(tarballs.path(self.tarball)), sent, _Throttled(hear))
        hear("unpacking")
        tried = door.run(script(_UNPACK, kind.name, self.tarball.sha256, kind.main, *kind.programs, within=300))
        said = tried.expect(self.title, hint=f"is it a tarball for this host? ssh {self.host} df -h /opt").stdout
        version = re.search(r"[Vv]ersion:? v?(\d+)\.(\d+)\.\S*", said)
        if version is None or (int(version[1]), int(version[2])) > kind.last:
            door.run(script(_DROP, kind.name))
            last = ".".join(map(str, kind.last))
            raise HostError(
                self.host,
                f"{self.tarball.source} says {said.strip()!r}; a cluster store needs {kind.name} {last} or older",
                hint=f"name an older release under cluster.{kind.name} in the inventory",
            )
        door.run(script(_ACTIVATE, kind.name, *kind.linked)).expect(self.title)
        return said.strip()


class FetchTarballs:
    """Fetch the tarballs of the inventory that a host needs."""

    title = "Fetch what the inventory names"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Fetch each once, on this machine; hosts may have no way out."""
        actions: list[Action] = []
        for kind in KINDS:
            found = [facts.hosts[h] for h in lab.inventory.hosts]
            hosts = lab.inventory.hosts
            lacking = {f.arch: t for f in found if (t := lacks(lab, hosts[f.name], f, kind))}
            for tarball in set(lacking.values()):
                actions.append(
                    Fetch(
                        host=MACHINE,
                        title=f"{'fetch' if tarball.url else 'check'} {tarball.source}",
                        tarball=tarball,
                        kind=kind,
                        machines=frozenset(lacking),
                    )
                )
        if actions:
            yield from actions
        else:
            yield from (Noop(host, "needs no tarball") for host in lab.inventory.hosts)


class InstallTarballs:
    """Install Docker and etcd from their tarballs."""

    title = "Install from tarballs"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Install what is not there whole; write the units of a Docker that came so."""
        for host in lab.inventory.hosts.values():
            found = facts.hosts[host.name]
            actions = [a for kind in KINDS for a in self._actions(lab, host, found, kind)]
            if any(isinstance(a, Install) for a in actions):
                actions = [*packages.note(host.name, found), *actions]
            yield from steps(actions, host.name, "no tarball to install")

    def _actions(self, lab: Lab, host: Host, found: HostFacts, kind: Kind) -> Iterator[Action]:
        if tarball := lacks(lab, host, found, kind):
            if kind.record not in found.records:
                title = f"write down that {kind.name} comes from a tarball"
                yield record(host.name, title, kind.record, tarball.source, note=True)
            yield Install(
                host=host.name,
                title=f"install {tarball.name} in {FOLDER}/{kind.name}",
                tarball=tarball,
                kind=kind,
                effect=_installed(tarball, kind),
            )
        if kind is DOCKER and wanted(lab, host, found, kind):
            yield from self._units(host.name, found)

    def _units(self, host: str, found: HostFacts) -> Iterator[Action]:
        units = {SOCKET: SOCKET_TEXT, SERVICE: SERVICE_TEXT}
        differ = [path for path, content in units.items() if found.content(path) != content]
        for path in differ:
            name = path.rpartition("/")[2]
            yield WriteFile(host=host, title=f"write {name}", path=path, content=units[path])
        names = [path.rpartition("/")[2] for path in units]
        if differ or any(found.unit(n).enabled != "enabled" for n in names):
            yield Run(
                host=host,
                title="start Docker at boot",
                command=script(
                    'systemctl daemon-reload; exec systemctl enable -q "$@"',
                    *names,
                    typed=f"systemctl daemon-reload\nsystemctl enable {' '.join(names)}",
                ),
                effect=lambda f: _enabled(f, names),
            )


def _enabled(found: HostFacts, names: list[str]) -> HostFacts:
    for name in names:
        found = found.with_unit(name, Unit(active=found.unit(name).active, enabled="enabled"))
    return found


def _installed(tarball: Tarball, kind: Kind) -> Callable[[HostFacts], HostFacts]:
    def effect(found: HostFacts) -> HostFacts:
        found = found.with_file(kind.marker, File(tarball.sha256 + "\n", modified=time.time()))
        return replace(found, tools=found.tools | set(kind.linked))

    return effect


# "$@": kinds. Links of ours only; a unit file only when it is ours.
_REMOVE = (
    """\
set -u; for kind; do
  if [ "$kind" = docker ]; then
    if grep -qs '^# Written by clusterctl' @SERVICE@; then
      systemctl disable -q --now docker.socket docker.service 2>/dev/null; rm -f @SERVICE@; fi
    if grep -qs '^# Written by clusterctl' @SOCKET@; then rm -f @SOCKET@; fi
  fi
  for link in /usr/local/bin/*; do
    case $(readlink "$link") in @FOLDER@/"$kind"/*) rm -f "$link";; esac; done
  rm -rf @FOLDER@/"$kind" @FOLDER@/"$kind".*
done
rm -rf @FOLDER@/incoming; rmdir @FOLDER@ 2>/dev/null
systemctl daemon-reload; systemctl reset-failed docker.service docker.socket 2>/dev/null; :
""".replace("@FOLDER@", FOLDER)
    .replace("@SERVICE@", SERVICE)
    .replace("@SOCKET@", SOCKET)
)


class RemoveTarballs:
    """Remove what came from tarballs."""

    title = "Remove what came from tarballs"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what the records name, and what those programs made."""
        for name, found in facts.hosts.items():
            yield from steps(self._actions(lab, name, found), name, "nothing came from a tarball")

    def _actions(self, lab: Lab, host: str, found: HostFacts) -> Iterator[Action]:
        kinds = [k for k in KINDS if k.record in found.records]
        if not kinds:
            return
        if DOCKER in kinds:
            yield from packages.leave_docker(lab, host)
        units = f"systemctl disable --now docker.socket docker\nrm -f {SERVICE} {SOCKET}\n" if DOCKER in kinds else ""
        yield Typed(
            host=host,
            title=f"remove {' and '.join(k.name for k in kinds)} from {FOLDER}",
            command=script(_REMOVE, *(k.name for k in kinds)),
            typed=f"{units}rm -rf {FOLDER}; find /usr/local/bin -lname '{FOLDER}/*' -delete",
        )
        if DOCKER in kinds:
            yield packages.sweep(host, "remove what Docker left", packages.LEFT["docker.io"])

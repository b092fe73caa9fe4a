"""Installing and purging Debian packages: `apt-get`, with nothing else upgraded or removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.plan import files
from clusterctl.plan.action import Run
from clusterctl.plan.command import script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clusterctl.plan.command import Command


@dataclass(frozen=True, kw_only=True)
class Typed(Run):
    """Run a script that takes more care than a person would who does the same by hand.

    typed: what a person would type.
    """

    typed: str

    def shell(self) -> str:
        """Return what a person would type."""
        return self.typed


# "$1" the limits, "docker.io 20.11 …": versions from which a package does not fit; the rest are packages.
# Nothing may start by itself on installation: etcd would open a port with no certificate, dockerd would come
# up without its store. To systemctl in the packages' scripts the host is therefore offline. What is new is
# recorded before it is installed.
_INSTALL = """\
set -eu; umask 022; export DEBIAN_FRONTEND=noninteractive LC_ALL=C SYSTEMD_OFFLINE=1
trap 'exit 143' HUP INT TERM
limits=$1; shift
get() { apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 "$@"; }
run() { "$@" >/dev/null 2>@STATE@/said && code=0 || code=$?
  grep -v '^Running in chroot' @STATE@/said >&2 || :; rm -f @STATE@/said; return $code; }
mkdir -p @WAS@; touch @WAS@/packages
[ ! -s @WAS@/packages ] || run dpkg --configure -a
update=$(get update 2>&1) || :
if ! plan=$(get install -s --no-install-recommends "$@" 2>&1); then
  # What apt only warns of, a mirror that it does not reach, is the cause here.
  for said in "$update" "$plan"; do printf '%s\\n' "$said" | sed -n '/^[EW]: /{s/^W/E/;p;q}'; done >&2; exit 100
fi
other=$(printf '%s\\n' "$plan" | sed -n -e 's/^Remv \\([^ ]*\\).*/remove \\1/p' \\
  -e 's/^Inst \\([^ ]*\\) \\[\\([^]]*\\)\\] (\\([^ ]*\\).*/upgrade \\1 from \\2 to \\3/p' |
  awk 'BEGIN { while ((getline p < "@WAS@/packages") > 0) ours[p] } !($2 in ours)')
set -f; if [ -n "$other" ]; then
  echo "apt-get would also $(printf '%s\\n' "$other" | paste -sd ,)" >&2; exit 3; fi
set -- $limits -- "$@"
while [ "$1" != -- ]; do
  version=$(printf '%s\\n' "$plan" | sed -n "s/^Inst $1 (\\([^ ]*\\).*/\\1/p")
  if [ -n "$version" ] && dpkg --compare-versions "$version" ge "$2"; then
    echo "$1 would be $version, and a cluster store needs one before $2" >&2; exit 3; fi
  shift 2
done; shift
printf '%s\\n' "$plan" | sed -n 's/^Inst \\([^ ]*\\) (.*/\\1/p' >> @WAS@/packages
mkdir -p @STATE@/archives/partial
run get install -y --no-install-recommends -o Dir::Cache::archives=@STATE@/archives \\
  -o Dpkg::Options::=--force-confold "$@"
rm -rf @STATE@/archives
SYSTEMD_OFFLINE=0 systemctl daemon-reload""".replace("@WAS@", files.WAS).replace("@STATE@", files.STATE)

# "$@": the packages that were brought. Those that something else has come to need stay. Accounts that the
# packages' own scripts made, and that were not there before, go with them; Debian leaves them.
_PURGE = """\
set -eu; export DEBIAN_FRONTEND=noninteractive LC_ALL=C; trap 'exit 143' HUP INT TERM
get() { apt-get -q -o DPkg::Lock::Timeout=120 "$@"; }
rm -rf @STATE@/archives @STATE@/said
ours=; rest=
for p; do
  case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
    ''|not-installed) ;; config-files) rest="$rest $p";; installed) ours="$ours $p";;
    *) dpkg --configure -a; ours="$ours $p";; esac
done
[ -z "$ours$rest" ] && exit 0
if [ -n "$ours" ]; then
  apt-mark auto $ours >/dev/null
  free=$(get -s -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false \\
    autoremove | sed -n 's/^Remv \\([^ ]*\\).*/\\1/p')
  go=; for p in $ours; do
    if printf '%s\\n' "$free" | grep -qxF "$p"; then go="$go $p"; else echo "$p stays: another package needs it"; fi
  done
  rest="$rest $go"
fi
made() {
  for p in $rest; do cat /var/lib/dpkg/info/"$p".postinst /var/lib/dpkg/info/"$p":*.postinst 2>/dev/null
    for f in $(dpkg -L "$p" 2>/dev/null | grep /sysusers.d/); do cat "$f" 2>/dev/null; done; done | grep -qwF "$1"; }
accounts=
for kind in passwd group; do
  for name in $(getent "$kind" | awk -F: '$3 < 1000 { print $1 }'); do
    grep -qx "$kind $name" @BEFORE@ 2>/dev/null || ! made "$name" || accounts="$accounts $kind:$name"
  done
done
[ -z "$rest" ] || get purge -y $rest >/dev/null
for account in $accounts; do
  name=${account#*:}
  case $account in
    passwd:*) ! getent passwd "$name" >/dev/null || userdel "$name";;
    group:*) ! getent group "$name" >/dev/null || groupdel "$name";;
  esac
done
systemctl daemon-reload""".replace("@STATE@", files.STATE)

BEFORE = f"{files.WAS}/before"
_PURGE = _PURGE.replace("@BEFORE@", BEFORE)

# What the daemons and their packages make by themselves. "$@": paths.
_NOTE = """\
set -eu; umask 077; export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
[ ! -e @BEFORE@ ] || exit 0
mkdir -p "$(dirname @BEFORE@)"
{ for kind in passwd group; do getent $kind | cut -d: -f1 | sed "s/^/$kind /"; done
  for p; do if [ ! -e "$p" ]; then echo "absent $p"; elif [ -z "$(ls -A "$p")" ]; then echo "empty $p"; fi; done
  for l in docker0 docker_gwbridge; do [ -e /sys/class/net/$l ] || echo "absent $l"; done
  iptables -S FORWARD 2>/dev/null | grep '^-P' || echo '-P FORWARD ACCEPT'
  echo "ip_forward $(cat /proc/sys/net/ipv4/ip_forward)"
} > @BEFORE@.part
mv @BEFORE@.part @BEFORE@""".replace("@BEFORE@", BEFORE)

# Docker leaves its bridges, its chains and a closed FORWARD behind. Only where it was not there before.
_UNPLUG = """\
set -eu; export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
systemctl stop docker.socket docker.service 2>/dev/null || :
grep -qx 'absent docker0' @BEFORE@ || exit 0
for link in docker0 docker_gwbridge; do
  ! grep -qx "absent $link" @BEFORE@ || ip link delete $link 2>/dev/null || :; done
command -v iptables-save >/dev/null || exit 0
for table in nat filter; do
  iptables-save -t $table | grep -e '^-A.*\\(DOCKER\\|docker0\\|docker_gwbridge\\)' | sed 's/^-A/-D/' |
    while read -r rule; do echo "$rule" | xargs iptables -w 10 -t $table; done
  for chain in $(iptables-save -t $table | sed -n 's/^:\\(DOCKER[^ ]*\\) .*/\\1/p'); do
    iptables -w 10 -t $table -F "$chain"; iptables -w 10 -t $table -X "$chain"; done
done
iptables -w 10 $(grep '^-P FORWARD' @BEFORE@)
sed -n 's/^ip_forward //p' @BEFORE@ > /proc/sys/net/ipv4/ip_forward""".replace("@BEFORE@", BEFORE)

# "$@": paths; those that were absent or empty are so again.
_SWEEP = """\
set -u
for p; do
  if grep -qx "absent $p" @BEFORE@; then rm -rf --one-file-system "$p"
  elif grep -qx "empty $p" @BEFORE@ && [ -d "$p" ]; then find "$p" -mindepth 1 -xdev -delete; fi
done
:""".replace("@BEFORE@", BEFORE)

# "$1": Docker's data. Containers and volumes that are still there are not the lab's.
_OTHERS = """\
for kind in containers volumes; do
  for p in "$1/$kind"/*/; do [ ! -d "$p" ] || echo "$kind/$(basename "$p" | cut -c 1-12)"; done; done >&2
[ -z "$(ls -d "$1"/containers/*/ "$1"/volumes/*/ 2>/dev/null)" ]"""


def install(packages: Sequence[str], before: Mapping[str, str], within: float = 900) -> Command:
    """Install packages that are missing. Exit 3: it would change what is there, or a version does not fit.

    before: by package, the version from which it does not fit.
    """
    limits = " ".join(f"{package} {version}" for package, version in before.items())
    return script(_INSTALL, limits, *packages, within=within)


def purge(packages: Sequence[str], within: float = 300) -> Command:
    """Purge packages that were installed, with the accounts that they made."""
    return script(_PURGE, *packages, within=within)


def note(paths: Sequence[str]) -> Command:
    """Write down what there is of accounts, paths, bridges and forwarding before the first installation."""
    return script(_NOTE, *paths)


def unplug_docker() -> Command:
    """Take away Docker's bridges and rules, and give forwarding back as it was noted."""
    return script(_UNPLUG)


def sweep(paths: Sequence[str]) -> Command:
    """Remove what is in paths that were noted as absent or empty."""
    return script(_SWEEP, *paths, within=120)


def nothing_of_others(data: str) -> Command:
    """Fail when Docker's data still has containers or volumes, and name them."""
    return script(_OTHERS, data)

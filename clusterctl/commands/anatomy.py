"""What a host is made of below Docker's API: network namespaces, rules, processes, disks, logs. One reading.

Nothing is changed, and nothing asks a daemon that does not run: asking would start it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.commands.facts import brief
from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS = ("docker.service", "containerd.service", "clusterctl-etcd.service")
"""The services whose processes and logs are read."""

PLACES = ("/", "/run", "/var/lib/docker", "/var/lib/containerd", "/var/lib/clusterctl-etcd")
"""Where a full or read-only disk stops the cluster."""

# "$1": how many addresses follow, to ask the routes to; then places, as many as are left.
# Docker's own commands have a deadline of their own: a daemon that hangs must not take the rest along.
_READ = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
s() { printf '\n\001 %s\n' "$1"; }
{ if systemctl -q is-active docker.service && ids=$(timeout 3 docker ps -aq --no-trunc); then
  [ -n "$ids" ] && timeout 4 docker inspect $ids || echo '[]'; fi; } 2>/dev/null </dev/null | {
look='s() { printf "\n\001 %s\n" "$1"; }
s links; ip -d -s -j addr; s routes; ip -j -4 route; s neighbours; ip -j neigh; s forwards; bridge -j fdb
s rules; iptables-save -c 2>/dev/null
if grep -qs . /proc/net/ip_tables_names; then iptables-legacy-save -c 2>/dev/null; fi
s nft; nft list ruleset 2>/dev/null
s sysctl; cd /proc/sys/net; grep -s . ipv4/ip_forward ipv4/conf/*/forwarding ipv4/conf/*/rp_filter \
  ipv4/icmp_echo_ignore_all bridge/bridge-nf-call-iptables'
n=$1; shift
s "namespace -"; sh -c "$look"
s paths; while [ "$n" -gt 0 ]; do printf '%s ' "$1"; ip -4 route get "$1" 2>&1 | head -n 1; shift; n=$((n-1)); done
for file in /run/docker/netns/*; do
  grep -q " $file " /proc/self/mountinfo || continue
  s "namespace $file"; nsenter --net="$file" sh -c "$look"
done
s disks; df -Pk "$@" 2>/dev/null | tail -n +2
s inodes; df -Pi "$@" 2>/dev/null | tail -n +2
s readonly; for place; do [ ! -e "$place" ] || [ -w "$place" ] || echo "$place"; done
s processes
units=$(systemctl show -p Id,MainPID,ControlGroup,SubState,Result,InvocationID,LoadState @UNITS@ | awk -F= '
  function put() { if (v["LoadState"] != "loaded") v["SubState"] = ""
    if (v["Id"]) print v["Id"], v["MainPID"]+0, v["SubState"] "-", v["Result"] "-",
    "i" v["InvocationID"], "c" v["ControlGroup"]; delete v } /=/ { v[$1] = substr($0, length($1) + 2) }
  /^$/ { put() } END { put() }')
echo "$units" | while read -r unit p sub result i c; do
  f=0; for g in /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ ! -e "$g${c#c}/cgroup.freeze" ] || f=$(cat "$g${c#c}/cgroup.freeze"); done
  t=; [ "$p" = 0 ] || t=$(sed 's/.*) //; s/ .*//' "/proc/$p/stat" 2>/dev/null)
  echo "$unit $p ${t:--} $f ${sub%-} ${result%-}"
done
echo "$units" | while read -r unit p sub result i c; do
  s "start $unit"
  [ "$i" = i ] || journalctl -q "_SYSTEMD_INVOCATION_ID=${i#i}" -o cat 2>/dev/null | head -n 120 |
    sed '/API listen on/q' | grep -iE 'level=(error|fatal)|discovery|KV with' | cut -c 1-300 | head -n 20
  s "log $unit"; journalctl -q -u "$unit" -n 400 -o cat 2>/dev/null | grep -iE \
    'serf|error|fatal|fail|unable|panic|killed|warn|reject|refus|mismatch|no space|clock|too long|store|start' |
    cut -c 1-300 | tail -n 40
done
s pids; cd /proc; echo [0-9]*
s containers; cat; s end; }
""".replace("@UNITS@", " ".join(UNITS))


# Of the host and of each overlay, after a byte that nothing before it prints.
_GLANCE = r"""
s() { printf '\n\001 %s\n' "$1"; }
printf '\002'; s "namespace -"; s links; ip -d -s -j addr
for file in /run/docker/netns/[0-9]*-*; do
  grep -q " $file " /proc/self/mountinfo || continue
  s "namespace $file"; nsenter --net="$file" sh -c 's() { printf "\n\001 %s\n" "$1"; }
  s links; ip -d -s -j addr; s neighbours; ip -j neigh; s forwards; bridge -j fdb'
done
s disks; df -Pk @PLACES@ 2>/dev/null | tail -n +2
s inodes; df -Pi @PLACES@ 2>/dev/null | tail -n +2
s end
""".replace("@PLACES@", " ".join(PLACES))


def glance(files: Sequence[str], units: Sequence[str]) -> Command:
    """Read a host's facts in brief, its links, overlays and disks, in one round trip."""
    return brief(files, units, _GLANCE)


def read_anatomy(peers: Sequence[str]) -> Command:
    """Read a host; `peers` are the addresses that the way to is asked."""
    return script(_READ, str(len(peers)), *peers, *PLACES, within=9)

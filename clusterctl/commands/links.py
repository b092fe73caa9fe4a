"""Reading a host's links, routes and containers in one round trip: its own namespace and every container's."""

from __future__ import annotations

import shlex

from clusterctl.plan.command import Command, script

# A namespace is known by its inode; files of Docker's that are no mount are leftovers. Docker is asked only where
# it runs (asking would start it), and briefly: the links are there to be read whatever state it is in. The list of
# networks takes seconds while the store has no quorum: it is asked for meanwhile, and done without when it is late.
_READ = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
s() { printf '\n\001 %s\n' "$*"; }
look='printf "address show\nroute show\nneighbour show\n" | ip -d -j -batch - && bridge -j fdb show'
docker_runs() { systemctl -q is-active docker.service 2>/dev/null || pidof dockerd >/dev/null; }
{ ! docker_runs || timeout 1.5 docker network ls --no-trunc --format '{{json .}}'; } 2>/dev/null </dev/null | {
s own; stat -Lc %i /proc/self/ns/net
s forwards; cat /proc/sys/net/ipv4/ip_forward
s bridged; cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null
s rules; iptables-save 2>/dev/null
s links "$(stat -Lc %i /proc/self/ns/net)"; sh -c "$look"
known=" $(stat -Lc %i /proc/self/ns/net) "
enter() {
  inode=$(stat -Lc %i "$1" 2>/dev/null) || return 0
  case $known in *" $inode "*) return 0;; esac
  known="$known$inode "
  s links "$inode" "$1"; nsenter --net="$1" sh -c "$look"
}
for file in /run/docker/netns/*; do ! grep -q " $file " /proc/self/mountinfo || enter "$file"; done
if docker_runs; then
  ask() { timeout 5 docker "$@"; }
  boxes=$(ask ps -aq --no-trunc) || { s trouble; echo 'Docker does not answer'; boxes=; }
  [ -z "$boxes" ] || boxes=$(ask inspect -f '{{.State.Pid}} {"id":{{json .Id}},"name":{{json .Name}},
"image":{{json .Config.Image}},"state":{{json .State.Status}},"mode":{{json .HostConfig.NetworkMode}},
"pid":{{json .State.Pid}},"networks":{{json .NetworkSettings.Networks}}}' $boxes)
  s containers; printf '%s\n' "$boxes" | sed 's/^[0-9]* {/{/'
  for pid in $(printf '%s\n' "$boxes" | sed -n 's/^\([1-9][0-9]*\) {.*/\1/p'); do
    s process "$pid" "$(stat -Lc %i /proc/$pid/ns/net 2>/dev/null)"; enter /proc/$pid/ns/net
  done
else s trouble; echo 'Docker does not run'
fi
s networks; cat; s end; }
"""


def read_links(within: float = 12.0) -> Command:
    """Read every link of a host and of its containers, and which container is in which namespace."""
    return script(_READ, within=within)


def enter(path: str = "", container: str = "") -> str:
    """Return what a person puts before a command to run it in a namespace: a container's, or one by its file."""
    if container:
        return f"nsenter -t $(docker inspect -f {{{{.State.Pid}}}} {shlex.quote(container)}) -n "
    return f"nsenter --net={shlex.quote(path)} " if path else ""


def show(link: str) -> str:
    """Return what a person types to see a link with its index, its other end's, MTU, MAC and addresses."""
    return f"ip -d addr show {shlex.quote(link)}"


def find(index: int) -> str:
    """Return what a person types to see which link has an index."""
    return f"ip -o link | grep ^{index}:"


def route(address: str) -> str:
    """Return what a person types to see by which link and neighbour an address is reached."""
    return f"ip route get {address}"


def ports(bridge: str) -> str:
    """Return what a person types to see the ports of a bridge."""
    return f"ip link show master {shlex.quote(bridge)}"


def forwards(device: str, mac: str) -> str:
    """Return what a person types to see where a VXLAN device sends the frames for a MAC."""
    return f"bridge fdb show dev {shlex.quote(device)} | grep {mac}"

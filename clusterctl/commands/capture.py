"""Captures on many links of a host at once: begun in one round trip, brought back in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.commands.tcpdump import DEAF, MISSING, vxlan_carries
from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = "/tmp/clusterctl-capture."  # noqa: S108 - mktemp makes it, with a name that nobody can foresee
MOST = 200
"""Packets after which the capture of a link ends."""

# "$1" seconds after which all of it ends and is removed by itself, whatever becomes of us; then for each link its
# namespace ("" the host's own), its name and the filter. Says the folder once every tcpdump listens.
# tcpdump writes to a file that is open already: by itself it would open it as another user.
_START = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
limit=$1 most=$2 prefix=$3; shift 3
command -v tcpdump >/dev/null || { echo "tcpdump: not found" >&2; exit 127; }
d=$(mktemp -d "$prefix"XXXXXXXX) || exit 1
n=0
while [ $# -ge 3 ]; do
  ns=$1 if=$2 filter=$3; shift 3
  ( exec </dev/null >"$d/$n" 2>"$d/$n.said"
    set -- timeout -k 2 "$limit" tcpdump -nn -U --immediate-mode -c "$most" -w - -i "$if" "$filter"
    [ -z "$ns" ] || exec nsenter --net="$ns" "$@"
    exec "$@" ) &
  echo $! >>"$d/pids"
  n=$((n+1))
done
sh -c 'sleep "$1" & s=$!; trap "kill $s; exit" TERM; wait $s; rm -rf "$2"' sh "$((limit+3))" "$d" \
  </dev/null >/dev/null 2>&1 &
echo $! >"$d/cleaner"
tries=0 i=0
while [ $i -lt $n ]; do
  if grep -q 'listening on' "$d/$i.said"; then i=$((i+1)); continue; fi
  tries=$((tries+1))
  if [ $tries -gt 500 ] || ! kill -0 "$(sed -n $((i+1))p "$d/pids")" 2>/dev/null; then
    head -c 2048 "$d/$i.said" >&2
    kill $(cat "$d/pids" "$d/cleaner") 2>/dev/null; rm -rf "$d"; exit 4
  fi
  sleep 0.01
done
echo "$d"
"""

# "$1" the folder. What is on its way to tcpdump is given a moment to get there.
_COLLECT = r"""
export LC_ALL=C; d=$1
[ -d "$d" ] || { echo "the capture is over: nothing is left of it" >&2; exit 1; }
sleep 0.1
for p in $(cat "$d/pids"); do kill "$p" 2>/dev/null; done
tries=0
for p in $(cat "$d/pids"); do
  while kill -0 "$p" 2>/dev/null && [ $tries -lt 200 ]; do tries=$((tries+1)); sleep 0.01; done
done
n=0
while [ -e "$d/$n" ]; do printf '\001 %s\n' "$n"; base64 -w0 "$d/$n"; echo; n=$((n+1)); done
kill "$(cat "$d/cleaner")" 2>/dev/null; rm -rf "$d"
printf '\001 end\n'
"""

# "$1" the namespace, "$2" how many, "$3" sixteen bytes that mark the packets, "$4" the address, "$5" the container.
# The host's own ping needs none in the image; another ping than iputils' knows neither marks nor parts of a second.
_PING = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
if ping -V 2>&1 | grep -q iputils; then set -- "$@" ping -n -c "$2" -i 0.2 -W 1 -p "$3" "$4"
elif command -v ping >/dev/null; then set -- "$@" ping -c "$2" -W 1 "$4"
elif [ -n "$5" ]; then exec docker exec "$5" ping -c "$2" -W 1 "$4"
else echo "ping: not found" >&2; exit 127
fi
ns=$1; shift 5
[ -z "$ns" ] || exec nsenter --net="$ns" "$@"
exec "$@"
"""


def start(links: Sequence[tuple[str, str, str]], limit: int) -> Command:
    """Begin to capture on links: each its namespace ("" for the host's own), its name and the filter.

    limit: seconds after which it ends by itself and leaves nothing behind.
    """
    words = [word for link in links for word in link]
    return script(_START, str(limit), str(MOST), FOLDER, *words, within=15, ok=(0, DEAF, MISSING))


def collect(folder: str) -> Command:
    """End the captures, print what they have, and remove it from the host."""
    return script(_COLLECT, folder, within=15)


def ping(namespace: str, count: int, mark: str, address: str, container: str = "") -> Command:
    """Ping from a namespace. mark: sixteen bytes in hexadecimal that the packets carry, where ping can do it."""
    return script(_PING, namespace, str(count), mark, address, container, within=count + 8, ok=(0, 1, 2))


def plain_filter(address: str, *, tagged: bool = False) -> str:
    """Return the filter for pings to an address and back, and for the questions who has it.

    tagged: whether they may be in a VLAN. Not every kind of link takes a filter with that word.
    """
    wanted = f"(icmp or arp) and host {address}"
    return f"({wanted}) or (vlan and {wanted})" if tagged else wanted


def tunnel_filter(one: str, other: str, port: int) -> str:
    """Return the filter for pings between two addresses inside of VXLAN."""
    ways = f"({vxlan_carries(one, other)}) or ({vxlan_carries(other, one)})"
    return f"udp dst port {port} and ({ways})"

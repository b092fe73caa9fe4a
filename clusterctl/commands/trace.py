"""Following packets: tcpdump at several points of a host at once, in whatever network namespace each is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clusterctl.commands import tcpdump
from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTENS = 3.2
"""Seconds that every point listens."""

DELAY = 0.9
"""Seconds until the packets are made: by then tcpdump listens on both hosts."""

# "$1" seconds to listen, "$2" seconds until "$3" is run, the maker of the packets ("" on the host that only
# listens); then three words a point: its namespace ("-" for the host's own), its interface, its filter.
_TRACE = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
command -v tcpdump >/dev/null || exit 127
d=$(mktemp -d) || exit 1
trap 'rm -rf "$d"' EXIT
limit=$1 delay=$2 maker=$3 n=0; shift 3
while [ $# -ge 3 ]; do
  n=$((n+1)); enter=; [ "$1" = - ] || enter="nsenter --net=$1"
  $enter timeout "$limit" tcpdump -nn -l --immediate-mode -c 400 -i "$2" "$3" >"$d/$n" 2>"$d/$n.said" &
  shift 3
done
sleep "$delay"
[ -z "$maker" ] || sh -c "$maker" >"$d/made" 2>&1 </dev/null
wait
i=0; while [ $i -lt $n ]; do
  i=$((i+1)); printf '\001 point %s\n' "$i"
  grep -q 'listening on' "$d/$i.said" || { printf 'deaf '; tail -n 1 "$d/$i.said"; }
  head -c 16384 "$d/$i"; echo
done
printf '\001 made\n'; [ ! -e "$d/made" ] || head -c 2048 "$d/made"
printf '\n\001 end\n'
"""


def trace(points: Sequence[tuple[str, str, str]], maker: str = "") -> Command:
    """Listen at points (namespace, interface, filter); `maker` makes the packets, as one would type it."""
    words = (word for point in points for word in point)
    return script(_TRACE, f"{LISTENS:g}", f"{DELAY:g}", maker, *words, within=LISTENS + 6, ok=(0, tcpdump.MISSING))


def plain(one: str, other: str) -> str:
    """Return the filter for what two addresses send to each other."""
    return f"host {one} and host {other}"


def wrapped(one: str, other: str) -> str:
    """Return the filter for the same inside of VXLAN packets, either way."""
    return f"udp port {tcpdump.VXLAN_PORT} and ({tcpdump.inner_pair(one, other)} or {tcpdump.inner_pair(other, one)})"


def counted(text: str, one: str, other: str) -> list[tuple[int, int] | None]:
    """Return, point by point, how many packets went from one to the other and back; None where tcpdump was deaf.

    Raises ValueError where the output was cut short.
    """
    parts = re.split(r"^\x01 (\w+).*\n", text, flags=re.MULTILINE)[1:]
    if "end" not in parts[::2]:
        raise ValueError("the trace was cut short")
    bodies = [body for name, body in zip(parts[::2], parts[1::2], strict=False) if name == "point"]
    return [
        None if body.startswith("deaf") else (_count(body, one, other), _count(body, other, one)) for body in bodies
    ]


def _count(body: str, source: str, target: str) -> int:
    end = r"(?:\.\d+)?"
    return len(re.findall(rf"\b{re.escape(source)}{end} > {re.escape(target)}{end}: ", body))

"""Packets on the wire: `tcpdump`, which decodes them as well."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

VXLAN_PORT = 4789
VXLAN = f"udp dst port {VXLAN_PORT}"
"""The filter for VXLAN packets."""

# "$1" seconds to listen, "$2" the interface, "$3" the filter, "$4" an option for tcpdump; then what makes the packet.
# tcpdump ends by itself after its packet. The maker starts only once tcpdump says that it listens.
_CAPTURE = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
limit=$1 if=$2 filter=$3 option=$4; shift 4
command -v tcpdump >/dev/null || { echo "tcpdump: not found" >&2; exit 127; }
d=$(mktemp -d) || exit 1
p=
trap '[ -z "$p" ] || kill $p 2>/dev/null; rm -rf "$d"' EXIT
timeout "$limit" tcpdump -nn -vv $option -l --immediate-mode -c 1 -i "$if" "$filter" >"$d/packets" 2>"$d/said" &
p=$!
n=0
until grep -q 'listening on' "$d/said"; do
  n=$((n+1))
  if ! kill -0 $p 2>/dev/null || [ $n -gt 300 ]; then cat "$d/said" >&2; p=; exit 4; fi
  sleep 0.01
done
"$@" >"$d/made" 2>&1; made=$?
# A packet that was sent is in tcpdump's hands within milliseconds; one that was not never comes.
n=0
while kill -0 $p 2>/dev/null && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.01; done
kill $p 2>/dev/null; wait $p 2>/dev/null; p=
printf '\001 made %s\n' "$made"; head -c 4096 "$d/made"
printf '\n\001 packets\n'; head -c 16384 "$d/packets"
printf '\n\001 said\n'; head -c 4096 "$d/said"
printf '\n\001 end\n'
"""

DEAF = 4
"""The exit code where tcpdump did not start to listen; its reason is on stderr."""

MISSING = 127
"""The exit code where there is no tcpdump."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What came of a capture: how the maker of the packet ended, what it printed, what tcpdump decoded."""

    made: int
    maker: str
    packets: str


def read_capture(text: str) -> Capture:
    """Take apart what the command of `capture` printed. Raises ValueError where it is cut short."""
    parts = re.split(r"^\x01 (\w+)(?: (-?\d+))?\n", text, flags=re.MULTILINE)[1:]
    found = {name: (number, body) for name, number, body in zip(parts[::3], parts[1::3], parts[2::3], strict=False)}
    if "end" not in found or "made" not in found or "packets" not in found:
        raise ValueError("the capture was cut short")
    number, maker = found["made"]
    return Capture(int(number or -1), maker.strip(), found["packets"][1].rstrip())


def vxlan_filter(source: str, destination: str) -> str:
    """Return the filter for VXLAN packets from one host to another."""
    return f"{VXLAN} and src host {source} and dst host {destination}"


def inner_pair(source: str, destination: str) -> str:
    """Return the filter's part for the addresses of the packet in the packet."""
    return f"(udp[42:4] = {_number(source)} and udp[46:4] = {_number(destination)})"


def inner_echo(source: str, destination: str) -> str:
    """Return the filter's part for an ICMP echo request in the packet in the packet."""
    return f"{vxlan_carries(source, destination)} and udp[50] = 8"


def vxlan_carries(source: str, destination: str) -> str:
    """Return the filter's part for ICMP from one address to another in the packet in the packet.

    The offsets count from the outer UDP header: 8 bytes of it, 8 of VXLAN, 14 of Ethernet, then IPv4.
    """
    return f"udp[39] = 1 and udp[42:4] = {_number(source)} and udp[46:4] = {_number(destination)}"


def _number(address: str) -> str:
    return "0x" + "".join(f"{int(part):02x}" for part in address.split("."))


def echo(source: str, destination: str) -> str:
    """Return the filter for an ICMP echo request in a frame of its own, with an 802.1Q tag or without."""
    wanted = f"icmp[0] = 8 and src host {source} and dst host {destination}"
    return f"({wanted}) or (vlan and {wanted})"


def capture(interface: str, filter: str, maker: Sequence[str], listen: float = 6.0, *, link: bool = False) -> Command:
    """Capture the first packet that `maker`, a command on the same host, makes pass the interface.

    link: whether the frame's own header is decoded as well.
    """
    words = (f"{listen:g}", interface, filter, "-e" if link else "", *maker)
    return script(_CAPTURE, *words, within=listen + 6, ok=(0, DEAF, MISSING))


def by_hand(interface: str, filter: str, maker: Sequence[str], *, link: bool = False) -> str:
    """Return what a person would type to see the same."""
    options = "-nn -e -vv" if link else "-nn -vv"
    return f"tcpdump {options} -c 1 -i {interface} {shlex.quote(filter)} & sleep 1; {shlex.join(maker)}; wait"

"""Reading the network namespace of an overlay: links, forwarding entries, neighbours."""

from __future__ import annotations

from clusterctl.plan.command import Command, command, script

NAMESPACES = "/run/docker/netns"
ABSENT = 3
"""The exit code where the host has no namespace for the network: no container of it runs there."""

SURE = 7
"""Characters of a network's id that are in the name of its namespace, however often that was made anew.

libnetwork cuts "NUMBER-ID" after twelve characters (`GenerateKey` in osl/namespace_linux.go), and the number grows.
"""

# "$1" the start of the network's id. The name's first number grows each time Docker makes the namespace
# anew, so the newest one counts; of one that is gone a plain file may stay.
_READ = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
ns=
for file in $(ls -dt /run/docker/netns/[0-9]*-"$1"* 2>/dev/null); do
  if grep -q " $file " /proc/self/mountinfo; then ns=$file; break; fi
done
[ -n "$ns" ] || exit 3
exec nsenter --net="$ns" sh -ec 'printf "\001 namespace\n%s\n" "$1"
printf "\001 links\n"; ip -d -j link
printf "\n\001 forwards\n"; bridge -j fdb show
printf "\n\001 neighbours\n"; ip -j neigh
printf "\n\001 end\n"' sh "$ns"
"""


def short(network_id: str) -> str:
    """Return the part of a network's id that is sure to be in the name of its namespace."""
    return network_id[:SURE]


def is_of(namespace: str, network_id: str) -> bool:
    """Whether a namespace under /run/docker/netns is the overlay's with this id, by its name."""
    number, _, start = namespace.rpartition("/")[2].partition("-")
    return number.isdigit() and len(start) >= SURE and network_id.startswith(start)


def read_overlay(network_id: str, within: float = 10.0) -> Command:
    """Read everything that checks want to know of an overlay on a host, in one round trip."""
    return script(_READ, short(network_id), within=within, ok=(0, ABSENT))


def enter(network_id: str) -> str:
    """Return what a person would type to enter the overlay's namespace; what is to be run there follows it."""
    return f"nsenter --net=$(ls -d {NAMESPACES}/*-{short(network_id)}*)"


def by_hand(network_id: str) -> str:
    """Return what a person would type to see the same."""
    inside = enter(network_id)
    return f"{inside} ip -d link show type vxlan; {inside} bridge fdb show dev vxlan0"


def set_up(namespace: str, link: str) -> Command:
    """Set a link of a namespace up."""
    return command("nsenter", f"--net={namespace}", "ip", "link", "set", link, "up")


def set_mtu(namespace: str, link: str, mtu: int) -> Command:
    """Set the MTU of a link of a namespace, in bytes."""
    return command("nsenter", f"--net={namespace}", "ip", "link", "set", link, "mtu", str(mtu))


def set_master(namespace: str, link: str, master: str) -> Command:
    """Make a link of a namespace a port of a bridge there."""
    return command("nsenter", f"--net={namespace}", "ip", "link", "set", link, "master", master)


# "$1" the device, "$2" the container's address, "$3" its MAC, "$4" its host's address.
_ENTRIES = """\
set -e; bridge fdb del "$3" dev "$1" self 2>/dev/null || :
bridge fdb add "$3" dev "$1" dst "$4" self permanent
ip neigh replace "$2" lladdr "$3" dev "$1" nud permanent"""


def write_entries(namespace: str, device: str, ip: str, mac: str, towards: str) -> Command:
    """Write both entries that lead to a container elsewhere, as Docker itself does."""
    return command("nsenter", f"--net={namespace}", "sh", "-c", _ENTRIES, "sh", device, ip, mac, towards)

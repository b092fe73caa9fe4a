"""Links, addresses and network namespaces: `ip` of iproute2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.plan.command import Command, command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACES = "/run/netns"
"""Where named network namespaces are kept."""

# "$1" the switch's namespace, "$2" the machine's link, "$3" its address with prefix.
_SWITCH = """\
set -eu
[ -e "/run/netns/$1" ] || ip netns add "$1"
ip -n "$1" link show br0 >/dev/null 2>&1 || ip -n "$1" link add br0 type bridge forward_delay 0 stp_state 0
ip link del "$2" 2>/dev/null || :
ip link add "$2" type veth peer name uplink netns "$1"
ip -n "$1" -batch - <<END
link set uplink master br0
link set lo up
link set br0 up
link set uplink up
END
ip -batch - <<END
addr add $3 dev $2
link set $2 up
END"""

# "$1" the node's namespace, "$2" the switch's, "$3" the port there, "$4" the node's address with
# prefix, "$5" the gateway, "$6" its MAC, "$7" the node's init where it runs already ("" otherwise).
# The MAC is given: with another one a neighbour would talk to the old one for half a minute.
_NODE = """\
set -eu
if [ ! -e "/run/netns/$1" ]; then
  if [ -n "$7" ]; then ip netns attach "$1" "$7"; else ip netns add "$1"; fi
fi
ip -n "$1" link del eth0 2>/dev/null || :
ip -n "$2" link del "$3" 2>/dev/null || :
ip link add eth0 address "$6" netns "$1" type veth peer name "$3" netns "$2"
ip -n "$2" link set "$3" master br0 up
ip -n "$1" -batch - <<END
link set lo up
addr add $4 dev eth0
link set eth0 up
route add default via $5
END"""

_REMOVE = """\
set -eu
for name; do [ ! -e "/run/netns/$name" ] || ip netns del "$name"; done"""

# "$1" how /run/netns was before the first lab: "absent", or "plain" where it was a folder but no mount.
_RESTORE = """\
set -eu; cd /
[ -d /run/netns ] && [ -z "$(ls -A /run/netns)" ] || exit 0
! mountpoint -q /run/netns || umount /run/netns
[ "$1" != absent ] || rmdir /run/netns"""


def make_switch(namespace: str, link: str, address: str) -> Command:
    """Make a bridge in a namespace of its own, and a link of this machine with `address` into it."""
    return script(_SWITCH, namespace, link, address)


def join_switch(
    namespace: str, switch: str, port: str, *, address: str, gateway: str, mac: str, init: int = 0
) -> Command:
    """Give a node a namespace whose eth0 is a port of the switch.

    A namespace that is there keeps its processes; one that lost its name gets it back through `init`.
    """
    return script(_NODE, namespace, switch, port, address, gateway, mac, str(init or ""))


def remove_namespaces(*names: str) -> Command:
    """Remove named namespaces, and with each the links in it."""
    return script(_REMOVE, *names)


def remove_link(name: str) -> Command:
    """Remove a link of this machine; quiet when it is gone already, as a veth is with its peer."""
    return script('ip link del "$1" 2>/dev/null || ! ip link show "$1" >/dev/null 2>&1', name)


def restore_folder(was: str) -> Command:
    """Undo what the first `ip netns add` of a machine does to /run/netns, once no namespace is in it."""
    return script(_RESTORE, was)


def set_forwarding(names: Sequence[str]) -> Command:
    """Let the kernel forward packets until the next boot; `names` as `sysctl` spells them."""
    return command("sysctl", "-w", *(f"{n}=1" for n in names))


def set_up(link: str) -> Command:
    """Set a link up."""
    return command("ip", "link", "set", link, "up")

"""Scripts that make something for a moment to show what comes with it, and leave nothing, whatever happens."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from clusterctl.plan.command import script

if TYPE_CHECKING:
    from clusterctl.plan.command import Command

MARK = "\x01"
WITHIN = 90.0

# "$1" the image, "$2" the label, "$3" the network to be run on. It ends with its container in $c.
_RUN = r"""
m() { printf '\001 %s\n' "$1"; }
trap '[ -z "${c:-}" ] || docker rm -f "$c" >/dev/null 2>&1' EXIT
trap 'exit 1' HUP INT TERM
m before; ip -d -j link
c=$(docker run -d --label "$2" --network "$3" "$1") || exit 1
"""

_LIFETIME = (
    _RUN
    + r"""
m ends; docker exec "$c" sh -c 'grep . /sys/class/net/*/address /sys/class/net/*/iflink'
m during; ip -d -j link
docker rm -f "$c" >/dev/null || exit 1
c=; m after; ip -d -j link
"""
)

# "$4" the network to be attached to, "$5" the name to be pinged there.
_ATTACH = (
    _RUN
    + r"""
a() { m "$1"; docker exec "$c" ip -o -4 addr; }
a alone
docker network connect "$4" "$c" || exit 1
a attached; m ping; docker exec "$c" ping -c 1 -W 2 "$5" 2>&1
docker network disconnect "$4" "$c" || exit 1
a detached
"""
)


def lifetime(image: str, label: str, network: str) -> Command:
    """Run a container on a bridge and remove it; the host's links before, meanwhile and after are printed."""
    run = shlex.join(("docker", "run", "--detach", "--name", "trial", "--network", network, image))
    typed = f"ip link; {run}; ip link; docker rm --force trial; ip link"
    return script(_LIFETIME, image, label, network, within=WITHIN, typed=typed)


def attach(image: str, label: str, network: str, target: str) -> Command:
    """Run a container on the default bridge, attach it to a network, ping somebody there, detach it, remove it."""
    run = shlex.join(("docker", "run", "--detach", "--name", "trial", image))
    on, off = (shlex.join(("docker", "network", deed, network, "trial")) for deed in ("connect", "disconnect"))
    typed = f"{run}; {on}; docker exec trial ping -c 1 {target}; {off}; docker rm --force trial"
    return script(_ATTACH, image, label, "bridge", network, target, within=WITHIN, typed=typed)

"""What Docker's networks and images need of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok, unknown, warning
from clusterctl.commands.kernel import Feature

if TYPE_CHECKING:
    from clusterctl.commands.ground import Ground
    from clusterctl.model.finding import Finding

NEEDED = {
    "vxlan": "overlay networks",
    "bridge": "every network of containers",
    "veth": "every network of containers",
    "overlay": "images",
}
WISHED = {"br_netfilter": "Docker cannot keep containers on docker_gwbridge apart"}
"""What works without, and how."""


def judge(host: str, ground: Ground | str) -> Finding:
    """Judge one host; `ground` is why nothing is known where it could not be read."""
    expected = f"{', '.join((*NEEDED, *WISHED))}: loaded, built in or loadable"
    if isinstance(ground, str):
        return unknown("kernel", host, expected, ground)
    how = {name: ground.features.get(name, Feature.UNTOLD) for name in (*NEEDED, *WISHED)}
    seen = ", ".join(f"{name} {state}" for name, state in how.items())
    absent = [name for name, state in how.items() if state is Feature.ABSENT]
    if lacking := [name for name in absent if name in NEEDED]:
        why = ", ".join(f"{NEEDED[name]} need {name}" for name in lacking)
        hint = f"modprobe -a {' '.join(lacking)}; a kernel without them needs its package of modules, or another kernel"
        return failed("kernel", host, expected, f"{seen}; {why}", hint)
    if untold := [name for name, state in how.items() if state is Feature.UNTOLD]:
        return unknown("kernel", host, expected, seen, f"on {host}: modinfo {' '.join(untold)}")
    if absent:
        return warning("kernel", host, expected, f"{seen}; {', '.join(WISHED[name] for name in absent)}")
    return ok("kernel", host, expected, seen)

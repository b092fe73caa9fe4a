"""Clocks that go together: certificates and leases rely on them."""

from __future__ import annotations

from statistics import median_high
from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding

SKEW, FAR = 1.0, 30.0
"""Seconds off the median from which etcd warns, and from which certificates and leases cannot be relied on."""

NTP = "timedatectl set-ntp true"


def judge(hosts: Mapping[str, HostFacts]) -> Iterator[Finding]:
    """Judge the clocks of all hosts together."""
    if not hosts:
        return
    median = median_high(h.clock for h in hosts.values())
    expected = f"within {SKEW:g} s of the hosts' median"
    for name, host in hosts.items():
        off = host.clock - median
        if abs(off) > FAR:
            yield failed("clock", name, expected, f"its clock is {off:+.0f} s off the other hosts'", NTP)
        elif abs(off) > SKEW:
            yield warning("clock", name, expected, f"its clock is {off:+.1f} s off the other hosts'", NTP)
        else:
            yield ok("clock", name, expected, f"{abs(off):.1f} s off the median")

"""The machine itself: sudo, system, systemd, memory, disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host

DISK_MB, MUCH_DISK_MB = 300, 1024
"""Free space under /var/lib that images, containers and the store need at least; and from where it is enough."""

MEMORY_MB = 512
"""Memory below which etcd and Docker together become slow."""

KERNEL = (3, 18)
"""The first kernel with overlayfs, which came after VXLAN's."""


def judge(host: Host, facts: HostFacts) -> Iterator[Finding]:
    """Judge one host."""
    name = host.name
    root = "its user is root, or may use sudo without being asked in a way that cannot be answered"
    if facts.root:
        yield ok("root", name, root, "root" if host.user == "root" else f"{host.user} may use sudo")
    else:
        hint = "log in as root, or allow sudo without a password"
        yield failed("root", name, root, f"{host.user} may not use sudo", hint)
    yield _kernel(name, facts)
    systemd = "systemd runs it"
    if facts.systemd:
        yield ok("systemd", name, systemd, "runs")
    else:
        hint = "clusterctl manages its services through systemd"
        yield failed("systemd", name, systemd, "it does not run systemd", hint)
    memory = f"{MEMORY_MB} MB of memory"
    if not facts.memory_mb:
        yield unknown("memory", name, memory, "/proc/meminfo does not say")
    elif facts.memory_mb < MEMORY_MB:
        yield warning("memory", name, memory, f"{facts.memory_mb} MB: etcd and Docker become slow")
    else:
        yield ok("memory", name, memory, f"{facts.memory_mb} MB")
    disk, seen = f"{DISK_MB} MB free under /var/lib", f"{facts.disk_free_mb} MB free under /var/lib"
    if not facts.disk_free_mb:
        yield unknown("disk", name, disk, "df does not say how much is free under /var/lib")
    elif facts.disk_free_mb < DISK_MB:
        yield failed("disk", name, disk, f"{seen}, {DISK_MB} MB are needed", "docker system prune")
    elif facts.disk_free_mb < MUCH_DISK_MB:
        yield warning("disk", name, disk, seen, "docker system prune")
    else:
        yield ok("disk", name, disk, seen)


def _kernel(name: str, facts: HostFacts) -> Finding:
    expected = f"Linux {KERNEL[0]}.{KERNEL[1]} or later"
    seen = f"{facts.os_name or 'a system without /etc/os-release'}, Linux {facts.kernel} {facts.arch}"
    found = re.match(r"(\d+)\.(\d+)", facts.kernel)
    if found is None:
        return unknown("system", name, expected, seen)
    if (int(found[1]), int(found[2])) < KERNEL:
        return failed("system", name, expected, seen, "install a later kernel")
    return ok("system", name, expected, seen)

"""The lab's SSH files: one folder that serves clusterctl, other programs and people (`ssh -F`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from clusterctl.model.inventory import Host

KEY, KNOWN_HOSTS, CONFIG = "id_ed25519", "known_hosts", "ssh_config"


def known_hosts(hosts: Iterable[Host], host_keys: Mapping[str, str]) -> str:
    """Return known_hosts: a line a host, by address and by name."""
    lines = []
    for host in hosts:
        words = host_keys.get(host.name, "").split()
        if len(words) >= 2:
            lines.append(f"{host.address},{host.name} {words[0]} {words[1]}\n")
    return "".join(lines)


def ssh_config(hosts: Iterable[Host], state: Path) -> str:
    """Return an ssh_config that trusts the lab's hosts by their keys and nothing else."""
    return "\n".join(
        f"Host {host.name}\n"
        f"  HostName {host.address}\n"
        f"  User {host.user}\n"
        f"  Port {host.port}\n"
        f"  IdentityFile {_path(state / KEY)}\n"
        f"  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {_path(state / KNOWN_HOSTS)}\n"
        f"  GlobalKnownHostsFile none\n"
        f"  StrictHostKeyChecking yes\n"
        for host in hosts
    )


def _path(path: Path) -> str:
    """Quote a path for ssh_config, where a percent sign starts a token and a quote ends the word."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'

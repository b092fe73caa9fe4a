"""OpenSSH's own reading of a user's settings: `ssh -G`, which follows Include, Match and every alias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.plan.command import Command, command

if TYPE_CHECKING:
    from pathlib import Path

UNSET = "clusterctl-unset"
"""Stands last, and so comes back only where the user's own settings say nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user's ssh_config says of one address; empty where it says nothing."""

    address: str
    user: str = ""
    port: int = 22
    keys: tuple[str, ...] = ()
    jump: tuple[str, ...] = ()
    proxy: str = ""
    known: tuple[str, ...] = ()


def settings(home: Path) -> str:
    """Return the ssh_config to ask: the user's and the machine's, then marks for what neither says."""
    return (
        f'Include "{home}/.ssh/config"\nInclude /etc/ssh/ssh_config\nHost *\n  User {UNSET}\n  IdentityFile {UNSET}\n'
    )


def ask(config: Path, address: str, *, user: str = "", port: int = 0) -> Command:
    """Ask what holds for an address; user and port where they are decided already."""
    given = (*(("-o", f"User={user}") if user else ()), *(("-o", f"Port={port}") if port else ()))
    return command("ssh", "-G", "-F", str(config), *given, "--", address, root=False, within=10)


def parse(address: str, text: str) -> Asked:
    """Read the answer."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key.lower(), []).append(value)

    def one(key: str) -> str:
        value = found.get(key, [""])[0]
        return "" if value.lower() == "none" else value

    user, port = one("user"), one("port")
    return Asked(
        address=one("hostname") or address,
        user="" if user == UNSET else user,
        port=int(port) if port.isdigit() else 22,
        keys=tuple(k for k in found.get("identityfile", ()) if k not in {UNSET, "none"}),
        jump=tuple(w.strip() for w in one("proxyjump").split(",") if w.strip()),
        proxy=one("proxycommand"),
        known=tuple(one("userknownhostsfile").split() + one("globalknownhostsfile").split()),
    )

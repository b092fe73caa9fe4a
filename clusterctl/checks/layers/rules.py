"""Rules in the way: which of a namespace drop, and how one takes them away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.commands.ground import own_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clusterctl.topology.anatomy import Namespace

_BASE = ("INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING")


@dataclass(frozen=True, slots=True)
class Dropping:
    """A rule or policy that drops. command: what shows it. undo: what takes it away."""

    line: str
    command: str
    undo: str


def without_counters(lines: Sequence[str]) -> list[str]:
    """Return rules as `iptables-save` prints them without `-c`."""
    return [re.sub(r"^\[\d+:\d+\] ", "", line) for line in lines]


def undoing(rule: str, table: str = "filter") -> str:
    """Return what a person would type to take a rule away."""
    return f"iptables {'' if table == 'filter' else f'-t {table} '}{rule.replace('-A ', '-D ', 1)}"


def dropping(space: Namespace) -> Iterator[Dropping]:
    """Return what drops in a namespace in which Docker itself drops nothing."""
    table = ""
    for line in without_counters(space.rules):
        words = line.split()
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":") and words[0][1:] in _BASE and words[1] == "DROP":
            chain = words[0][1:]
            yield Dropping(f"policy DROP of {chain}", "iptables -S", f"iptables -P {chain} ACCEPT")
        elif line.startswith("-A ") and ("-j DROP" in line or "-j REJECT" in line):
            yield Dropping(line, f"iptables -t {table} -S", undoing(line, table))
    for line in nft_drops(space):
        yield Dropping(f"nft {line}", "nft list ruleset", "nft -a list ruleset  # then nft delete rule …")


def has_dropped(space: Namespace) -> Iterator[Dropping]:
    """Return the rules of a host that have dropped packets, Docker's own left out."""
    table = ""
    for line in space.rules:
        if line.startswith("*"):
            table = line[1:]
        counted = re.match(r"^\[([1-9]\d*):\d+\] (-A .*-j (?:DROP|REJECT).*)", line)
        if counted and "DOCKER" not in counted[2] and "docker" not in counted[2]:
            yield Dropping(line, f"iptables -t {table} -nvL", undoing(counted[2], table))


def nft_drops(space: Namespace, *words: str) -> list[str]:
    """Return the lines of nftables' own tables that drop: a policy, what names one of the words, or no port."""
    found = []
    for line in (one.strip() for one in own_tables(space.nft)):
        told = re.split(r"[\s,{};]+", line)
        if {"drop", "reject"} & set(told) and (
            "policy" in told or not words or {*words} & {*told} or "dport" not in told
        ):
            found.append(line)
    return found

"""Firewall rules as `iptables-save` prints them, and what they do with a packet."""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ENDS = {"DROP", "REJECT"}
WAYS_IN = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT"))
WAYS_OUT = (("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("filter", "OUTPUT"))
WAYS_THROUGH = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "FORWARD"), ("filter", "FORWARD"))


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a peer, as rules see it."""

    proto: str
    port: int
    source: str
    target: str
    way_in: str = ""
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What becomes of a packet: the rule (or policy) that ends it. sure: whether every match on it was understood."""

    rule: str
    sure: bool
    table: str = "filter"


@dataclass
class Rules:
    """Rules as `iptables-save` prints them: policies and chains by table."""

    policies: dict[tuple[str, str], str]
    chains: dict[tuple[str, str], list[str]]

    @classmethod
    def read(cls, lines: Iterable[str]) -> Rules:
        """Read them."""
        rules, table = cls({}, {}), ""
        for line in lines:
            words = line.split()
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":") and len(words) > 1:
                rules.policies[table, words[0][1:]] = words[1]
                rules.chains.setdefault((table, words[0][1:]), [])
            elif words[:1] == ["-A"] and len(words) > 1:
                rules.chains.setdefault((table, words[1]), []).append(line)
        return rules

    def ends(self, packet: Packet, ways: Sequence[tuple[str, str]]) -> Ended | None:
        """Return what ends the packet on its way through these chains, None where it passes."""
        for place in ways:
            passed, ended = self._walk(place, packet, sure=True, depth=0)
            if ended:
                return ended
            if not passed and self.policies.get(place) == "DROP":
                return Ended(f"policy DROP of {place[1]}", True, place[0])
        return None

    def suspects(self, packet: Packet, ways: Sequence[tuple[str, str]]) -> Iterator[Ended]:
        """Return what may end the packet, the certain ones first: rules whose matches are not all understood."""
        if certain := self.ends(packet, ways):
            yield certain
        for place in ways:
            for rule in self._below(place, packet, depth=0):
                if certain is None or rule != certain.rule:
                    yield Ended(rule, sure=False, table=place[0])

    def _below(self, place: tuple[str, str], packet: Packet, *, depth: int) -> Iterator[str]:
        for rule in self.chains.get(place, ()) if depth < 10 else ():
            words = shlex.split(rule)[2:]
            if matches(words, packet) is False:
                continue
            target = _after(words, "-j") or _after(words, "-g")
            if target in _ENDS:
                yield rule
            elif (place[0], target) in self.chains:
                yield from self._below((place[0], target), packet, depth=depth + 1)

    def _walk(self, place: tuple[str, str], packet: Packet, *, sure: bool, depth: int) -> tuple[bool, Ended | None]:
        """Return whether a chain lets the packet pass for good, and what ends it."""
        for rule in self.chains.get(place, ()) if depth < 10 else ():
            words = shlex.split(rule)[2:]
            fits = matches(words, packet)
            if fits is False:
                continue
            target = _after(words, "-j") or _after(words, "-g")
            if target in _ENDS:
                if fits:
                    return False, Ended(rule, sure, place[0])
            elif target in ("ACCEPT", "RETURN"):
                if fits:
                    return target == "ACCEPT", None
                if target == "ACCEPT":
                    return True, None  # it may be accepted: no reason to warn
            elif (place[0], target) in self.chains:
                passed, ended = self._walk((place[0], target), packet, sure=sure and fits is True, depth=depth + 1)
                if passed or ended:
                    return passed, ended
        return False, None


def _after(words: Sequence[str], flag: str) -> str:
    return words[words.index(flag) + 1] if flag in words[:-1] else ""


def _covers(text: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


def _has(port: int, text: str) -> bool:
    for part in text.split(","):
        low, _, high = part.partition(":")
        if low.isdigit() and int(low) <= port <= int(high if high.isdigit() else low):
            return True
    return False


def _interface(text: str, name: str) -> bool:
    return name.startswith(text[:-1]) if text.endswith("+") else name == text


def matches(words: Sequence[str], packet: Packet) -> bool | None:
    """Whether a rule fits the packet; None where it asks what is not known here."""
    known, position = True, 0
    while position < len(words):
        negated = words[position] == "!"
        position += negated
        flag, value = words[position], words[position + 1] if position + 1 < len(words) else ""
        position += 2
        match flag:
            case "-j" | "-g":
                break
            case "-m" | "--comment":
                continue
            case "-p":
                fits = value in (packet.proto, "all")
            case "-s":
                fits = _covers(value, packet.source)
            case "-d":
                fits = _covers(value, packet.target)
            case "-i":
                fits = _interface(value, packet.way_in)
            case "-o":
                fits = _interface(value, packet.way_out)
            case "--dport" | "--dports":
                fits = _has(packet.port, value)
            case "--ctstate" | "--state":
                fits = "NEW" in value.split(",")
            case _:
                known = False
                position -= value.startswith("-")
                continue
        if fits is negated:
            return False
    return True if known else None

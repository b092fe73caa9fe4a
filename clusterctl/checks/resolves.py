"""`resolves: {from, to}`: Docker's own DNS gives the target's address for its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, shared, unknown
from clusterctl.checks.probe import QUICK, last_line
from clusterctl.model.names import DockerName, OrEmpty

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers, Ran
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

DNS = "127.0.0.11"
"""Docker's DNS server, in each container on a network of the user's own."""


UNKNOWN = r"NXDOMAIN|can't (find|resolve)|no servers could be reached|SERVFAIL"
"""What nslookup says where a name is not known; usage and the like say nothing of it."""


class Resolves(Pairs):
    """The target's name is answered by Docker's DNS with exactly its address, or is not known there."""

    kind: ClassVar[str] = "resolves"

    name: Annotated[DockerName, OrEmpty] = Field(
        default="", alias="as", description="The name that is asked for, such as an alias; its own unless given."
    )
    succeeds: bool = Field(default=True, description="false: the DNS must answer others, and not know this name.")

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: what the DNS answers, and that the container asks this DNS at all."""
        networks = shared(lab, source.container, target.container)
        name, first = self.name or target.name, next(iter(networks), "")
        addresses = {target.ip(n) for n in networks}
        subject = f"{source.name} → {target.name}"
        known = f"is {', '.join(sorted(addresses)) or 'known'} to" if self.succeeds else "is not known to"
        # A name that it does not know it asks the host's own servers for, which may not be there.
        quick = () if self.succeeds else ("-timeout=1", "-retry=1")
        lookup, config = source.run("nslookup", *quick, name, DNS), source.run("cat", "/etc/resolv.conf")
        own = source.run("nslookup", source.name, DNS)

        def decide(answers: Answers) -> Verdict:
            servers = nameservers(answers.exec(config).output)
            if DNS not in servers[:1]:
                return failed(f"resolv.conf of {source.name} names {', '.join(servers) or 'no server'}, not {DNS}")
            answer = answers.exec(lookup)
            found = read_nslookup(answer.output)
            if not self.succeeds:
                answers_others = bool(read_nslookup(answers.exec(own).output))
                return _not_known(name, found, answer, answers_others)
            there = f"on {target.host.name} it has {', '.join(sorted(addresses)) or 'no address of a shared network'}"
            return _known(name, found, answer, addresses, there, f"docker network inspect {first}")

        expected = f"{name} {known} Docker's DNS ({DNS})"
        probes = (lookup, config) if self.succeeds else (lookup, config, own)
        yield Check(self.kind, subject, expected, probes, decide, looks=3 if self.succeeds else 1)


def _known(name: str, found: list[str], answer: Ran, addresses: set[str], there: str, hint: str) -> Verdict:
    said = last_line(answer.output) or f"exit {answer.exit_code}"
    if answer.cut:
        return failed(f"the DNS did not answer for {name} within {QUICK:g} s")
    if not found:
        if re.search(UNKNOWN, answer.output):
            return failed(f"the DNS does not know {name}: {said}", hint)
        return unknown(f"nslookup did not say an address: {said}")
    if not set(found) <= addresses:
        return failed(f"{name} is answered with {', '.join(found)}, {there}", hint)
    return ok(f"{name} is {', '.join(found)}")


def _not_known(name: str, found: list[str], answer: Ran, answers_others: bool) -> Verdict:
    """A DNS that answers nobody proves nothing: it must know the one that asks."""
    said = last_line(answer.output) or f"exit {answer.exit_code}"
    if found:
        return failed(f"{name} is {', '.join(found)}")
    if not answers_others:
        return unknown(f"the DNS does not answer at all: {said}")
    if answer.cut or re.search(UNKNOWN, answer.output):
        return ok(f"the DNS answers, and does not know {name}: {said}")
    return unknown(f"nslookup did not say that it is not known: {said}")


def nameservers(text: str) -> list[str]:
    """Return the servers that a resolv.conf names, in order."""
    return re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)


def read_nslookup(text: str) -> list[str]:
    """Return the IPv4 addresses that nslookup found, each once. The server's own comes before any name."""
    found: list[str] = []
    named = False
    for line in text.splitlines():
        if line.startswith("Name:"):
            named = True
        elif named and (match := re.match(r"Address(?: \d+)?:\s*(\d+(?:\.\d+){3})\b", line)):
            found.append(match[1])
    return list(dict.fromkeys(found))

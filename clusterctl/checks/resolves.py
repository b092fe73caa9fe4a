"""`resolves: {from, to}`: Docker's own DNS gives the target's address for its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, shared, unknown
from clusterctl.checks.probe import InContainer, last_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

DNS = "127.0.0.11"
"""Docker's DNS server, in each container on a network of the user's own."""


class Resolves(Pairs):
    """The target's name is answered by Docker's DNS with exactly its address."""

    kind: ClassVar[str] = "resolves"

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: what the DNS answers, and that the container asks this DNS at all."""
        networks = shared(lab, source.container, target.container)
        addresses, first = {target.ip(n) for n in networks}, next(iter(networks), "")
        subject = f"{source.name} → {target.name}"
        expected = f"{target.name} is {', '.join(sorted(addresses)) or 'known'} to Docker's DNS ({DNS})"

        def in_container(*argv: str) -> InContainer:
            return InContainer(source.host.name, source.name, argv, source.container.image)

        lookup = in_container("nslookup", target.name, DNS)
        config = in_container("cat", "/etc/resolv.conf")

        def decide(answers: Answers) -> Verdict:
            servers = nameservers(answers.exec(config).output)
            if DNS not in servers[:1]:
                return failed(f"resolv.conf of {source.name} names {', '.join(servers) or 'no server'}, not {DNS}")
            answer = answers.exec(lookup)
            if answer.cut:
                return failed(f"the DNS did not answer for {target.name} within {lookup.within:g} s")
            found = read_nslookup(answer.output)
            if not found:
                # Nothing but these words says that the name is not known; usage and the like do not.
                said = last_line(answer.output) or f"exit {answer.exit_code}"
                if re.search(r"NXDOMAIN|can't (find|resolve)|no servers could be reached|SERVFAIL", answer.output):
                    return failed(f"the DNS does not know {target.name}: {said}", f"docker network inspect {first}")
                return unknown(f"nslookup did not say an address: {said}")
            if not set(found) <= addresses:
                return failed(
                    f"{target.name} is answered with {', '.join(found)}, "
                    f"on {target.host.name} it has {', '.join(sorted(addresses)) or 'no address of a shared network'}",
                    f"docker network inspect {first}",
                )
            return ok(f"{target.name} is {', '.join(found)}")

        yield Check(self.kind, subject, expected, (lookup, config), decide)


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

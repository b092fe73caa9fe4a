"""`hosts_file: {of, has}`: a container knows another by a line in its /etc/hosts, as `--link` puts it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Each, Spot, Verdict, failed, locate, ok, settled, unknown
from clusterctl.model.names import DockerName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab


class HostsFile(Each):
    """A container's /etc/hosts leads from another's name to its address, or says nothing of it."""

    kind: ClassVar[str] = "hosts_file"

    has: DockerName = Field(description="The container whose name is in there.")
    succeeds: bool = Field(default=True, description="false: it must not be in there.")

    def containers(self) -> tuple[str, ...]:
        """Return both."""
        return (self.of, self.has)

    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return one check."""
        subject = f"{spot.name} → {self.has}"
        other = locate(lab, facts, self.has)
        if isinstance(other, Verdict):
            yield settled(self.kind, subject, f"{self.has} runs", other)
            return
        name = spot.container.linked.get(self.has, self.has)
        says = f"names {name}" if self.succeeds else f"does not name {name}"
        probe = spot.run("cat", "/etc/hosts")

        def decide(answers: Answers) -> Verdict:
            entries = read_hosts(answers.exec(probe).output)
            if "localhost" not in entries:
                return unknown(f"/etc/hosts of {spot.name} is not what Docker writes: it does not name localhost")
            found = entries.get(name, "")
            if not self.succeeds:
                line = f"{found} {name} is in there"
                return failed(line) if found else ok(f"it names {', '.join(entries)}; not {name}")
            if not found:
                return failed(f"it does not name {name}", f"was {spot.name} run with --link {self.has}?")
            if found not in other.addresses:
                has = ", ".join(other.addresses)
                return failed(f"it says {found} {name}, {self.has} has {has}", "run the container anew", settles=False)
            return ok(f"{found} {name}")

        yield Check(self.kind, subject, f"/etc/hosts of {spot.name} {says}", (probe,), decide)


def read_hosts(text: str) -> dict[str, str]:
    """Return the address of each name in an /etc/hosts, IPv4 before IPv6."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            if ":" in found.get(name, ":"):
                found[name] = address
    return found

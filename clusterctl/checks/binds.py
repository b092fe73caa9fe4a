"""`binds: {in, port}`: a server in the container can have the port, or is told that it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Each, NameOrAll, Spot, Verdict, failed, ok, unknown
from clusterctl.checks.probe import OnHost, last_line
from clusterctl.model.names import Port
from clusterctl.model.playbook import HOST
from clusterctl.plan.command import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers, Ran
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

TRIAL = 0.7
"""Seconds that a server runs to show that it has the port."""


class Binds(Each):
    """A server in a container gets a port, or does not because another has it."""

    kind: ClassVar[str] = "binds"

    of: NameOrAll = Field(alias="in", description="The container, or `all`.")
    port: Port = Field(description="The TCP port.")
    succeeds: bool = Field(default=True, description="false: the port must be taken, and the server say so.")

    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return one check: a web server on trial."""
        server = spot.run("httpd", "-f", "-p", str(self.port), within=TRIAL)
        expected = (
            f"a server in {spot.name} gets port {self.port}"
            if self.succeeds
            else f"a server in {spot.name} fails to bind port {self.port}: it is taken"
        )
        holder = OnHost(spot.host.name, command("ss", "-Hltnp", "sport", "=", f":{self.port}"))
        shares = spot.container.network_mode == HOST

        def decide(answers: Answers) -> Verdict:
            answer = answers.exec(server)
            taken = "address already in use" in answer.output.lower()
            who = _holder(answers, holder) if shares else ""
            if self.succeeds:
                return _bound(answer, self.port, who)
            if taken:
                return ok(last_line(answer.output) + who)
            if answer.cut:
                return failed(f"it got port {self.port}: nobody else has it")
            return unknown(f"httpd did not say that the port is taken: {last_line(answer.output) or 'nothing'}")

        probes = (server, holder) if shares else (server,)
        yield Check(self.kind, spot.name, expected, probes, decide)


def _bound(answer: Ran, port: int, who: str) -> Verdict:
    if answer.cut:
        return ok(f"httpd listened on port {port} for {TRIAL:g} s")
    return failed(f"{last_line(answer.output) or f'exit {answer.exit_code}'}{who}", settles=False)


def _holder(answers: Answers, probe: OnHost) -> str:
    """Return who has the port on the host, as `ss` says."""
    said = answers.result(probe).stdout
    holder = said.partition('users:(("')[2].partition('"')[0]
    return f"; {holder} on {probe.host} has it" if holder else ""

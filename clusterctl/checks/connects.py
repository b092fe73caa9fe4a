"""`connects: {from, to, port}`: a TCP connection from one container reaches a server in another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterctl.checks.check import Check, Pairs, Spot, Verdict, failed, ok, settled, shared, unknown
from clusterctl.checks.ping import By
from clusterctl.checks.probe import NO_WAITING, QUICK, last_line
from clusterctl.model.names import Port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterctl.checks.probe import Answers, Ran
    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab

LOOPBACK = "127.0.0.1"


class Connects(Pairs):
    """A TCP connection is made to a port that a server in the target listens on."""

    kind: ClassVar[str] = "connects"

    port: Port = Field(description="The TCP port that a server in the target listens on.")
    by: By = Field(default=By.NAME, description="How the target is called: name, address or localhost.")
    succeeds: bool = Field(
        default=True, description="false: it must fail, by an unknown name, a refusal or a silence; the server runs."
    )

    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return one check: the connection, and that the server listens at the same time."""
        addresses = tuple(target.ip(n) for n in shared(lab, source.container, target.container)) or target.addresses
        subject, known = f"{source.name} → {target.name}", {By.NAME: target.name, By.LOCALHOST: LOOPBACK}
        called = known.get(self.by) or next(iter(addresses), "")
        does = "answers" if self.succeeds else "cannot be reached"
        expected = f"port {self.port} of {target.name} {does} by {self.by} ({called})"
        if not called:
            yield settled(self.kind, subject, expected, failed(f"{target.name} has no address"))
            return
        # A name that nobody knows takes longer than a port that nobody answers at.
        patience = "1" if self.succeeds or self.by is not By.NAME else "4"
        argv = ("nc", "-w", patience, called, str(self.port))
        probe = source.run(*argv, within=QUICK if self.succeeds else 25.0, env=() if self.succeeds else NO_WAITING)
        serving = target.run("netstat", "-ltn")

        def decide(answers: Answers) -> Verdict:
            answer = answers.exec(probe)
            if not re.search(rf":{self.port}\s", answers.exec(serving).output):
                return failed(
                    f"nothing in {target.name} listens on port {self.port}: {said(answer)}",
                    f"docker exec {target.name} netstat -ltn",
                )
            if answer.exit_code == 0 and not answer.cut:
                seen = f"connected to {called} port {self.port}"
                return ok(seen) if self.succeeds else failed(seen)
            why = refusal(answer)
            if self.succeeds:
                return failed(f"no connection: {said(answer)}", f"docker exec {source.name} {' '.join(argv)}")
            listens = f"{target.name} listens on port {self.port}"
            return ok(f"{why}; {listens}") if why else unknown(f"nc did not say why it failed: {said(answer)}")

        yield Check(self.kind, subject, expected, (probe, serving), decide, looks=3 if self.succeeds else 1)


def said(answer: Ran) -> str:
    """Return the last thing that `nc` said."""
    return last_line(answer.output) or ("it was silent" if answer.cut else f"exit {answer.exit_code}")


def refusal(answer: Ran) -> str:
    """Return in the words of `nc` why there is no connection, "" where it does not say."""
    reason = r"bad address|timed out|[Cc]onnection refused|[Nn]etwork is unreachable|[Nn]o route to host"
    return last_line(answer.output) if re.search(reason, answer.output) else ""

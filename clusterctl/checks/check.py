"""A check: probes, and a pure judgement of what they came back with. Each kind of expectation makes its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field, model_validator

from clusterctl.checks.probe import QUICK, Answers, InContainer, Probe, Unanswered
from clusterctl.model.finding import Finding, Severity
from clusterctl.model.names import ALL, Shape, shown, wrong
from clusterctl.model.playbook import BRIDGE, HOST, Driver, Expectation
from clusterctl.model.text import NO_TEXT, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from clusterctl.checks.probe import Answer
    from clusterctl.model.facts import ContainerFacts, Facts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check ended, and what was seen. settles: whether another look may show something better."""

    severity: Severity
    seen: str
    hint: str = ""
    settles: bool = True


def ok(seen: str) -> Verdict:
    """Return that it holds."""
    return Verdict(Severity.OK, seen)


def failed(seen: str, hint: str = "", *, settles: bool = True) -> Verdict:
    """Return that it does not hold."""
    return Verdict(Severity.FAILED, seen, hint, settles)


def unknown(seen: str, hint: str = "") -> Verdict:
    """Return that what was seen does not tell."""
    return Verdict(Severity.UNKNOWN, seen, hint)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and how to look.

    decide: judges the answers. looks: how often to look before it counts as failed, for what takes a
    moment to settle; a negative is looked at once, since a lost packet would prove it.
    late: what it is worth when it holds only at a later look. disturbs: whether it makes something for
    a moment, so that nothing else may be looked at meanwhile. why: why it is so, for learners.
    """

    kind: str
    subject: str
    expected: str
    probes: tuple[Probe, ...]
    decide: Callable[[Answers], Verdict] = field(repr=False, compare=False)
    looks: int = 3
    late: Severity = Severity.OK
    disturbs: bool = False
    why: Text = NO_TEXT

    def commands(self) -> tuple[str, ...]:
        """Return what a person would type, each line prefixed with its host."""
        return tuple(f"{p.host}: {p.line()}" for p in self.probes)

    def verdict(self, answers: Mapping[Probe, Answer]) -> Verdict:
        """Judge the answers. One that is missing or not understood never holds."""
        try:
            return self.decide(Answers(answers))
        except Unanswered as error:
            trouble = error.trouble
            return Verdict(trouble.severity, trouble.seen, trouble.hint)
        except ValueError as error:
            return unknown(str(error))

    def finding(self, verdict: Verdict) -> Finding:
        """Return the verdict as a finding about this check."""
        severity, seen, hint = verdict.severity, verdict.seen, verdict.hint
        return Finding(self.kind, self.subject, severity, self.expected, seen, hint, self.commands(), self.why)

    def judge(self, answers: Mapping[Probe, Answer]) -> Finding:
        """Turn answers into a finding."""
        return self.finding(self.verdict(answers))


def settled(kind: str, subject: str, expected: str, verdict: Verdict) -> Check:
    """Return a check whose outcome the facts tell already, with nothing to look at."""
    return Check(kind, subject, expected, (), lambda _: verdict, looks=1)


class Kind(Expectation, ABC):
    """An expectation that knows how to check itself. kind: its key in a playbook."""

    kind: ClassVar[str]

    @abstractmethod
    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return what to look at. Pure."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A container of the playbook as it was found, running, and the host that it is on.

    on: the networks that it has an address on, each with (ip, mac): its own, those of the container that it
    shares them with, or the host's.
    """

    container: Container
    found: ContainerFacts
    host: Host
    on: Mapping[str, tuple[str, str]]

    @property
    def name(self) -> str:
        """The container's name."""
        return self.container.name

    def ip(self, network: str) -> str:
        """Return its address on a network, "" where it has none."""
        return self.on.get(network, ("", ""))[0]

    def mac(self, network: str) -> str:
        """Return its MAC on a network, "" where it has none."""
        return self.on.get(network, ("", ""))[1]

    def run(self, *argv: str, within: float = QUICK, env: tuple[str, ...] = ()) -> InContainer:
        """Return the probe that runs a command in it."""
        return InContainer(self.host.name, self.name, argv, self.container.image, within, env)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that it has."""
        return tuple(ip for ip, _ in self.on.values() if ip)


def locate(lab: Lab, facts: Facts, name: str) -> Spot | Verdict:
    """Return where a container runs, or why it does not."""
    container = lab.playbook.containers[name]
    host = lab.inventory.hosts[container.host]
    if why := without_docker(facts, host.name):
        return Verdict(why.severity, f"container {name}: {why.seen}", why.hint)
    docker = facts.docker(host.name)
    found = docker.containers.get(name) if docker else None
    if found is None:
        return failed(f"there is no container {name} on {host.name}", "clusterctl up")
    if found.state != "running":
        return failed(f"container {name} is {found.state} on {host.name}", f"on {host.name}: docker start {name}")
    on = _networks(lab, facts, container, found)
    return on if isinstance(on, Verdict) else Spot(container, found, host, on)


def _networks(
    lab: Lab, facts: Facts, container: Container, found: ContainerFacts
) -> Mapping[str, tuple[str, str]] | Verdict:
    """Return the networks that a running container has addresses on, or which it should have one on."""
    host = lab.inventory.hosts[container.host]
    if container.network_mode == HOST:
        return {HOST: (host.cluster_address, "")}
    if container.shares:
        owner = locate(lab, facts, container.shares)
        return owner.on if isinstance(owner, Spot) else owner
    for network in container.attached:
        if not found.networks.get(network, ("", ""))[0]:
            return failed(
                f"container {container.name} on {host.name} has no address on {network}",
                f"on {host.name}: docker network connect {network} {container.name}",
            )
    return found.networks


def without_docker(facts: Facts, host: str) -> Verdict | None:
    """Return why nothing can be asked of the Docker of a host, None where it answers."""
    if host in facts.missing or host not in facts.hosts:
        return unknown(f"{host} did not answer: {facts.missing.get(host, 'it was not asked')}")
    if facts.docker(host) is None:
        return failed(f"Docker does not run on {host}", f"on {host}: systemctl start docker")
    return None


NameOrAll = Annotated[
    str,
    Shape(
        "the name of a container or `all`",
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
        "two or more letters, digits, '_', '.' and '-', a letter or digit first",
        63,
    ),
]


class Each(Kind):
    """What must hold of one container. `all` stands for each."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    of: NameOrAll = Field(description="The container, or `all`.")

    def containers(self) -> tuple[str, ...]:
        """Return the container."""
        return (self.of,)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return the checks of each container; one that does not run fails at once."""
        for name in lab.playbook.containers if self.of == ALL else (self.of,):
            spot = locate(lab, facts, name)
            if isinstance(spot, Verdict):
                yield settled(self.kind, name, "the container runs", spot)
            else:
                yield from self.at(lab, facts, spot)

    @abstractmethod
    def at(self, lab: Lab, facts: Facts, spot: Spot) -> Iterable[Check]:
        """Return the checks for one that runs."""


class Pairs(Kind):
    """What must hold from one container to another. `all` stands for each that shares a network."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: NameOrAll = Field(alias="from", description="The container that it starts from, or `all`.")
    target: NameOrAll = Field(alias="to", description="The container that it goes to, or `all`.")

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.source == self.target != ALL:
            raise wrong(f"goes from {shown(self.source)} to itself", "two different containers")
        return self

    def containers(self) -> tuple[str, ...]:
        """Return both ends."""
        return (self.source, self.target)

    def checks(self, lab: Lab, facts: Facts) -> Iterable[Check]:
        """Return the checks of each pair; a pair whose containers do not run fails at once."""
        pairs = self._pairs(lab)
        if not pairs:
            yield settled(
                self.kind,
                f"{self.source} → {self.target}",
                "at least one pair of containers",
                failed("no two of these containers share such a network", "name the containers instead of `all`"),
            )
        for source, target in pairs:
            ends = locate(lab, facts, source.name), locate(lab, facts, target.name)
            match ends:
                case Spot() as a, Spot() as b:
                    yield from self.between(lab, facts, a, b)
                case _:
                    missing = next(e for e in ends if isinstance(e, Verdict))
                    yield settled(self.kind, f"{source.name} → {target.name}", "both containers run", missing)

    def _pairs(self, lab: Lab) -> list[tuple[Container, Container]]:
        if ALL not in (self.source, self.target):
            return [(lab.playbook.containers[self.source], lab.playbook.containers[self.target])]
        every = tuple(lab.playbook.containers.values())
        return [
            (a, b)
            for a in every
            for b in every
            if a.name != b.name
            and self.source in (ALL, a.name)
            and self.target in (ALL, b.name)
            and self.belongs(lab, a, b)
        ]

    def belongs(self, lab: Lab, source: Container, target: Container) -> bool:
        """Whether `all` means this pair: one that a network joins. One of a host's own joins only there."""
        return any(spans(lab, n) or source.host == target.host for n in shared(lab, source, target))

    @abstractmethod
    def between(self, lab: Lab, facts: Facts, source: Spot, target: Spot) -> Iterable[Check]:
        """Return the checks for one pair that runs."""


def shared(lab: Lab, one: Container, other: Container) -> tuple[str, ...]:
    """Return the networks that both containers are on, Docker's default bridge among them on one host."""
    found, others = lab.playbook.attached(one), lab.playbook.attached(other)
    return tuple(n for n in found if n in others and (n != BRIDGE or one.host == other.host))


def spans(lab: Lab, network: str) -> bool:
    """Whether a network goes on from one host to the next; a bridge, Docker's own too, is each host's own."""
    declared = lab.playbook.networks.get(network)
    return declared is not None and declared.spans


def shared_overlay(lab: Lab, one: Container, other: Container) -> str:
    """Return the first overlay that both containers are on, "" where there is none."""
    networks = lab.playbook.networks
    return next((n for n in shared(lab, one, other) if n in networks and networks[n].driver is Driver.OVERLAY), "")

"""Layer 8, reachability: what containers get from each other, by address and by name, in small and in whole packets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.checks.check import shared, spans
from clusterctl.checks.layers.judged import Judge
from clusterctl.checks.layers.mends import RESTART, restart_docker
from clusterctl.checks.ping import read_ping
from clusterctl.checks.probe import Answers, InContainer, Trouble, Unanswered, last_line
from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.model.finding import Evidence, Layer, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.checks.ping import Echo
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container

JUDGE = Judge(Layer.REACHABILITY)

PACKETS = 3
HEADERS = 28
"""Bytes of IPv4 and ICMP before a ping's own."""

NOBODYS = "9"
"""A TCP port (discard) that is refused at once where packets pass."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One way between two containers that run and share a network, with the probes that try it.

    host: the source's. known: the target's addresses on all networks, any of which its name may stand for.
    large: a ping as big as the network's MTU lets through. names: what the container's files say of names.
    """

    source: Container
    target: Container
    host: HostFacts
    network: str
    ip: str
    known: tuple[str, ...]
    mtu: int
    address: InContainer
    name: InContainer
    large: InContainer
    tcp: InContainer
    names: InContainer

    @property
    def subject(self) -> str:
        """How it is called."""
        return f"{self.source.name} → {self.target.name}"

    @property
    def probes(self) -> tuple[InContainer, ...]:
        """All of them."""
        return (self.address, self.name, self.large, self.tcp, self.names)


@dataclass(frozen=True, slots=True)
class Way:
    """How a container gets out of its networks, to another host's address."""

    source: Container
    address: str
    probe: InContainer


def pairs(lab: Lab, survey: Survey) -> tuple[Pair, ...]:
    """Return every ordered pair of running containers that share a network of the playbook."""
    runs = [c for c in lab.playbook.containers.values() if _ip(survey, c, "") is not None]
    found = []
    for source in runs:
        for target in runs:
            for network in shared(lab, source, target) if source is not target else ():
                ip = _ip(survey, target, network) if network in lab.playbook.networks else None
                if ip and (source.host == target.host or spans(lab, network)):
                    found.append(_pair(survey, source, target, network, ip))
    return tuple(found)


def _ip(survey: Survey, container: Container, network: str) -> str | None:
    """Return a running container's address on a network ("" where it has none), None where it does not run."""
    daemon = survey.facts.docker(container.host)
    found = daemon.containers.get(container.name) if daemon else None
    if found is None or found.state != "running":
        return None
    return found.networks.get(network, ("", ""))[0]


def _pair(survey: Survey, source: Container, target: Container, network: str, ip: str) -> Pair:
    anatomy = survey.anatomy(target.host)
    space = anatomy.sandbox(target.name) if anatomy else None
    link = space.with_address(ip) if space else None
    mtu = link.mtu if link else 1450
    daemon = survey.facts.docker(target.host)
    known = tuple(a for a, _ in daemon.containers[target.name].networks.values() if a) if daemon else (ip,)

    def probe(*argv: str, within: float = 5.0) -> InContainer:
        return InContainer(source.host, source.name, argv, source.image, within)

    return Pair(
        source,
        target,
        survey.facts.hosts[source.host],
        network,
        ip,
        known,
        mtu,
        address=probe("ping", "-c", str(PACKETS), "-i", "0.2", "-W", "1", ip),
        name=probe("ping", "-c", "1", "-W", "1", target.name, within=4.0),
        large=probe("ping", "-c", "2", "-i", "0.2", "-W", "1", "-s", str(mtu - HEADERS), ip),
        tcp=probe("nc", "-w", "2", ip, NOBODYS),
        names=probe("grep", "-s", "", "/etc/resolv.conf", "/etc/hosts"),
    )


def ways_out(lab: Lab, survey: Survey) -> tuple[Way, ...]:
    """Return how each container that has a way out reaches another host."""
    found = []
    for source in lab.playbook.containers.values():
        anatomy = survey.anatomy(source.host)
        space = anatomy.sandbox(source.name) if anatomy else None
        if not _ip(survey, source, next(iter(source.networks), "")) or space is None or anatomy is None:
            continue
        if anatomy.host.link(GATEWAY_BRIDGE) is None or not any(r.startswith("default ") for r in space.routes):
            continue
        others = [h for h in survey.facts.hosts if h != source.host and not ignores_pings(survey, h)]
        for other in others[:1]:
            address = lab.inventory.hosts[other].cluster_address
            argv = ("ping", "-c", "1", "-W", "1", address)
            found.append(Way(source, address, InContainer(source.host, source.name, argv, source.image)))
    return tuple(found)


def ignores_pings(survey: Survey, host: str) -> bool:
    """Whether a host answers no ping by its own settings."""
    anatomy = survey.anatomy(host)
    return anatomy is not None and anatomy.host.sysctls.get("ipv4/icmp_echo_ignore_all") == "1"


def probes(lab: Lab, survey: Survey) -> tuple[InContainer, ...]:
    """Return everything that is to be asked."""
    return (
        *(p for pair in pairs(lab, survey) for p in pair.probes),
        *(w.probe for w in ways_out(lab, survey)),
    )


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge what the probes came back with; nothing where none was sent."""
    if survey.answers is None:
        return
    answers = Answers(survey.answers)
    for pair in pairs(lab, survey):
        yield _judged(pair, answers)
    for way in ways_out(lab, survey):
        if fault := _out(way, answers):
            yield fault


def _judged(pair: Pair, answers: Answers) -> Judged:
    expected = f"{pair.target.name} answers {pair.source.name} by address and by name"
    try:
        echo = read_ping(answers.exec(pair.address))
    except Unanswered as error:
        return _untold(pair, expected, error.trouble)
    if echo.received < echo.sent or not echo.sent:
        return _lost(pair, expected, echo)
    for part in (_large, _tcp, _named):
        try:
            fault = part(pair, expected, answers)
        except Unanswered:
            continue  # an image without nc, say: that part cannot be told, the rest can
        if fault:
            return fault
    return JUDGE.ok("reaches", pair.subject, expected, f"{pair.ip} answers in {echo.milliseconds or '?'} ms, no loss")


def _untold(pair: Pair, expected: str, trouble: Trouble) -> Judged:
    """Judge a container that does not run a command."""
    if trouble.severity is Severity.FAILED:
        shown = Evidence(pair.source.host, pair.address.line(), trouble.seen)
        seen = f"{pair.source.name} on {pair.source.host} cannot run a command: {trouble.seen}"
        hint = f"{pair.source.host}: docker restart {pair.source.name}"
        return JUDGE.fault("exec", pair.subject, expected, seen, hint, shown)
    return JUDGE.unknown("reaches", pair.subject, expected, f"{pair.subject}: {trouble.seen}", trouble.hint)


def _lost(pair: Pair, expected: str, echo: Echo) -> Judged:
    shown = Evidence(pair.source.host, pair.address.line(), f"{echo.sent} sent, {echo.received} came back; {echo.last}")
    where = f"{pair.source.name} ({pair.source.host}) and {pair.target.name} ({pair.target.host})"
    hint = f"{pair.source.host}: clusterctl capture {pair.source.name} {pair.target.name}"
    if not echo.sent:
        seen = f"{pair.source.name} on {pair.source.host} cannot send to {pair.target.name}: {echo.last}"
        return JUDGE.fault("no-route", pair.subject, expected, seen, hint, shown)
    what = (
        "no packet comes back" if not echo.received else f"{echo.sent - echo.received} of {echo.sent} packets are lost"
    )
    seen = f"{what} between {where}, though every layer below looks right"
    return JUDGE.fault("lost", pair.subject, expected, seen, hint, shown)


def _large(pair: Pair, expected: str, answers: Answers) -> Judged | None:
    echo = read_ping(answers.exec(pair.large))
    if echo.received or not echo.sent:
        return None
    shown = Evidence(pair.source.host, pair.large.line(), f"{echo.sent} sent, none came back; {echo.last}")
    lost = f"packets of {pair.mtu} bytes from {pair.source.name} to {pair.target.name} are lost, small ones pass"
    hint = f"{pair.source.host}: clusterctl path {pair.source.name} {pair.target.name}  # shows each hop's MTU"
    seen = f"{lost}: an MTU on the way is too small"
    return JUDGE.fault("large-lost", pair.subject, expected, seen, hint, shown)


def _tcp(pair: Pair, expected: str, answers: Answers) -> Judged | None:
    done = answers.exec(pair.tcp)
    said = done.output.lower()
    if done.exit_code == 0 or "refused" in said or not ("timed out" in said or done.cut or not said.strip()):
        return None
    if "usage" in said or "invalid" in said or "unrecognized" in said:
        return None
    shown = Evidence(pair.source.host, pair.tcp.line(), last_line(done.output) or "no answer within 2 s")
    seen = (
        f"TCP from {pair.source.name} to {pair.target.name} gets no answer, ping does: something on the way drops TCP"
    )
    hint = f"{pair.target.host}: ethtool -K {'{NIC}'} tx-checksum-ip-generic off; iptables -S on the way"
    return JUDGE.fault("tcp-lost", pair.subject, expected, seen, hint, shown)


def _named(pair: Pair, expected: str, answers: Answers) -> Judged | None:
    """Judge the name: known to Docker's DNS, and the right address."""
    echo = read_ping(answers.exec(pair.name))
    name, source, host = pair.target.name, pair.source.name, pair.source.host
    if echo.address in pair.known and echo.received:
        return None
    files = answers.exec(pair.names).output
    servers = re.findall(r"resolv\.conf:\s*nameserver\s+(\S+)", files)
    pinned = [x for x in re.findall(r"/etc/hosts:(.*)", files) if name in x.split()[1:]]
    shown = Evidence(host, pair.name.line(), echo.last or f"no answer within {pair.name.within:g} s")
    if pinned and pinned[0].split()[0] not in pair.known:
        pin = pinned[0].split()[0]
        seen = f"{source} on {host} takes {name} for {pin}, as its own /etc/hosts says; it is {pair.ip}"
        more = Evidence(host, f"docker exec {source} grep {name} /etc/hosts", pinned[0])
        return JUDGE.fault("name-pinned", pair.subject, expected, seen, f"{host}: docker restart {source}", shown, more)
    if servers and "127.0.0.11" not in servers:
        asks = f"{source} on {host} asks {', '.join(servers)} for names, not Docker's DNS (127.0.0.11)"
        more = Evidence(host, f"docker exec {source} cat /etc/resolv.conf", f"nameserver {', '.join(servers)}")
        hint = f"{host}: docker restart {source}"
        return JUDGE.fault(
            "dns-server", pair.subject, expected, f"{asks}, so {name} does not resolve", hint, shown, more
        )
    if echo.address:
        if echo.address in pair.known:
            return None  # that one packet was lost is the address's matter
        seen = f"{source} on {host} takes {name} for {echo.address}; it is {pair.ip}"
        hint = f"{host}: docker exec {source} nslookup {name}"
        return JUDGE.fault("name-wrong", pair.subject, expected, seen, hint, shown)
    lost = f"the name {name} does not resolve in {source} on {host}"
    seen = f"{lost}: {pair.ip} answers, Docker's DNS there does not know it"
    hint = f"{host}: {RESTART}; docker start {source}"
    # What Docker reads of the others when a container starts may be lost to it; see `HostFacts.astray`.
    return JUDGE.fault("name-unknown", pair.subject, expected, seen, hint, shown, safe=restart_docker(pair.host))


def _out(way: Way, answers: Answers) -> Judged | None:
    try:
        echo = read_ping(answers.exec(way.probe))
    except Unanswered:
        return None
    if echo.received or not echo.sent:
        return None
    host, name = way.source.host, way.source.name
    shown = Evidence(host, way.probe.line(), f"{echo.sent} sent, none came back")
    seen = f"{name} on {host} does not get out: {way.address} does not answer it, though the hosts reach each other"
    hint = f"{host}: iptables -nvL FORWARD; iptables -t nat -nvL POSTROUTING; sysctl net.ipv4.ip_forward"
    return JUDGE.fault("way-out", f"{name} → {way.address}", f"{name} reaches other hosts", seen, hint, shown)

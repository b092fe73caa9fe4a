"""Layer 3, the store: each member, the quorum, how far the members are apart, alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.layers.judged import Judge
from clusterctl.checks.layers.logs import died_of, has_ended, last_words, message
from clusterctl.checks.layers.rules import undoing, without_counters
from clusterctl.commands import systemd
from clusterctl.model.finding import Evidence, Layer, Severity
from clusterctl.model.inventory import Role
from clusterctl.plan.action import Run
from clusterctl.plan.door import MemberStatus
from clusterctl.stores import etcd
from clusterctl.topology.rules import WAYS_IN, WAYS_OUT, Packet, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab

JUDGE = Judge(Layer.ETCD)

LAGS = 1000
"""Raft entries behind the furthest member from which one counts as left behind."""

SLOW, TOO_SLOW = 0.5, 1.5
"""Seconds for the quickest of three status calls from which etcd counts as slow, and as no store any more."""

JOURNAL = f"journalctl -u {etcd.UNIT} -n 50"
ASKED = Packet("tcp", etcd.CLIENT_PORT, "127.0.0.1", "127.0.0.1", "lo", "lo")
"""What clusterctl asks a member by, through the host's SSH."""
TLS = f"--cacert={etcd.CA} --cert={etcd.MEMBER_CERT} --key={etcd.MEMBER_KEY}"
CTL = f"ETCDCTL_API=3 etcdctl {TLS} --endpoints=https://127.0.0.1:{etcd.CLIENT_PORT}"


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge every member on a host that answered, then the cluster that they are."""
    hosts = lab.with_role(Role.ETCD)
    reached = survey.reached(hosts)
    told = {h: m for h, m in survey.members.items() if isinstance(m, MemberStatus)}
    size = max((len(m.members) for m in told.values()), default=len(hosts))
    leads = [h for h, m in told.items() if m.leader]
    # One that answers and has no leader is well, as long as the others are what it lacks.
    healthy = len(leads) or (len(told) if len(told) <= size // 2 else 0)
    margin = etcd.quorum_in_words(size, healthy)
    expected = "a member that runs and follows a leader"
    ahead = max((m.raft_index for m in told.values()), default=0)
    down = {host.name: fault for host in reached if (fault := _down(host, survey, margin))}
    yield from down.values()
    for host in reached:
        status = told.get(host.name)
        # Without a quorum the others have no leader: a consequence, and not told as a cause of its own.
        if host.name in down or (down and not (status and status.leader)):
            continue
        fault = _unfit(host, survey, told, margin, ahead)
        if fault:
            yield fault
        if status and (fault is None or fault.holds):
            role = "leads" if status.leader == status.id else "follows"
            seen = (
                f"{role}, {status.version}, {status.latency * 1000:.1f} ms, {status.db_bytes // 1024} KiB, "
                f"raft index {status.raft_index}; {margin}"
            )
            yield JUDGE.ok("member", host.name, expected, seen)
    yield from _together(lab, told)


def _lost(margin: str) -> str:
    return "quorum-lost" if "quorum is lost" in margin else "member-down"


def _down(host: Host, survey: Survey, margin: str) -> Judged | None:
    """Judge the process: there, and able to run."""
    facts, anatomy = survey.facts.hosts[host.name], survey.anatomy(host.name)
    unit, expected = facts.unit(etcd.UNIT), f"etcd runs on {host.name}"
    log = anatomy.log(etcd.UNIT) if anatomy else ()
    process = anatomy.process(etcd.UNIT) if anatomy else None
    active = Evidence(host.name, f"systemctl is-active {etcd.UNIT}", unit.active or "unknown")
    start = Run(host=host.name, title="start etcd", command=systemd.start(etcd.UNIT), hint=JOURNAL)
    if not unit.loaded:
        seen = f"etcd is not set up on {host.name} ({margin})"
        return JUDGE.fault(
            _lost(margin), host.name, expected, seen, "this machine: clusterctl up", active, completes=True
        )
    if process and process.halted:
        state = Evidence(host.name, f"ps -o pid,stat,comm -p {process.pid}", f"{process.pid} {process.state} etcd")
        seen = f"etcd on {host.name} is halted: its process {process.pid} is there and may not run ({margin})"
        hint = f"{host.name}: kill -CONT {process.pid}"
        go_on = Run(host=host.name, title="let etcd run on", command=systemd.go_on(etcd.UNIT))
        return JUDGE.fault(_lost(margin), host.name, expected, seen, hint, state, safe=[go_on])
    if unit.active == "active":
        return None
    why = died_of(log)
    shown = [active, *([Evidence(host.name, JOURNAL, why)] if why else [])]
    ended = has_ended(unit, process)
    tries = "does not start" if unit.active == "failed" else "does not stay up: systemd starts it again and again"
    how = "is stopped" if ended else f"{tries}{f': {message(why)}' if why else ''}"
    seen = f"etcd on {host.name} {how} ({margin})"
    hint = f"{host.name}: systemctl start {etcd.UNIT}" if ended else f"{host.name}: {JOURNAL}"
    return JUDGE.fault(_lost(margin), host.name, expected, seen, hint, *shown, safe=[start] if ended else ())


def _unfit(host: Host, survey: Survey, told: dict[str, MemberStatus], margin: str, ahead: int) -> Judged | None:
    """Judge what a member that runs says."""
    status, health = survey.members.get(host.name, "it was not asked"), survey.healths.get(host.name)
    anatomy = survey.anatomy(host.name)
    log = anatomy.log(etcd.UNIT) if anatomy else ()
    expected = f"the member on {host.name} answers and follows a leader"
    said = Evidence(
        host.name, f"{CTL} endpoint status", status if isinstance(status, str) else f"leader {status.leader:x}"
    )
    # Of the latest lines alone: an old one may tell of what is mended. A peer that ends breaks off with EOF as well.
    refused = last_words(log[-12:], "certificate", "x509", "tls:", "permission denied")
    why = refused or last_words(log, "mismatch", "no leader", "timed out", "unreachable", "no space", "error")
    shown = [said, *([Evidence(host.name, JOURNAL, why)] if why else [])]
    if isinstance(status, str):
        seen, hint, more = f"does not answer: {status}", f"{host.name}: {JOURNAL}", shown
        ended = Rules.read(without_counters(anatomy.host.rules)).ends(ASKED, (*WAYS_OUT, *WAYS_IN)) if anatomy else None
        if ended:
            seen = f"a rule there takes what asks it: {ended.rule}"
            hint = f"{host.name}: {undoing(ended.rule, ended.table)}"
            more = [said, Evidence(host.name, f"iptables -t {ended.table} -S", ended.rule)]
        seen = f"etcd runs on {host.name} and {seen} ({margin})"
        return JUDGE.fault(_lost(margin), host.name, expected, seen, hint, *more)
    if not status.leader:
        others = [h for h in survey.members if h != host.name and h not in told]
        because = (
            "the members refuse each other's certificates"
            if refused
            else (f"{', '.join(others)} does not answer" if others else "it does not reach enough members")
        )
        seen = f"the member on {host.name} has no leader: {because} ({margin})"
        return JUDGE.fault("quorum-lost", host.name, expected, seen, f"{host.name}: {JOURNAL}", *shown)
    if health and not health.v2 and not status.alarms:
        shown = [Evidence(host.name, f"curl {TLS.replace('=', ' ')} https://127.0.0.1:2379/v2/keys/", health.reason)]
        seen = f"etcd on {host.name} does not serve Docker's keys: its v2 API is off ({health.reason})"
        hint = f"{host.name}: enable-v2: true in {etcd.CONFIG}; or this machine: clusterctl up"
        return JUDGE.fault("v2-off", host.name, "the v2 API answers", seen, hint, *shown, completes=True)
    if ahead - status.raft_index > LAGS:
        seen = f"the member on {host.name} lags behind: raft index {status.raft_index}, the others are at {ahead}"
        return JUDGE.warning("lag", host.name, "the members are alike", seen, f"{host.name}: {JOURNAL}", *shown)
    if status.latency > SLOW:
        seen = f"etcd on {host.name} is slow: {status.latency:.1f} s for its status"
        hint = f"{host.name}: iostat -x 1; {JOURNAL} | grep 'took too long'"
        severity = Severity.FAILED if status.latency > TOO_SLOW else Severity.WARNING
        return JUDGE.fault("slow", host.name, f"an answer within {SLOW:g} s", seen, hint, *shown, severity=severity)
    return None


def _together(lab: Lab, told: dict[str, MemberStatus]) -> Iterator[Judged]:
    """Judge what the members say of the cluster."""
    for alarm in sorted({a for m in told.values() for a in m.alarms}):
        what, _, member = alarm.partition(" ")
        where = member if member in lab.inventory.hosts else next(iter(told))
        full = "its database has reached its quota, so it takes no more writes" if what == "NOSPACE" else "data differ"
        seen = f"etcd has raised the alarm {what} on {member}: {full}"
        shown = Evidence(where, f"{CTL} alarm list", alarm)
        hint = f"this machine: clusterctl etcd defrag; {where}: {CTL} alarm disarm"
        yield JUDGE.fault(f"alarm-{what.lower()}", member, "no alarm", seen, hint, shown)
    wanted = {h.name for h in lab.with_role(Role.ETCD)}
    for host, status in told.items():
        known = {m for m in status.members if m}
        if known and known != wanted:
            lacking, more = sorted(wanted - known), sorted(known - wanted)
            differ = [
                f"{', '.join(lacking)} missing" if lacking else "",
                f"{', '.join(more)} not in the inventory" if more else "",
            ]
            seen = f"the store's members are not the inventory's: {'; '.join(d for d in differ if d)}"
            shown = Evidence(host, f"{CTL} member list", ", ".join(status.members))
            hint = "this machine: clusterctl etcd members; clusterctl up"
            yield JUDGE.fault("members", host, f"{', '.join(sorted(wanted))} are the members", seen, hint, shown)
            return

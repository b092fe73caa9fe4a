"""Layer 1, the hosts: there, on time, with space, with certificates that hold, and forwarding."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from clusterctl.checks.hosts import address, ports
from clusterctl.checks.hosts.clock import SKEW
from clusterctl.checks.layers.judged import Judge
from clusterctl.commands.ip import set_forwarding
from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.model.finding import Evidence, Layer, Severity
from clusterctl.model.inventory import Role
from clusterctl.plan.action import Run
from clusterctl.stores import etcd
from clusterctl.stores.certificates import fault_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.topology.anatomy import Anatomy

FAR = 5.0
"""Seconds off from which leases, certificates and logs of a cluster no longer go together."""

FULL, NEARLY = 99, 95
"""Of a hundred, where a disk, or its inodes, count as full; and where it is time to say so."""

LEAST_KB = 20 * 1024
"""Free KiB under which etcd and Docker stop writing."""

JUDGE = Judge(Layer.HOST)


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge every host."""
    for host in lab.inventory.hosts.values():
        found = survey.facts.hosts.get(host.name)
        if found is None:
            yield _silent(host, survey.facts.missing.get(host.name, "it was not asked"))
            continue
        faults = [
            *_clock(survey, host.name),
            *_disks(host.name, survey.anatomy(host.name)),
            *_names(survey, host.name),
            *_nic(host, found, survey.anatomy(host.name)),
            *_ports(host, found),
            *_certificates(host, survey),
            *_forwarding(host, survey.anatomy(host.name)),
        ]
        yield from faults
        why = survey.anatomies.get(host.name)
        if isinstance(why, str):
            yield JUDGE.unknown("read", host.name, "it tells how it is", f"{host.name} did not tell all: {why}")
        elif all(f.holds for f in faults):
            seen = f"{found.os_name}, Linux {found.kernel}, {found.disk_free_mb} MB free"
            yield JUDGE.ok("host", host.name, "there, on time, with space", seen)


def _silent(host: Host, why: str) -> Judged:
    why = why.removeprefix(f"{host.name}: ")
    expected = f"{host.name} answers at {host.address}"
    shown = Evidence("this machine", f"ssh {host.name} true", why)
    if "no answer within" in why or "within" in why or "timed out" in why:
        seen = f"{host.name} does not answer: it hangs, or nothing reaches it ({why})"
        hint = f"this machine: ping {host.address}; look at {host.name}'s console, then restart it"
        return JUDGE.fault("silent", host.name, expected, seen, hint, shown)
    if "not there" in why:
        seen = f"{host.name} is gone: its machine does not run"
        hint = "this machine: clusterctl up"
        return JUDGE.fault("gone", host.name, expected, seen, hint, shown, completes=True)
    seen = f"{host.name} cannot be reached: {why}"
    return JUDGE.fault(
        "unreachable", host.name, expected, seen, f"this machine: ssh {host.name}; ping {host.address}", shown
    )


def _clock(survey: Survey, name: str) -> Iterator[Judged]:
    """Judge a clock by the median of all of them and of this machine's, so that two hosts are enough."""
    hosts = survey.facts.hosts
    off = hosts[name].clock - median([0.0, *(h.clock for h in hosts.values())])
    expected = f"within {SKEW:g} s of the others' clocks"
    seen = f"the clock of {name} is {off:+.{0 if abs(off) > FAR else 1}f} s off the other hosts' and this machine's"
    hint = f"{name}: timedatectl set-ntp true; or: date -s '@{{seconds since 1970}}'"
    ahead = ", ".join(f"{h} {f.clock:+.1f} s" for h, f in hosts.items())
    shown = Evidence(name, "date +%s.%N", f"against this machine: {ahead}")
    if abs(off) > FAR:
        yield JUDGE.fault("clock", name, expected, seen, hint, shown)
    elif abs(off) > SKEW:
        yield JUDGE.warning("clock", name, expected, seen, hint, shown)


def _disks(name: str, anatomy: Anatomy | None) -> Iterator[Judged]:
    for disk in anatomy.disks if anatomy else ():
        expected = f"space on {disk.place} of {name}"
        of_inodes = disk.inodes >= FULL
        shown = Evidence(
            name,
            f"df {'-i' if of_inodes else '-h'} {disk.place}",
            f"{disk.used}% used, {disk.free} KiB free, {disk.inodes}% of inodes used",
        )
        hint = f"{name}: du -xh {disk.place} | sort -h | tail; docker system prune; journalctl --vacuum-size=50M"
        if of_inodes:
            seen = f"the disk of {name} is out of inodes: {disk.place} has {disk.inodes}% of them used"
            yield JUDGE.fault("disk", name, expected, seen, hint, shown)
        elif disk.used >= FULL or disk.free < LEAST_KB:
            seen = f"the disk of {name} is full: {disk.place} has {disk.free // 1024} MiB free ({disk.used}% used)"
            yield JUDGE.fault("disk", name, expected, seen, hint, shown)
        elif disk.used >= NEARLY:
            seen = f"the disk of {name} is nearly full: {disk.place} is {disk.used}% used"
            yield JUDGE.warning("disk", name, expected, seen, hint, shown)
    for place in anatomy.readonly if anatomy else ():
        seen = f"{place} of {name} cannot be written to: it is mounted read-only"
        shown = Evidence(name, f"findmnt -T {place} -no OPTIONS", "ro")
        hint = f"{name}: dmesg | tail; mount -o remount,rw {place}"
        yield JUDGE.fault("disk", name, f"{place} of {name} can be written to", seen, hint, shown)


def _names(survey: Survey, name: str) -> Iterator[Judged]:
    """Judge names that two hosts have: told once, of the one that is not called so in the inventory, or the last."""
    hosts = survey.facts.hosts
    same = [h for h in hosts if h != name and hosts[h].hostname and hosts[h].hostname == hosts[name].hostname]
    if same and hosts[name].hostname != name:
        shown = Evidence(name, "hostname", hosts[name].hostname)
        seen = f"{name} has the hostname of {same[0]}, {hosts[name].hostname}: Docker's gossip ends over it"
        hint = f"{name}: hostnamectl set-hostname {name}; systemctl restart docker; then this machine: clusterctl up"
        yield JUDGE.fault("same-hostname", name, "a hostname of its own", seen, hint, shown)
    twins = [h for h in hosts if hosts[h].machine_id and hosts[h].machine_id == hosts[name].machine_id]
    if len(twins) > 1 and twins[-1] == name:
        shown_ids = [Evidence(h, "cat /etc/machine-id", hosts[h].machine_id) for h in twins]
        seen = f"{' and '.join(twins)} have the same machine-id: one was cloned from the other"
        hint = f"{name}: rm /etc/machine-id; systemd-machine-id-setup; reboot"
        yield JUDGE.fault("same-machine-id", name, "a machine-id of its own", seen, hint, *shown_ids)


def _nic(host: Host, found: HostFacts, anatomy: Anatomy | None) -> Iterator[Judged]:
    judged = address.judge(host, found)
    if not judged.holds:
        shown = Evidence(host.name, "ip -br addr", ", ".join(f"{a.interface} {a.ip}" for a in found.addresses))
        hint = (
            f"{host.name}: ip addr add {host.cluster_address}/24 dev INTERFACE; or set cluster_address in the inventory"
        )
        yield JUDGE.fault("address", host.name, judged.expected, f"{host.name}: {judged.seen}", hint, shown)
        return
    link = anatomy.host.with_address(host.cluster_address) if anatomy else None
    if link and not (link.up and link.carrier):
        what = "has no carrier" if link.up else "is down"
        shown = Evidence(host.name, f"ip -br link show {link.name}", f"{link.name} {what}")
        seen = f"{link.name} of {host.name}, which has its cluster address {host.cluster_address}, {what}"
        hint = f"{host.name}: ip link set {link.name} up"
        yield JUDGE.fault("link", host.name, f"{link.name} is up", seen, hint, shown)


def _certificates(host: Host, survey: Survey) -> Iterator[Judged]:
    found = survey.facts.hosts[host.name]
    if not found.content(etcd.CA) and not found.content(etcd.CONFIG):
        return  # nothing of a cluster is there yet
    if not all(f.holds for f in _clock(survey, host.name)):
        return  # a wrong clock makes every certificate wrong
    yield from _keys(host, found)
    others = Counter(h.content(etcd.CA) for n, h in survey.facts.hosts.items() if n != host.name and h.content(etcd.CA))
    theirs, count = next(iter(others.most_common(1)), ("", 0))
    if found.content(etcd.CA) and theirs and theirs != found.content(etcd.CA) and (count > 1 or _impostor(found)):
        shown = Evidence(host.name, f"sha256sum {etcd.CA}", "another sum than on the other hosts")
        seen = f"{host.name} has another CA than the other hosts: they refuse each other's certificates"
        hint = "this machine: clusterctl up  # writes the lab's CA"
        yield JUDGE.fault("certificate-foreign", host.name, "one CA everywhere", seen, hint, shown, completes=True)
        return
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=found.clock)
    wanted: list[tuple[str, str, list[str]]] = [("the CA's", etcd.CA, [])]
    if Role.ETCD in host.roles:
        wanted.append(("etcd's", etcd.MEMBER_CERT, [host.cluster_address, "127.0.0.1"]))
    if Role.DOCKER in host.roles:
        wanted.append(("Docker's", etcd.DOCKER_CERT, []))
    for whose, path, addresses in wanted:
        why, state = fault_in(found.content(path), found.content(etcd.CA), addresses, now)
        if why:
            shown = Evidence(host.name, f"openssl x509 -noout -dates -issuer -ext subjectAltName -in {path}", why)
            seen = f"{whose} certificate on {host.name} {why}"
            hint = "this machine: clusterctl up  # issues it anew"
            yield JUDGE.fault(f"certificate-{state}", host.name, f"{path} holds", seen, hint, shown, completes=True)


def _ports(host: Host, found: HostFacts) -> Iterator[Judged]:
    """Judge whether a stranger holds a port of the cluster."""
    for judged in ports.judge(host, found):
        if judged.severity is Severity.FAILED:
            number = re.search(r"port (\d+)", judged.seen)
            command = f"ss -lntup 'sport = :{number[1] if number else ''}'"
            shown = Evidence(host.name, command, judged.seen)
            seen = f"on {host.name} {judged.seen}, so what it is for cannot have it"
            yield JUDGE.fault("port-taken", host.name, judged.expected, seen, f"{host.name}: {judged.hint}", shown)


def _impostor(found: HostFacts) -> bool:
    """Whether a host's CA is younger than what it runs with: of two that differ, that one was changed."""
    file = found.file(etcd.CA)
    return file is not None and file.modified > found.unit(etcd.UNIT).started


def _keys(host: Host, found: HostFacts) -> Iterator[Judged]:
    """Judge whether etcd and Docker can read their keys; their contents are never read."""
    wanted = [("etcd", etcd.MEMBER_CERT, etcd.MEMBER_KEY, "etcd:")] if Role.ETCD in host.roles else []
    wanted += [("Docker", etcd.DOCKER_CERT, etcd.DOCKER_KEY, "root:")] if Role.DOCKER in host.roles else []
    for whose, certificate, path, owner in wanted:
        held = found.file(path)
        if found.content(certificate) and (held is None or not (held.owner.startswith(owner) and held.mode & 0o400)):
            how = "is missing" if held is None else f"belongs to {held.owner}, mode {held.mode:04o}"
            shown = Evidence(host.name, f"ls -l {path}", how)
            seen = f"{whose} on {host.name} cannot read its key: {path} {how}"
            hint = "this machine: clusterctl up  # issues it anew"
            yield JUDGE.fault("certificate-key", host.name, f"{whose} reads {path}", seen, hint, shown, completes=True)


def _forwarding(host: Host, anatomy: Anatomy | None) -> Iterator[Judged]:
    if anatomy is None or Role.DOCKER not in host.roles:
        return
    wanted = ["ipv4/ip_forward"]
    nic = anatomy.host.with_address(host.cluster_address)
    wanted += [f"ipv4/conf/{n}/forwarding" for n in (nic.name if nic else "", GATEWAY_BRIDGE) if n]
    off = [w for w in wanted if anatomy.host.sysctls.get(w) == "0"]
    if off:
        names = [f"net.{w.replace('/', '.')}" for w in off]
        shown = Evidence(host.name, f"sysctl {names[0]}", f"{names[0]} = 0")
        seen = f"{names[0]} is 0 on {host.name}: it forwards nothing between its containers and other machines"
        hint = f"{host.name}: sysctl -w {' '.join(f'{n}=1' for n in names)}"
        mend = Run(host=host.name, title="let the kernel forward packets", command=set_forwarding(names))
        yield JUDGE.fault("ip-forward", host.name, "the kernel forwards packets", seen, hint, shown, safe=[mend])

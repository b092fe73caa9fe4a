"""No host may pass for another: names and machine-ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding


def judge(hosts: Mapping[str, HostFacts]) -> Iterator[Finding]:
    """Judge the names and the machine-ids of all hosts together."""
    for name, host in hosts.items():
        yield _hostname(name, host, [h for h in hosts if h != name and hosts[h].hostname == host.hostname])
        twins = [h for h in hosts if h != name and hosts[h].machine_id == host.machine_id]
        yield _machine(name, host, twins)


def _hostname(name: str, host: HostFacts, twins: list[str]) -> Finding:
    expected = "a hostname of its own"
    if not host.hostname:
        return unknown("hostname", name, expected, "it does not say its hostname")
    gossips = host.docker is not None and bool(host.docker.store)
    if twins and gossips:
        seen = f"its hostname is {host.hostname}, as that of {', '.join(twins)}: Docker's gossip ends over it"
        hint = f"on {name}: hostnamectl set-hostname {name}; then systemctl restart docker"
        return failed("hostname", name, expected, seen, hint)
    if host.hostname != name:
        also = f", as {', '.join(twins)}" if twins else ""
        return ok("hostname", name, expected, f"{host.hostname}{also}; clusterctl up names it {name}")
    return ok("hostname", name, expected, host.hostname)


def _machine(name: str, host: HostFacts, twins: list[str]) -> Finding:
    expected = "a machine-id of its own"
    if not host.machine_id:
        return unknown("machine-id", name, expected, "/etc/machine-id is empty or missing", "systemd-machine-id-setup")
    if twins:
        seen = (
            f"{host.machine_id}, as {', '.join(twins)}: one was cloned from the other, DHCP may give both one address"
        )
        hint = f"on {name}: rm /etc/machine-id; systemd-machine-id-setup; then restart it"
        return failed("machine-id", name, expected, seen, hint)
    return ok("machine-id", name, expected, host.machine_id)

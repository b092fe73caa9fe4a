"""Docker and etcd as they are there, against the store that they are to be on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok
from clusterctl.model.errors import ClusterctlError
from clusterctl.model.inventory import Role
from clusterctl.stores import etcd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(p) for p in text.split(".")[:2] if p.isdigit())


def too_new(version: str) -> str:
    """Return why a Docker of this version has no cluster store, "" where it has or there is none."""
    if not version or _version(version) <= etcd.LAST_DOCKER:
        return ""
    return f"Docker {version.partition('+')[0]} has no cluster store (it was removed after 20.10)"


def judge(host: Host, facts: HostFacts) -> Iterator[Finding]:
    """Judge what is installed on one host."""
    if Role.ETCD in host.roles:
        yield _etcd(host, facts)
    if Role.DOCKER in host.roles:
        expected = f"Docker {'.'.join(map(str, etcd.LAST_DOCKER))} or older, on no other store, in no swarm"
        found = list(_docker(host, facts))
        yield from (failed("docker", host.name, expected, seen, hint) for seen, hint in found)
        if not found:
            version = facts.docker.version if facts.docker else facts.versions.get("docker", "")
            store = facts.docker.store if facts.docker else ""
            where = f", on {store}" if store else ""
            yield ok("docker", host.name, expected, f"{version}{where}" if version else "not installed yet")


def _etcd(host: Host, facts: HostFacts) -> Finding:
    last = ".".join(map(str, etcd.LAST_ETCD))
    expected = f"etcd {last} or older, with the v2 API"
    version = facts.versions.get("etcd", "")
    if version and _version(version) > etcd.LAST_ETCD:
        seen = f"etcd {version} has no v2 API, and Docker's cluster store needs it"
        return failed("etcd", host.name, expected, seen, f"install etcd {last} or older")
    return ok("etcd", host.name, expected, version or "not installed yet")


def _docker(host: Host, facts: HostFacts) -> Iterator[tuple[str, str]]:
    """Say what is wrong, and what to do about it."""
    version = facts.docker.version if facts.docker else facts.versions.get("docker", "")
    if new := too_new(version):
        yield new, "install Docker 20.10 (Debian 12's docker.io), or take another host"
    if facts.docker and facts.docker.swarm not in {"inactive", ""}:
        yield (
            f"Docker is in swarm mode ({facts.docker.swarm}), which excludes a cluster store",
            "docker swarm leave --force",
        )
    try:
        theirs = etcd.read_daemon_json(facts.content(etcd.DAEMON_JSON), host.name)
    except ClusterctlError as error:
        yield error.message.removeprefix(f"{host.name}: "), error.hint
        return
    recorded = f"files{etcd.DAEMON_JSON}" in facts.records or f"files{etcd.DAEMON_JSON}.absent" in facts.records
    if "cluster-store" in theirs and not recorded:
        yield (
            f"{etcd.DAEMON_JSON} already names the cluster store {theirs['cluster-store']}",
            "that daemon belongs to another cluster: take it out there first",
        )

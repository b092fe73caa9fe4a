"""The whole lab on one page: what happens, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.phases import (
    certificates,
    containers,
    docker,
    etcd,
    hostname,
    images,
    networks,
    packages,
    preflight,
    records,
    rotation,
    snapshots,
    tarballs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterctl.model.lab import Lab
    from clusterctl.plan.phase import Phase
    from clusterctl.providers import Provider
    from clusterctl.stores.certificates import Authority
    from clusterctl.stores.snapshot import Snapshot


def up(provider: Provider, authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From machines to a lab."""
    return [*_ready(provider, authority), *_joined(authority)]


def _ready(provider: Provider, authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From machines to hosts that have all they need."""
    return [*provider.up, *_prepared(authority)]


def _prepared(authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From hosts that answer to hosts that have all they need."""
    return [
        preflight.Preflight(),
        tarballs.FetchTarballs(),
        packages.InstallPackages(),
        tarballs.InstallTarballs(),
        hostname.NameHosts(),
        certificates.IssueCertificates(authority),
    ]


def _joined(authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From hosts that have all they need to a lab."""
    return [
        *_cluster(authority),
        # What another playbook left goes first.
        containers.ClearContainers(),
        networks.ClearNetworks(),
        *_fit(),
        *build_lesson(),
    ]


def build_lesson() -> list[Phase[Lab]]:
    """From a cluster with the images on it to what the playbook says."""
    return [networks.CreateNetworks(), containers.RunContainers()]


def before_lesson(provider: Provider, authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From machines to a cluster with nothing on it but the playbook's images."""
    return [
        *_ready(provider, authority),
        *_cluster(authority),
        containers.RemoveContainers(),
        networks.RemoveNetworks(),
        *_fit(),
    ]


def _fit() -> list[Phase[Lab]]:
    """From a cluster to one that networks and containers can be made on."""
    return [docker.RetrieveThreads(), images.ProvideImages(), docker.SeePeers()]


def _cluster(authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From hosts that have all they need to one cluster."""
    return [
        etcd.StartEtcd(authority),
        etcd.JoinMembers(authority),
        rotation.RenewDaemons(authority),
        docker.JoinStore(),
        rotation.LetFormerGo(authority),
        etcd.DrainMembers(),
        docker.LoseNetworks(),
    ]


def by_hand(authority: Callable[[], Authority]) -> list[Phase[Lab]]:
    """From hosts that answer to a lab: what a person can do as well."""
    return [*_prepared(authority), *_joined(authority)]


def add_member(provider: Provider, authority: Callable[[], Authority], host: str) -> list[Phase[Lab]]:
    """Make a member of the store of one host of the inventory."""
    return [*_ready(provider, authority), etcd.JoinMembers(authority, only=host)]


def remove_member(name: str) -> list[Phase[Lab]]:
    """Take one member out of the store."""
    return [etcd.RemoveOne(name)]


def replace_member(provider: Provider, authority: Callable[[], Authority], host: str) -> list[Phase[Lab]]:
    """Take one member out of the store, its data with it, and let it join as a new one."""
    return [etcd.RemoveOne(host, missing_ok=True), *add_member(provider, authority, host)]


def snapshot(file: str) -> list[Phase[Lab]]:
    """Save the store into a file."""
    return [snapshots.TakeSnapshot(file)]


def defragment() -> list[Phase[Lab]]:
    """Defragment the store, member by member."""
    return [etcd.DefragmentMembers()]


def restore(
    provider: Provider,
    authority: Callable[[], Authority],
    taken: Snapshot,
    now: Mapping[str, str] | None,
    *,
    force: bool,
) -> list[Phase[Lab]]:
    """Put a snapshot in the place of what the store holds, then complete the lab on it."""
    return [
        snapshots.CheckSnapshot(taken, now, force=force),
        *_ready(provider, authority),
        snapshots.ClearStore(),
        etcd.StartEtcd(authority),
        snapshots.LoadSnapshot(taken),
        *_joined(authority),
    ]


def clear() -> list[Phase[Lab]]:
    """Put the hosts back to what they were; every step is decided from marks and records on the hosts."""
    return [
        *clear_lesson(),
        docker.LeaveStore(),
        etcd.RemoveEtcd(),
        hostname.RestoreHostnames(),
        tarballs.RemoveTarballs(),
        packages.RemovePackages(),
        records.ForgetRecords(),
    ]


def clear_by_hand() -> list[Phase[Lab]]:
    """Put the hosts back to what they were; what was installed stays, as a person knows what for."""
    return [
        *clear_lesson(),
        docker.LeaveStore(),
        etcd.RemoveEtcd(),
        hostname.RestoreHostnames(),
        records.ForgetRecords(),
    ]


def clear_lesson() -> list[Phase[Lab]]:
    """Take away what the playbook put on the cluster, and leave the cluster."""
    return [containers.RemoveContainers(), networks.RemoveNetworks(), images.RemoveImages()]

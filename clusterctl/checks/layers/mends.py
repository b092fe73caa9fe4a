"""Mends that more than one layer has use for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.commands.docker import UNDER_CONTAINERS, restart_under_containers
from clusterctl.model.errors import ClusterctlError
from clusterctl.plan.action import Run
from clusterctl.stores.etcd import DAEMON_JSON, read_daemon_json

if TYPE_CHECKING:
    from clusterctl.model.facts import HostFacts
    from clusterctl.plan.action import Action

RESTART = "systemctl restart docker"


def restart_docker(host: HostFacts) -> list[Action]:
    """Return what makes Docker learn anew what the store says; its containers run on.

    Nothing where its settings cannot be read, or where it would not find the containers' networks again.
    """
    if host.aged:
        return []
    try:
        settings = read_daemon_json(host.content(DAEMON_JSON), host.name)
    except ClusterctlError:
        return []
    return [Run(host=host.name, title=UNDER_CONTAINERS, command=restart_under_containers(settings))]

"""The phases, a file each: what is decided, and in the same file how it is taken back."""

from __future__ import annotations

from clusterctl.stores import etcd as store
from clusterctl.stores import releases

HOST_FILES = (
    "/etc/hosts",
    "/etc/hostname",
    store.UNIT_FILE,
    store.CONFIG,
    store.WAL,
    store.CA,
    store.MEMBER_CERT,
    store.MEMBER_KEY,
    store.DOCKER_CERT,
    store.DOCKER_KEY,
    store.DAEMON_JSON,
    store.DROP_IN,
    releases.SERVICE,
    releases.SOCKET,
    *(kind.marker for kind in releases.KINDS),
)
"""The files that phases decide from."""

HOST_UNITS = ("docker.service", "docker.socket", store.UNIT, "etcd.service")
"""The units that phases decide from."""

MEMBER_UNIT = store.UNIT
"""The unit of a member of the cluster store."""

"""The phases, a file each: what is decided, and in the same file how it is taken back."""

from __future__ import annotations

from clusterctl.stores import etcd

HOST_FILES = (
    "/etc/hosts",
    "/etc/hostname",
    etcd.UNIT_FILE,
    etcd.CONFIG,
    etcd.CA,
    etcd.MEMBER_CERT,
    etcd.MEMBER_KEY,
    etcd.DOCKER_CERT,
    etcd.DOCKER_KEY,
    etcd.DAEMON_JSON,
    etcd.DROP_IN,
)
"""The files that phases decide from."""

HOST_UNITS = ("docker.service", "docker.socket", etcd.UNIT, "etcd.service")
"""The units that phases decide from."""

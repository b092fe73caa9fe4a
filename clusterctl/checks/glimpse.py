"""What `status` asks a host first. By itself, so that it is on its way before the layers are imported."""

from __future__ import annotations

from clusterctl.commands.anatomy import glance
from clusterctl.stores import etcd

GLIMPSE = glance(
    (
        etcd.CA,
        etcd.MEMBER_CERT,
        etcd.MEMBER_KEY,
        etcd.DOCKER_CERT,
        etcd.DOCKER_KEY,
        etcd.CONFIG,
        etcd.DAEMON_JSON,
    ),
    ("docker.service", etcd.UNIT),
)

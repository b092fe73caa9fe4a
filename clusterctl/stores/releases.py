"""Docker and etcd as released in tarballs: what is in them, where it is put, the units that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from clusterctl.model.inventory import Role
from clusterctl.stores.etcd import LAST_DOCKER, LAST_ETCD

FOLDER = "/opt/clusterctl"
"""Where on a host it all is."""
SERVICE, SOCKET = "/etc/systemd/system/docker.service", "/etc/systemd/system/docker.socket"

SERVICE_TEXT = f"""\
# Written by clusterctl.
[Unit]
Description=Docker Application Container Engine
Documentation=https://docs.docker.com
After=network-online.target docker.socket
Wants=network-online.target
Requires=docker.socket

[Service]
Type=notify
Environment=PATH={FOLDER}/docker:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart={FOLDER}/docker/dockerd -H fd://
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutStartSec=0
Restart=always
RestartSec=2
StartLimitBurst=3
StartLimitIntervalSec=60
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
Delegate=yes
KillMode=process
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
"""

# Root's alone: a group that may use Docker is root as well, and nobody has asked for one.
SOCKET_TEXT = """\
# Written by clusterctl.
[Unit]
Description=Docker's socket

[Socket]
ListenStream=/run/docker.sock
SocketMode=0660
SocketUser=root
SocketGroup=root

[Install]
WantedBy=sockets.target
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A program that comes as a tarball.

    main: the daemon, which is looked for. programs: what must be in the tarball's one top folder.
    linked: what is to be on everybody's PATH. last: the last release with what a cluster store needs.
    """

    name: str
    role: Role
    main: str
    programs: tuple[str, ...]
    linked: tuple[str, ...]
    last: tuple[int, int]

    @property
    def marker(self) -> str:
        """The file that says which tarball is unpacked; it comes with the programs in one rename."""
        return f"{FOLDER}/{self.name}/.sha256"

    @property
    def record(self) -> str:
        """The name of the note on the host."""
        return f"tarballs/{self.name}"


DOCKER = Kind(
    "docker",
    Role.DOCKER,
    "dockerd",
    ("dockerd", "docker", "containerd", "containerd-shim-runc-v2", "runc", "docker-proxy"),
    ("docker", "dockerd"),
    LAST_DOCKER,
)
ETCD = Kind("etcd", Role.ETCD, "etcd", ("etcd", "etcdctl"), ("etcdctl", "etcd"), LAST_ETCD)
KINDS = (ETCD, DOCKER)

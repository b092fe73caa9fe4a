"""The nodes' root folder: which packages, and what a node needs not to do when it boots."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.commands import mmdebstrap
from clusterctl.providers.local.names import ROOTS

if TYPE_CHECKING:
    from clusterctl.plan.command import Command

PACKAGES = (
    "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "iptables", "iputils-ping", "docker.io",
    "etcd-server", "etcd-client", "busybox-static", "tcpdump", "curl", "ca-certificates", "ethtool", "procps",
    "kmod",
)  # fmt: skip

BARE = ("systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps", "kmod")
"""What a machine has on which nothing was installed yet."""

BARE_TOOLS = frozenset({"nsenter", "bridge", "hostnamectl", "apt-get", "sysctl"})
TOOLS = BARE_TOOLS | {
    "docker", "dockerd", "etcd", "etcdctl", "tcpdump", "busybox", "iptables", "update-ca-certificates", "user:etcd",
}  # fmt: skip
"""The programs that hosts are looked over for, as they are in the root."""

SUITES: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "bookworm": ("12", (), {"docker": "20.10.24", "etcd": "3.4.23"}),
    # Debian 13 has Docker's command line in a package of its own.
    "trixie": ("13", ("docker-cli",), {"docker": "26.1.5", "etcd": "3.5.16"}),
}
"""By suite: Debian's version, further packages, the versions in it."""

OFF = ("docker.service", "docker.socket", "etcd.service")
"""What Debian starts by itself and clusterctl wants to start when it is configured."""

MASKED = (
    # Housekeeping of a machine that lives for months.
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "systemd-pstore.service", "systemd-tmpfiles-clean.timer",
    # Nobody sits in front of a node.
    "getty.target", "getty-static.service", "console-getty.service", "getty@.service",
    "serial-getty@.service", "systemd-ask-password-wall.path", "systemd-ask-password-console.path",
    "systemd-logind.service", "dbus-org.freedesktop.login1.service",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    # The kernel, its modules, its file systems and the network are the machine's.
    "modprobe@.service", "systemd-modules-load.service", "kmod-static-nodes.service",
    "systemd-networkd.service", "systemd-networkd-wait-online.service", "systemd-resolved.service",
    "systemd-timesyncd.service", "systemd-udevd.service", "dev-hugepages.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount", "systemd-remount-fs.service",
    # Everything is there already: users, folders, the journal's place.
    "systemd-sysusers.service", "systemd-firstboot.service", "systemd-machine-id-commit.service",
    "systemd-journal-flush.service", "ldconfig.service", "systemd-binfmt.service",
)  # fmt: skip
"""What a node neither needs nor can do; each of it costs time before sshd may start."""

# "$1" is the root. A unit's own folder is found by name: not each of them exists in each suite.
_CUSTOMIZE = f"""\
set -eu; cd "$1"
chroot "$1" systemctl --quiet disable {" ".join(OFF)}
chroot "$1" systemctl --quiet mask {" ".join(MASKED)} 2>/dev/null
mkdir -p etc/systemd/system/containerd.service.d etc/systemd/journald.conf.d
printf '[Unit]\\nAfter=ssh.service\\n' > etc/systemd/system/containerd.service.d/10-after-ssh.conf
printf '[Journal]\\nStorage=volatile\\nRuntimeMaxUse=64M\\n' > etc/systemd/journald.conf.d/10-volatile.conf
rm -f etc/ssh/ssh_host_* etc/resolv.conf
: > etc/machine-id; echo debian > etc/hostname; printf '127.0.0.1 localhost\\n' > etc/hosts\
"""

_BARE_CUSTOMIZE = _CUSTOMIZE.replace(" etc/systemd/system/containerd.service.d", "")
_BARE_CUSTOMIZE = "\n".join(x for x in _BARE_CUSTOMIZE.splitlines() if "disable" not in x and "containerd" not in x)

_OPTIONS = (
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the root of one suite is built. Another recipe is another root: none is ever changed in place.

    bare: without Docker, etcd and what else the lab needs.
    """

    suite: str
    bare: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages asked for."""
        return BARE if self.bare else (*PACKAGES, *SUITES[self.suite][1])

    @property
    def tools(self) -> frozenset[str]:
        """The programs in it, of those that hosts are looked over for."""
        return BARE_TOOLS if self.bare else TOOLS

    @property
    def path(self) -> str:
        """Where the built root is kept."""
        digest = hashlib.sha256(repr((self.packages, self._options)).encode()).hexdigest()[:12]
        return f"{ROOTS}/{self.suite}{'-bare' if self.bare else ''}-{digest}"

    @property
    def _options(self) -> tuple[str, ...]:
        return (*_OPTIONS, f"--customize-hook={_BARE_CUSTOMIZE if self.bare else _CUSTOMIZE}")

    @property
    def version(self) -> str:
        """Debian's version number."""
        return SUITES[self.suite][0]

    @property
    def versions(self) -> dict[str, str]:
        """The versions of Docker and etcd in it."""
        return {} if self.bare else dict(SUITES[self.suite][2])

    def build(self) -> Command:
        """Return the command that builds it."""
        return mmdebstrap.build(self.path, self.suite, self.packages, self._options)

"""etcd on the hosts that have the role, as one cluster, with the v2 API that Docker needs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.commands import systemd
from clusterctl.model.facts import Unit
from clusterctl.model.inventory import Role
from clusterctl.plan.action import Run, WaitFor, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop, Section, steps
from clusterctl.stores import etcd, releases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.door import Door
    from clusterctl.stores.certificates import Authority

JOURNAL = f"journalctl -u {etcd.UNIT} -n 50"
NEEDS_RESTART_FOR = (etcd.UNIT_FILE, etcd.CONFIG, etcd.CA, etcd.MEMBER_CERT, releases.ETCD.marker)


@dataclass(frozen=True)
class EtcdHealthy:
    """etcd says that it is healthy, and its v2 API answers; /health alone proves nothing for Docker."""

    address: str

    def look(self, door: Door) -> tuple[bool, str]:
        """Ask both."""
        health = door.etcd.health()
        return health.healthy and health.v2, health.reason or "healthy, v2 answers"

    def shell(self) -> str:
        """Return the two questions as curl would ask them."""
        tls = f"--cacert {etcd.CA} --cert {etcd.MEMBER_CERT} --key {etcd.MEMBER_KEY}"
        base = f"https://{self.address}:{etcd.CLIENT_PORT}"
        return f"curl -fsS {tls} {base}/health\ncurl -fsS {tls} {base}/v2/keys/"


def stale(found: HostFacts) -> bool:
    """Whether a file that etcd reads at its start is younger than the running etcd."""
    started = found.unit(etcd.UNIT).started
    return any(f.modified > started for p in NEEDS_RESTART_FOR if (f := found.file(p)))


class StartEtcd:
    """Start etcd as one cluster."""

    title = "Start etcd as one cluster"
    reads = frozenset({Section.HOST})

    def __init__(self, authority: Callable[[], Authority]) -> None:
        self._authority = authority

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write what differs; start or restart where it does not run with what is written."""
        members = lab.with_role(Role.ETCD)
        # A token of its own for each CA: members of an earlier cluster of that name cannot be mistaken.
        token = f"{lab.name}-{self._authority().fingerprint}"
        for host in members:
            found = facts.hosts[host.name]
            actions: list[Action] = []
            for title, path, content in (
                ("write etcd's settings", etcd.CONFIG, etcd.config(host, members, token)),
                ("write etcd's unit", etcd.UNIT_FILE, etcd.unit(lab.name)),
            ):
                if found.content(path) != content:
                    actions.append(WriteFile(host=host.name, title=title, path=path, content=content))
            running = found.unit(etcd.UNIT).active == "active"
            if actions or not running or stale(found):
                actions.append(
                    Run(
                        host=host.name,
                        title="restart etcd" if running else "start etcd",
                        command=systemd.enable_and_restart(etcd.UNIT),
                        hint=JOURNAL,
                        together=True,  # a member counts as started once a majority is
                        effect=lambda f: f.with_unit(
                            etcd.UNIT, Unit(active="active", enabled="enabled", started=time.time() + 1)
                        ),
                    )
                )
                actions.append(
                    WaitFor(
                        host=host.name,
                        title="wait until etcd is healthy",
                        condition=EtcdHealthy(host.cluster_address),
                        within=60,
                        hint=JOURNAL,
                    )
                )
            yield from steps(actions, host.name, f"etcd {found.versions.get('etcd', '')} runs with these settings")


class RemoveEtcd:
    """Stop etcd and take its settings, its keys and its data away."""

    title = "Remove etcd"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove wherever a trace of it is, whatever the inventory says now."""
        for name, found in facts.hosts.items():
            ours = any(p.startswith(etcd.FOLDER) or p == etcd.UNIT_FILE for p in found.files)
            if not ours and not found.unit(etcd.UNIT).loaded:
                yield Noop(name, "no etcd of ours")
                continue
            if found.unit(etcd.UNIT).loaded:
                # A way down that was cut short may have removed the file already; then there is nothing to disable.
                end = systemd.disable_and_kill if found.file(etcd.UNIT_FILE) else systemd.stop
                yield Run(host=name, title="stop etcd", command=end(etcd.UNIT))
            yield Run(
                host=name,
                title="remove etcd's settings, keys and data",
                command=command("rm", "-rf", etcd.UNIT_FILE, etcd.FOLDER, etcd.DATA),
            )
            yield Run(host=name, title="make systemd forget the unit", command=systemd.forget(etcd.UNIT))

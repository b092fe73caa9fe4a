"""The store into a file, and back: into a cluster that is founded anew, before any daemon sees it."""

from __future__ import annotations

import datetime
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.commands import systemd
from clusterctl.model.errors import HostError, Reason, Refused
from clusterctl.model.facts import StoreFacts, Unit
from clusterctl.model.inventory import Role
from clusterctl.phases.etcd import anchor, check_majority
from clusterctl.plan.action import Action, Run
from clusterctl.plan.command import script
from clusterctl.plan.phase import Noop, Section
from clusterctl.stores import etcd, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import Door

_KEYS = f"curl -fsS --cacert {etcd.CA} --cert {etcd.MEMBER_CERT} --key {etcd.MEMBER_KEY} https://127.0.0.1:{etcd.CLIENT_PORT}/v2/keys"

# "$1" the unit, "$2" the data. Without a farewell: nothing of the member is to stay.
_END = """\
systemctl stop --no-block "$1" 2>/dev/null; systemctl kill --signal=KILL "$1" 2>/dev/null
systemctl stop "$1" 2>/dev/null; systemctl reset-failed "$1" 2>/dev/null; rm -rf "$2\""""


@dataclass(frozen=True, kw_only=True)
class Save(Action):
    """Write the store's keys into a file of this machine, whole or not at all; all are of one moment."""

    file: str
    lab: str
    version: str

    def shell(self) -> str:
        """Return how a person would read them."""
        return f"{_KEYS}/?recursive=true > {shlex.quote(self.file)}"

    def perform(self, door: Door) -> str:
        """Read and write them."""
        keys = snapshot.lasting(door.etcd.keys("/"))
        manifest = snapshot.Manifest(
            lab=self.lab,
            etcd=self.version,
            taken=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            taken_on=self.host,
            members=tuple(m.name or m.peer for m in door.etcd.members()),
            networks=snapshot.networks(keys),
            count=len(keys),
            sha256=snapshot.checksum(keys),
        )
        path = Path(self.file)
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(snapshot.pack(snapshot.Snapshot(manifest, keys)))
        part.replace(path)
        return f"{self.file}: {len(keys)} keys"


class TakeSnapshot:
    """Save the store into a file, by a healthy member; nothing is stopped for it."""

    title = "Take a snapshot of the store"
    reads = frozenset({Section.HOST, Section.STORE})

    def __init__(self, file: str) -> None:
        self._file = file

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused where the store has no majority: what one member holds may be old."""
        check_majority(lab, facts.store or StoreFacts())
        host = anchor(lab, facts)
        version = facts.hosts[host].versions.get("etcd", "")
        yield Save(host=host, title="save the store", file=self._file, lab=lab.name, version=version)


class CheckSnapshot:
    """Check that a snapshot may take the place of what the store holds.

    now: the store's keys, None where it does not answer. force: restore it all the same.
    """

    title = "Check the snapshot"
    reads = frozenset({Section.HOST})

    def __init__(self, taken: snapshot.Snapshot, now: Mapping[str, str] | None, *, force: bool) -> None:
        self._taken, self._now, self._force = taken, now, force

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused with every reason, unless forced; nothing is ever to be done."""
        reasons = [] if self._force else list(self._reasons(lab, facts))
        if reasons:
            raise Refused(reasons)
        yield from ()

    def _reasons(self, lab: Lab, facts: Facts) -> Iterator[Reason]:
        taken, whose = self._taken.manifest, f"lab {lab.name}"
        anyway = "to restore it all the same: --force"
        if taken.lab != lab.name:
            yield Reason(whose, f"the snapshot is of another lab: {taken.lab}", anyway)
        for host in lab.with_role(Role.ETCD):
            version = facts.hosts[host.name].versions.get("etcd", "") if host.name in facts.hosts else ""
            if version and version.split(".")[:2] != taken.etcd.split(".")[:2]:
                yield Reason(host.name, f"the snapshot is of etcd {taken.etcd}, and it has {version}", anyway)
        if self._now is None:
            if any(found.file(etcd.WAL) for found in facts.hosts.values()):
                why = "the store holds data, and does not answer: it may be newer"
                yield Reason(whose, why, f"clusterctl up; {anyway}")
        elif gone := snapshot.lost(self._taken.keys, self._now):
            what = ", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
            yield Reason(whose, f"the store has what the snapshot of {taken.taken} has not: {what}", anyway)


class ClearStore:
    """Stop every daemon, then end every member and remove its data; the cluster is founded anew after it."""

    title = "Clear the store"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Docker first: a daemon must not see its networks go."""
        for host in lab.with_role(Role.DOCKER):
            yield Run(
                host=host.name,
                title="stop Docker",
                command=systemd.stop("docker.service"),
                effect=lambda f: replace(f.with_unit("docker.service", Unit()), docker=None),
            )
        for name, found in facts.hosts.items():
            if found.unit(etcd.UNIT).loaded or found.file(etcd.WAL):
                yield Run(
                    host=name,
                    title="end etcd and remove its data",
                    command=script(_END, etcd.UNIT, f"{etcd.DATA}/member"),
                    turn=1,
                    effect=lambda f: f.with_unit(etcd.UNIT, Unit()).with_file(etcd.WAL, None),
                )
            else:
                yield Noop(name, "no etcd of ours")


@dataclass(frozen=True, kw_only=True)
class Load(Action):
    """Write keys into the store."""

    taken: snapshot.Snapshot

    def shell(self) -> str:
        """Return how a person would write one."""
        return f"{_KEYS}/KEY -XPUT --data-urlencode value=VALUE   # {len(self.taken.keys)} keys"

    def perform(self, door: Door) -> str:
        """Write each, then compare."""
        for key, value in self.taken.keys.items():
            door.etcd.put(key, value)
        if snapshot.lasting(door.etcd.keys("/")) != dict(self.taken.keys):
            raise HostError(self.host, f"{self.title}: the store holds other keys than the snapshot")
        return f"{len(self.taken.keys)} keys"


class LoadSnapshot:
    """Write the snapshot's keys into the store that was founded anew."""

    title = "Restore the snapshot"
    reads = frozenset({Section.HOST})

    def __init__(self, taken: snapshot.Snapshot) -> None:
        self._taken = taken

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write them by the first member: any of them hands a key on to all."""
        host = lab.with_role(Role.ETCD)[0].name
        yield Load(host=host, title="write the snapshot's keys", taken=self._taken)

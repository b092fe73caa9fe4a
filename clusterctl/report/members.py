"""The members of the store beside those of the inventory, as found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clusterctl.model.inventory import Role
from clusterctl.stores import etcd
from clusterctl.stores.etcd import quorum_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clusterctl.model.facts import Member
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import MemberStatus


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member: of the store, of the inventory, or of both.

    host: "" where the inventory has no such member. id: "" where the store has none.
    """

    host: str
    name: str
    id: str
    started: bool
    healthy: bool
    leader: bool
    version: str
    db_bytes: int | None
    raft_index: int | None
    peer: str
    problem: str


@dataclass(frozen=True, slots=True)
class Members:
    """All of them at one moment."""

    lab: str
    members: tuple[MemberRow, ...]
    quorum: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it must be, in words."""
        return tuple(f"{r.host or r.name or r.peer}: {r.problem}" for r in self.members if r.problem)

    def document(self) -> dict[str, Any]:
        """Return them as a JSON-able dict."""
        return {**asdict(self), "problems": list(self.problems)}


def build(lab: Lab, listed: Sequence[Member] | None, answers: Mapping[str, MemberStatus | str]) -> Members:
    """Judge what was read. listed: the store's own list, None where no member gave one."""
    rows = tuple(_rows(lab, listed, answers))
    # The store counts those that it has, whether the inventory knows them or not.
    counted = rows if listed is None else [r for r in rows if r.id]
    return Members(lab.name, rows, quorum_in_words(len(counted), sum(r.healthy for r in counted)))


def _rows(lab: Lab, listed: Sequence[Member] | None, answers: Mapping[str, MemberStatus | str]) -> Iterator[MemberRow]:
    left = {m.peer: m for m in listed or ()}
    for host in lab.with_role(Role.ETCD):
        member = left.pop(etcd.peer(host), None)
        answer = answers.get(host.name, "not asked")
        known = None if isinstance(answer, str) else answer
        why = answer.removeprefix(f"{host.name}: ") if isinstance(answer, str) else ""
        # A member that was removed still answers for a moment, and with what it was.
        problem = "the store has no such member" if listed is not None and member is None else why
        if known and not known.leader:
            problem = "it has no leader"
        yield MemberRow(
            host=host.name,
            name=member.name if member else "",
            id=f"{member.id:x}" if member else "",
            started=bool(member and member.name),
            healthy=not problem,
            leader=bool(known and known.leader == known.id and not problem),
            version=known.version if known else "",
            db_bytes=known.db_bytes if known else None,
            raft_index=known.raft_index if known else None,
            peer=etcd.peer(host),
            problem=problem,
        )
    for member in left.values():
        yield MemberRow(
            host="",
            name=member.name,
            id=f"{member.id:x}",
            started=bool(member.name),
            healthy=False,
            leader=any(a.leader == member.id for a in answers.values() if not isinstance(a, str)),
            version="",
            db_bytes=None,
            raft_index=None,
            peer=member.peer,
            problem="the store has it, the inventory does not",
        )

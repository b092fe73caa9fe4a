"""etcd on the hosts that have the role, as one cluster, with the v2 API that Docker needs.

A cluster is founded by its first members together. From then on the store itself says who its members are:
what a member's settings say of them is read once, when it has no data yet. So a changed inventory restarts
nobody; members come and go one at a time, by the store's own word.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clusterctl.commands import systemd
from clusterctl.model.errors import HostError, Reason, Refused
from clusterctl.model.facts import File, Member, StoreFacts, Unit
from clusterctl.model.inventory import Role
from clusterctl.phases.certificates import former
from clusterctl.plan.action import Action, Run, WaitFor, WriteFile
from clusterctl.plan.command import command
from clusterctl.plan.phase import Noop, Section, steps
from clusterctl.stores import etcd, releases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import Door
    from clusterctl.stores.certificates import Authority

JOURNAL = f"journalctl -u {etcd.UNIT} -n 50"

NEEDS_RESTART_FOR = (etcd.UNIT_FILE, etcd.CONFIG, etcd.CA, releases.ETCD.marker)
"""Not for a member's own certificate and key: etcd reads them anew for every connection."""

OF_A_MEMBER = (etcd.UNIT_FILE, etcd.CONFIG, etcd.MEMBER_CERT, etcd.MEMBER_KEY, etcd.DATA)

_TLS = f"--cacert {etcd.CA} --cert {etcd.MEMBER_CERT} --key {etcd.MEMBER_KEY}"


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
        base = f"https://{self.address}:{etcd.CLIENT_PORT}"
        return f"curl -fsS {_TLS} {base}/health\ncurl -fsS {_TLS} {base}/v2/keys/"


@dataclass(frozen=True, kw_only=True)
class _Reconfigure(Action):
    """A change of the members. etcd refuses it until all of them have been connected for five seconds."""

    within: float = 30.0

    def ask(self, door: Door) -> str:
        """Ask for it once. Returns what came of it."""
        raise NotImplementedError

    def perform(self, door: Door) -> str:
        """Ask until etcd agrees; what is wrong for another reason is said at once."""
        deadline = time.monotonic() + self.within
        while True:
            try:
                return self.ask(door)
            except HostError as error:
                waits = any(w in error.message for w in ("unhealthy cluster", "not enough started members", "leader"))
                if not waits or time.monotonic() >= deadline:
                    raise
            time.sleep(0.5)


@dataclass(frozen=True, kw_only=True)
class AddMember(_Reconfigure):
    """Make a host a member, by another member's door. It counts for the majority at once, before it runs."""

    peer: str

    def shell(self) -> str:
        """Return it as etcdctl would be told."""
        return f"ETCDCTL_API=3 etcdctl {_TLS} member add {self.host} --peer-urls={self.peer}"

    def ask(self, door: Door) -> str:
        """Add it."""
        return f"member {door.etcd.add_member(self.peer):x}"

    def predict(self, facts: Facts) -> Facts:
        """Return the facts with one more member, which has not started."""
        return _with_members(facts, lambda m: (*m, Member(0, "", self.peer)))


@dataclass(frozen=True, kw_only=True)
class RemoveMember(_Reconfigure):
    """Remove a member, by another member's door; where it still runs, it ends by itself."""

    id: int

    def shell(self) -> str:
        """Return it as etcdctl would be told."""
        return f"ETCDCTL_API=3 etcdctl {_TLS} member remove {self.id:x}"

    def ask(self, door: Door) -> str:
        """Remove it."""
        door.etcd.remove_member(self.id)
        return f"member {self.id:x} is gone"

    def predict(self, facts: Facts) -> Facts:
        """Return the facts without the member."""
        return _with_members(facts, lambda m: tuple(x for x in m if x.id != self.id))


def _with_members(facts: Facts, change: Callable[[tuple[Member, ...]], tuple[Member, ...]]) -> Facts:
    store = facts.store or StoreFacts()
    return replace(facts, store=replace(store, lists={h: change(store.members) for h in store.healthy}))


def stale(found: HostFacts) -> bool:
    """Whether a file that etcd reads at its start is younger than the running etcd."""
    started = found.unit(etcd.UNIT).started
    return any(f.modified > started for p in NEEDS_RESTART_FOR if (f := found.file(p)))


def runs(found: HostFacts) -> bool:
    """Whether a member runs on the host."""
    return found.unit(etcd.UNIT).active == "active"


def token_of(lab: Lab, authority: Authority) -> str:
    """Return the name of a cluster that is founded now: members of an earlier one cannot be mistaken for its own."""
    return f"{lab.name}-{authority.fingerprint}"


def _started(found: HostFacts) -> HostFacts:
    unit = Unit(active="active", enabled="enabled", started=time.time() + 1)
    return found.with_unit(etcd.UNIT, unit).with_file(etcd.WAL, File("", 0o700, "etcd:etcd"))


def _write(lab: Lab, host: Host, found: HostFacts, config: str) -> Iterator[Action]:
    for title, path, content in (
        ("write etcd's settings", etcd.CONFIG, config),
        ("write etcd's unit", etcd.UNIT_FILE, etcd.unit(lab.name)),
    ):
        if found.content(path) != content:
            yield WriteFile(host=host.name, title=title, path=path, content=content)


def start(host: Host, title: str) -> Iterator[Action]:
    """Start a host's member anew, and wait until it is well."""
    yield Run(
        host=host.name,
        title=title,
        command=systemd.enable_and_restart(etcd.UNIT),
        hint=JOURNAL,
        together=True,  # a member counts as started once a majority is
        effect=_started,
    )
    yield WaitFor(
        host=host.name,
        title="wait until etcd is healthy",
        condition=EtcdHealthy(host.cluster_address),
        within=60,
        hint=JOURNAL,
    )


def _in_turn(actions: Sequence[Action], turn: int) -> list[Action]:
    return [replace(a, turn=turn) for a in actions]


class StartEtcd:
    """Found the cluster, or start the members that it has; who is to join it comes later."""

    title = "Start etcd as one cluster"
    reads = frozenset({Section.HOST, Section.STORE})

    def __init__(self, authority: Callable[[], Authority]) -> None:
        self._authority = authority

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Write what differs; start or restart where it does not run with what is written.

        Members that run and are well are restarted one after the other, so that the majority is kept.
        """
        authority = self._authority()
        token = token_of(lab, authority)
        founders = _founders(lab, facts)
        # While the CA changes this machine's certificate is of the new one, so that no member lets it ask yet.
        changes = former(lab, facts, authority, datetime.datetime.now(datetime.UTC))
        all_run = all(runs(facts.hosts[h.name]) for h in lab.with_role(Role.ETCD))
        turn = 0
        for host in lab.with_role(Role.ETCD):
            found = facts.hosts[host.name]
            peer = etcd.peer(host)
            left = bool(facts.store and facts.store.members and not facts.store.member(peer))
            if left or (not found.file(etcd.WAL) and peer not in founders):
                yield Noop(host.name, "it is to join the store")
                continue
            config = etcd.config(host, founders or etcd.cluster(lab.with_role(Role.ETCD)), token)
            if found.file(etcd.WAL) and etcd.fits(found.content(etcd.CONFIG), config):
                config = found.content(etcd.CONFIG)
            actions = list(_write(lab, host, found, config))
            if actions or not runs(found) or stale(found):
                actions += start(host, "restart etcd" if runs(found) else "start etcd")
                # One that trusts another CA than its peers, and not theirs as well, is alone until they do so too.
                trusts = found.file(etcd.CA)
                gently = trusts is not None and trusts.modified <= found.unit(etcd.UNIT).started
                gently = gently and facts.store is not None and bool(facts.store.healthy)
                if runs(found) and (gently or (changes and all_run)):
                    turn += 1
                    actions = _in_turn(actions, turn)
            yield from steps(actions, host.name, f"etcd {found.versions.get('etcd', '')} runs with these settings")


def _founders(lab: Lab, facts: Facts) -> Mapping[str, str]:
    """Return who founds the cluster, names by peer URL; empty once it is founded.

    Where a run was cut short meanwhile, the first settings of those that started say who was to.
    """
    if facts.store and facts.store.healthy:
        return {}
    hosts = [(h, facts.hosts[h.name]) for h in lab.with_role(Role.ETCD)]
    born = [found for _, found in hosts if found.file(etcd.WAL)]
    if not born:
        return etcd.cluster(h for h, _ in hosts)
    return next((f for found in born if (f := etcd.founders(found.content(etcd.CONFIG)))), {})


class JoinMembers:
    """Let hosts of the inventory join the store, one at a time; first the dead and those that it no longer has go.

    only: the one host that is to join; every other member is left alone.
    """

    title = "Make members of the hosts that are not yet"
    reads = frozenset({Section.HOST, Section.STORE})

    def __init__(self, authority: Callable[[], Authority], only: str = "") -> None:
        self._authority, self._only = authority, only

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Add what the store lacks. Raises Refused where the store or a host forbids it."""
        store, wanted = facts.store, lab.with_role(Role.ETCD)
        joining = [h for h in wanted if self._only in ("", h.name)]
        if store is None and not self._only:
            yield from (Noop(h.name, "it founds the store") for h in wanted)
            return
        store = store or StoreFacts({h.name: "etcd does not run" for h in wanted})
        self._check(lab, facts, store, joining)
        names = {m.peer: m.name for m in store.members} | {
            etcd.peer(h): h.name for h in wanted if store.member(etcd.peer(h))
        }
        door = anchor(lab, facts)
        turn = 0
        by_peer = {etcd.peer(h): h for h in lab.inventory.hosts.values()}
        for member in store.members:
            host = by_peer.get(member.peer)
            # One whose host is known and well may leave later, when others have taken its place.
            if self._only or host in wanted or (host and host.name in store.healthy):
                continue
            turn += 1
            del names[member.peer]
            who = member.name or member.peer
            yield RemoveMember(
                host=host.name if host else door,
                door=door,
                title=f"remove member {who}, which the inventory no longer has",
                id=member.id,
                turn=turn,
            )
        for host in joining:
            actions = list(self._join(lab, host, facts, names, door))
            turn += bool(actions)
            yield from steps(_in_turn(actions, turn), host.name, "it is a member")

    def _join(self, lab: Lab, host: Host, facts: Facts, names: dict[str, str], door: str) -> Iterator[Action]:
        found, peer = facts.hosts[host.name], etcd.peer(host)
        member = facts.store.member(peer) if facts.store else None
        if member and found.file(etcd.WAL):
            return
        if found.file(etcd.WAL):
            # It was a member once: what it holds is an old copy, and etcd would not start on it.
            yield wipe(host.name)
        if member and member.name:
            yield RemoveMember(
                host=host.name, door=door, title=f"remove member {host.name}, whose data is gone", id=member.id
            )
            member = None
        names[peer] = host.name
        if member is None:
            yield AddMember(host=host.name, door=door, title="add it to the store's members", peer=peer)
        token = token_of(lab, self._authority())
        yield from _write(lab, host, found, etcd.config(host, names, token, "existing"))
        yield from start(host, "start etcd as a member of the cluster")

    def _check(self, lab: Lab, facts: Facts, store: StoreFacts, joining: Sequence[Host]) -> None:
        check_majority(lab, store)
        ours = {token_of(lab, self._authority())}
        ours |= {
            str(etcd.read_config(facts.hosts[h.name].content(etcd.CONFIG)).get("initial-cluster-token"))
            for h in lab.with_role(Role.ETCD)
            if store.member(etcd.peer(h))
        }
        reasons = []
        for host in joining:
            found = facts.hosts[host.name]
            if store.member(etcd.peer(host)) or not found.file(etcd.WAL):
                continue
            token = str(etcd.read_config(found.content(etcd.CONFIG)).get("initial-cluster-token"))
            if host.name in store.healthy or token not in ours:
                reasons.append(
                    Reason(
                        host.name,
                        "its etcd belongs to another cluster",
                        f"if its data may go: clusterctl etcd replace {host.name}",
                    )
                )
        new = [h.name for h in joining if not facts.hosts[h.name].file(etcd.WAL) and not store.member(etcd.peer(h))]
        ill = [
            h.name
            for h in lab.with_role(Role.ETCD)
            if h.name not in store.healthy and facts.hosts[h.name].file(etcd.WAL) and store.member(etcd.peer(h))
        ]
        if new and ill:
            hint = f"start it (clusterctl up), or: clusterctl etcd replace {ill[0]}"
            message = f"member {ill[0]} is not well: one more would leave the store without a majority until it runs"
            reasons.append(Reason(new[0], message, hint))
        if reasons:
            raise Refused(reasons)


def check_majority(lab: Lab, store: StoreFacts) -> None:
    """Raise Refused where no majority of the members answers: nobody can change them then."""
    if not store.members:
        said = "; ".join(f"{h}: {why}" for h, why in store.answers.items())
        hint = "start the hosts of the missing members, or: clusterctl etcd restore SNAPSHOT"
        raise Refused([Reason(f"lab {lab.name}", f"the store has no majority ({said})", hint)])


def why_to_stay(lab: Lab, store: StoreFacts, member: Member) -> str:
    """Return why a member must not be removed, "" when it may."""
    rest = [m for m in store.members if m.id != member.id]
    if not rest:
        return "it is the last member: the networks of all daemons would go with it"
    well = {etcd.peer(h) for h in lab.inventory.hosts.values() if h.name in store.healthy}
    healthy = sum(m.peer in well for m in rest)
    if healthy < len(rest) // 2 + 1:
        return f"the store would lose its majority: of the {len(rest)} members that remain {healthy} would be healthy"
    return ""


class RemoveOne:
    """Remove one member by its name, and what is of it on its host where the inventory has that.

    missing_ok: one that is no member is none to refuse for; what is of an etcd on the host goes all the same.
    """

    title = "Remove a member"
    reads = frozenset({Section.HOST, Section.STORE})

    def __init__(self, name: str, *, missing_ok: bool = False) -> None:
        self._name, self._missing_ok = name, missing_ok

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove it. Raises Refused where the others would be no majority."""
        store = facts.store or StoreFacts()
        check_majority(lab, store)
        host = lab.inventory.hosts.get(self._name)
        peer = etcd.peer(host) if host else ""
        member = store.member(peer) or next((m for m in store.members if m.name == self._name and not host), None)
        if member is None and not self._missing_ok:
            known = ", ".join(m.name or m.peer for m in store.members)
            raise Refused([Reason(self._name, "the store has no such member", f"its members: {known}")])
        if member and (why := why_to_stay(lab, store, member)):
            hint = "clusterctl down takes the whole lab away" if len(store.members) == 1 else "clusterctl etcd members"
            raise Refused([Reason(self._name, why, hint)])
        if host and host.name in facts.hosts:
            yield from leave(lab, host.name, peer, facts)
        elif member:
            door = anchor(lab, facts, without=self._name)
            yield RemoveMember(host=door, door=door, title=f"remove member {self._name}", id=member.id)


def anchor(lab: Lab, facts: Facts, *, without: str = "") -> str:
    """Return the host whose member is asked to change the cluster: a healthy one, of the inventory's first."""
    store = facts.store or StoreFacts()
    peers = {m.peer for m in store.members}
    can = [
        h
        for h in lab.inventory.hosts.values()
        if h.name in store.healthy and etcd.peer(h) in peers and h.name != without
    ]
    can.sort(key=lambda h: Role.ETCD not in h.roles)
    return can[0].name if can else ""


def wipe(host: str) -> Action:
    """Return the deed that ends a member and takes its data away, its settings not."""
    return Run(
        host=host,
        title="remove the data of its former membership",
        command=command("sh", "-c", f"systemctl stop {etcd.UNIT}; rm -rf {etcd.DATA}/member"),
        effect=lambda f: f.with_file(etcd.WAL, None),
    )


class DrainMembers:
    """Take etcd off the hosts that no longer have the role, one at a time, now that others have taken over."""

    title = "Take etcd off the hosts that are to have none"
    reads = frozenset({Section.HOST, Section.STORE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove the member, then what is of it on the host."""
        turn = 0
        for host in lab.inventory.hosts.values():
            found = facts.hosts[host.name]
            if Role.ETCD in host.roles:
                yield Noop(host.name, "it is to have etcd")
                continue
            if not found.file(etcd.UNIT_FILE) and not found.file(etcd.CONFIG):
                yield Noop(host.name, "no etcd of ours")
                continue
            turn += 1
            yield from _in_turn(list(leave(lab, host.name, etcd.peer(host), facts)), turn)


def leave(lab: Lab, host: str, peer: str, facts: Facts) -> Iterator[Action]:
    """Remove a host's member from the store, then all that is of it on the host but Docker's certificate."""
    found = facts.hosts[host]
    member = facts.store.member(peer) if facts.store else None
    if member:
        door = anchor(lab, facts, without=host)
        yield RemoveMember(host=host, door=door, title=f"remove member {host}", id=member.id)
    if found.unit(etcd.UNIT).loaded:
        end = systemd.disable_and_kill if found.file(etcd.UNIT_FILE) else systemd.stop
        yield Run(host=host, title="stop etcd", command=end(etcd.UNIT), effect=_ended)
    yield Run(
        host=host,
        title="remove etcd's settings, keys and data",
        command=command("rm", "-rf", *OF_A_MEMBER),
        effect=lambda f: replace(f, files={k: v for k, v in f.files.items() if k not in (*OF_A_MEMBER, etcd.WAL)}),
    )
    yield Run(host=host, title="make systemd forget the unit", command=systemd.forget(etcd.UNIT))


def _ended(found: HostFacts) -> HostFacts:
    return found.with_unit(etcd.UNIT, Unit(loaded=False))


@dataclass(frozen=True, kw_only=True)
class Defragment(Action):
    """Give the space of deleted v3 keys back to the disk. The member answers nothing meanwhile."""

    def shell(self) -> str:
        """Return it as etcdctl would be told."""
        return f"ETCDCTL_API=3 etcdctl {_TLS} defrag"

    def perform(self, door: Door) -> str:
        """Do it, and say what came of it."""
        before = door.etcd.status().db_bytes
        door.etcd.defragment()
        return f"{before} bytes before, {door.etcd.status().db_bytes} after"


class DefragmentMembers:
    """Defragment each member in its turn, while the others answer."""

    title = "Defragment the store"
    reads = frozenset({Section.HOST, Section.STORE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Raise Refused where a member is not well: with another one busy there might be no majority."""
        store = facts.store or StoreFacts()
        check_majority(lab, store)
        wanted = lab.with_role(Role.ETCD)
        if ill := [
            Reason(h.name, "its member is not well", "clusterctl up") for h in wanted if h.name not in store.healthy
        ]:
            raise Refused(ill)
        for turn, host in enumerate(wanted):
            yield Defragment(host=host.name, title="defragment", turn=turn)
            yield WaitFor(
                host=host.name,
                title="wait until etcd is healthy",
                condition=EtcdHealthy(host.cluster_address),
                hint=JOURNAL,
                turn=turn,
            )


class RemoveEtcd:
    """Stop etcd and take its settings, its keys and its data away."""

    title = "Remove etcd"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove wherever a trace of it is, whatever the inventory says now."""
        for name, found in facts.hosts.items():
            ours = any(p.startswith((etcd.FOLDER, etcd.DATA)) or p == etcd.UNIT_FILE for p in found.files)
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

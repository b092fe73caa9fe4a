"""Docker on the cluster store: stopped, and started again with the store in its settings."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clusterctl.commands import docker, systemd
from clusterctl.model.errors import ClusterctlError
from clusterctl.model.facts import DockerFacts, Listener, Unit
from clusterctl.model.inventory import Role
from clusterctl.model.playbook import Driver
from clusterctl.phases.containers import mine_on
from clusterctl.plan import files
from clusterctl.plan.action import Run, WaitFor, WriteFile, record
from clusterctl.plan.command import script
from clusterctl.plan.phase import Noop, Section, steps
from clusterctl.stores import etcd, releases, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clusterctl.model.facts import Facts, HostFacts, StoreFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action, Effect
    from clusterctl.plan.door import Door, EtcdDoor

UNIT = "docker.service"
RECORD = "docker.service"
JOURNAL = "journalctl -u docker -n 50"
DEEP = (etcd.DAEMON_JSON, releases.SERVICE, releases.DOCKER.marker)
NEEDS_RESTART_FOR = (etcd.CA, etcd.DOCKER_CERT, *DEEP)

# "$1": a file; its folder goes with it when nothing else is there.
_REMOVE = 'rm -f "$1"; rmdir "$(dirname "$1")" 2>/dev/null || true'
_TYPED_REMOVE = f"rm {etcd.DROP_IN}\nrmdir --ignore-fail-on-non-empty {etcd.DROP_IN.rpartition('/')[0]}"


@dataclass(frozen=True)
class StoreJoined:
    """The daemon reports the store, and the address that it is announced with."""

    store: str
    advertise: str

    def look(self, door: Door) -> tuple[bool, str]:
        """Ask the daemon."""
        found = door.docker.facts()
        seen = f"store {found.store or 'none'}, advertised as {found.advertise or 'nothing'}"
        return (found.store, found.advertise) == (self.store, self.advertise), seen

    def shell(self) -> str:
        """Return how a person would ask."""
        return "docker info | grep -A1 'Cluster Store'"


@dataclass(frozen=True)
class PeersListed:
    """The store lists every daemon under /docker/nodes; a key there lives 60 s after its daemon's last beat."""

    advertised: tuple[str, ...]
    address: str

    def look(self, door: Door) -> tuple[bool, str]:
        """Read the list."""
        listed = announced(door.etcd)
        missing = [a for a in self.advertised if a not in listed]
        return not missing, f"listed: {', '.join(sorted(listed)) or 'none'}"

    def shell(self) -> str:
        """Return how a person would ask."""
        tls = f"--cacert {etcd.CA} --cert {etcd.MEMBER_CERT} --key {etcd.MEMBER_KEY}"
        ask = f"curl -fsS {tls} https://{self.address}:{etcd.CLIENT_PORT}/v2/keys{etcd.NODES.rstrip('/')}"
        return "\n".join(f"{ask} | grep -o {etcd.NODES}{a}" for a in self.advertised)


def announced(store: EtcdDoor) -> frozenset[str]:
    """Return the addresses that dockerds announce in the store. Raises HostError."""
    return frozenset(etcd.announced(store.keys(etcd.NODES.rstrip("/"))))


def kept(store: EtcdDoor) -> tuple[frozenset[str], frozenset[str]]:
    """Return the addresses that dockerds announce in the store, and the networks in it by name. Raises HostError."""
    return announced(store), frozenset(snapshot.networks(store.keys(etcd.NETWORKS.rstrip("/"))))


def stale(found: HostFacts) -> bool:
    """Whether a file that dockerd reads at its start is younger than the running dockerd."""
    return _younger(found, NEEDS_RESTART_FOR)


def _younger(found: HostFacts, paths: Sequence[str]) -> bool:
    started = found.unit(UNIT).started
    return any(f.modified > started for p in paths if (f := found.file(p)))


def _right(host: Host, found: HostFacts, store: str) -> bool:
    """Whether the daemon runs on the store, as the one that it is to be there."""
    daemon = found.docker
    return daemon is not None and daemon.advertise == etcd.advertised(host) and etcd.serves(daemon.store, store)


def _deaf(host: Host, found: HostFacts) -> bool:
    """Whether a daemon on the store has no gossip: it ends for good where another had its name for a while."""
    heard = any(x.port == etcd.GOSSIP_PORT and x.ip == host.cluster_address for x in found.listeners)
    return bool(found.listeners) and not heard


def _joined(host: Host, store: str) -> Effect:
    def effect(facts: HostFacts) -> HostFacts:
        daemon = facts.docker or DockerFacts(version=facts.versions.get("docker", "20.10"))
        daemon = replace(daemon, store=store, advertise=etcd.advertised(host))
        unit = Unit(active="active", started=time.time() + 1)
        gossip = Listener("tcp", host.cluster_address, etcd.GOSSIP_PORT, "dockerd")
        heard = (*facts.listeners, gossip)
        return replace(facts.with_unit(UNIT, unit), docker=daemon, astray=0, aged=False, listeners=heard)

    return effect


def _settled(found: HostFacts, store: str) -> str:
    version = found.versions.get("docker", "")
    reported = found.docker.store if found.docker else store
    if reported == store:
        return f"Docker {version} is on {store}"
    return f"Docker {version} is on {reported} and finds the members itself; it names {store} from its next start on"


class JoinStore:
    """Restart Docker against the cluster store."""

    title = "Restart Docker on the cluster store"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Merge our settings into the user's; restart where the daemon does not run with them."""
        store = etcd.url(lab.with_role(Role.ETCD))
        turn = 0
        for host in lab.with_role(Role.DOCKER):
            found = facts.hosts[host.name]
            actions = list(self._actions(lab, host, found, store))
            if _right(host, found, store) and any(isinstance(a, WaitFor) for a in actions):
                # It serves containers: the next one waits until this one does so again.
                turn += 1
                actions = [replace(a, turn=turn) for a in actions]
            yield from steps(actions, host.name, _settled(found, store))

    def _actions(self, lab: Lab, host: Host, found: HostFacts, store: str) -> Iterator[Action]:
        theirs = etcd.read_daemon_json(found.content(etcd.DAEMON_JSON), host.name)
        ours = etcd.settings(host, lab.with_role(Role.ETCD))
        running = found.unit(UNIT).active == "active"
        right = _right(host, found, store)
        reload = False
        # Without its store's members everything is as it was: a restart would stop the containers for nothing.
        wrote = any(theirs.get(key) != value for key, value in ours.items() if key != "cluster-store")
        if any(theirs.get(key) != value for key, value in ours.items()):
            state = f"{found.unit(UNIT).active} {found.unit(UNIT).enabled}"
            if RECORD not in found.records:
                yield record(host.name, "record how Docker was run", RECORD, state)
            before = found.file(etcd.DAEMON_JSON)
            later = before if before and not wrote and right and running else None
            title = "merge the store into daemon.json"
            if later:
                title = "write the store's members into daemon.json, for Docker's next start"
            yield WriteFile(
                host=host.name,
                title=title,
                path=etcd.DAEMON_JSON,
                content=etcd.merged(theirs, ours),
                mode=before.mode if before else 0o644,
                owner=before.owner if before else "root:root",
                record=True,
            )
            if later:
                yield Run(
                    host=host.name,
                    title="leave its date: Docker need not start anew for it",
                    command=files.date(etcd.DAEMON_JSON, later.modified),
                    effect=lambda f: f.with_file(
                        etcd.DAEMON_JSON, replace(f.files[etcd.DAEMON_JSON], modified=later.modified)
                    ),
                )
        if Role.ETCD in host.roles and found.content(etcd.DROP_IN) != etcd.drop_in():
            yield WriteFile(
                host=host.name,
                title="start Docker after etcd at boot",
                path=etcd.DROP_IN,
                content=etcd.drop_in(),
            )
            reload = True
        elif Role.ETCD not in host.roles and found.file(etcd.DROP_IN):
            yield Run(
                host=host.name,
                title="start Docker without etcd at boot",
                command=script(
                    f"{_REMOVE}; systemctl daemon-reload",
                    etcd.DROP_IN,
                    typed=f"{_TYPED_REMOVE}\nsystemctl daemon-reload",
                ),
                effect=lambda f: f.with_file(etcd.DROP_IN, None),
            )
        restart = wrote or not running or not right or stale(found) or _deaf(host, found)
        if reload and not restart:
            yield Run(host=host.name, title="make systemd read the drop-in", command=systemd.reload_units())
        if restart:
            yield from _restart(host, found, store, {**theirs, **ours})


def _restart(host: Host, found: HostFacts, store: str, theirs: Mapping[str, Any]) -> Iterator[Action]:
    effect = _joined(host, store)
    serves = _right(host, found, store)
    ran = [c.name for c in (found.docker.containers.values() if found.docker else ()) if c.state == "running"]
    # Settings of the user's own and another release concern what containers stand on: they start anew then.
    if serves and not _younger(found, DEEP) and not found.aged:
        ran = []
        command = docker.restart_under_containers(theirs)
        yield Run(host=host.name, title=docker.UNDER_CONTAINERS, command=command, hint=JOURNAL, effect=effect)
    else:
        if found.unit(UNIT).active == "active":
            yield Run(host=host.name, title="stop Docker", command=systemd.stop(UNIT), hint=JOURNAL)
        title, command = "start Docker on the cluster store", systemd.restart(UNIT)
        yield Run(host=host.name, title=title, command=command, hint=JOURNAL, effect=effect)
    yield WaitFor(
        host=host.name,
        title="wait until Docker reports the store",
        condition=StoreJoined(store, etcd.advertised(host)),
        within=60,
        hint=JOURNAL,
    )
    if serves and ran:
        yield Run(host=host.name, title="start again what ran", command=docker.start(ran))


class RetrieveThreads:
    """Restart daemons of which threads are left in networks that are gone; see `HostFacts.astray`."""

    title = "Restart Docker where its threads went astray"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Restart under the running containers, before anything new relies on the daemon."""
        store = etcd.url(lab.with_role(Role.ETCD))
        for host in lab.with_role(Role.DOCKER):
            found = facts.hosts[host.name]
            if found.astray and _right(host, found, store):
                theirs = etcd.read_daemon_json(found.content(etcd.DAEMON_JSON), host.name)
                yield from _restart(host, found, store, theirs)
            else:
                yield Noop(host.name, "Docker's threads are where they belong")


class LoseNetworks:
    """Let go of networks that the store has lost, and the containers on them with it.

    Docker reads its networks from the store each time, the pools of addresses from its memory: until it starts
    anew it makes no other network with the subnet of one that is gone.
    """

    title = "Let go of networks that the store has lost"
    reads = frozenset({Section.HOST, Section.DOCKER, Section.STORE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove the lab's containers on them, and restart Docker there."""
        store = etcd.url(lab.with_role(Role.ETCD))
        for host in lab.with_role(Role.DOCKER):
            found = facts.hosts[host.name]
            gone = lost(lab, found, facts.store)
            if not gone or not _right(host, found, store):
                yield Noop(host.name, "the store has the networks of its containers")
                continue
            for container in gone:
                title = f"remove container {container}, whose network the store has lost"
                yield docker.RemoveContainer(host=host.name, title=title, name=container)
            theirs = etcd.read_daemon_json(found.content(etcd.DAEMON_JSON), host.name)
            yield from _restart(host, found, store, theirs)


def lost(lab: Lab, found: HostFacts, store: StoreFacts | None) -> tuple[str, ...]:
    """Return the lab's containers that are on an overlay that neither the daemon nor the store knows any longer.

    A daemon that does not reach the store shows no overlay either, so a member must have said so.
    """
    daemon = found.docker
    if daemon is None or not store or not store.healthy:
        return ()
    overlays = {n.name for n in lab.playbook.networks.values() if n.driver is Driver.OVERLAY}
    gone = overlays - set(daemon.networks) - store.networks
    return tuple(c.name for c in mine_on(lab, found) if gone & set(c.networks))


class SeePeers:
    """Wait until the store lists every daemon: dockerd announces itself 0.5 s after its start, images come before."""

    title = "See every Docker in the store"
    reads = frozenset({Section.HOST, Section.DOCKER, Section.STORE})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Wait on each host while one is missing."""
        members = lab.with_role(Role.ETCD)
        advertised = tuple(map(etcd.advertised, lab.with_role(Role.DOCKER)))
        missing = not facts.store or set(advertised) - facts.store.daemons
        for host in lab.with_role(Role.DOCKER):
            member = host if host in members else members[0]
            if not missing:
                yield Noop(host.name, f"the store lists {', '.join(advertised)}")
                continue
            yield WaitFor(
                host=host.name,
                door=member.name,
                title="wait until the store lists every daemon",
                condition=PeersListed(advertised, member.cluster_address),
                within=60,
                hint=JOURNAL,
                alters=frozenset({Section.STORE}),
            )


class LeaveStore:
    """Take Docker off the cluster store: its settings and its state as they were."""

    title = "Take Docker off the cluster store"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Put daemon.json back; then restart Docker if it ran before, stop it if it did not."""
        for name, found in facts.hosts.items():
            actions = list(self._actions(name, found))
            yield from steps(actions, name, "Docker was not changed")

    def _actions(self, name: str, found: HostFacts) -> Iterator[Action]:
        original = found.records.get(f"files{etcd.DAEMON_JSON}")
        absent = f"files{etcd.DAEMON_JSON}.absent" in found.records
        try:
            theirs = etcd.read_daemon_json(found.content(etcd.DAEMON_JSON), name)
            rest = etcd.without(theirs)
        except ClusterctlError:
            # Somebody broke it since, and Docker would not start with it: what was there first did work.
            theirs, rest = {"cluster-store": ""}, etcd.read_daemon_json(original or "", name)
        changed = False
        if (absent or original is not None) and any(k.startswith("cluster-") for k in theirs):
            changed = True
            if rest == etcd.read_daemon_json(original or "", name):
                yield Run(
                    host=name, title="put daemon.json back", command=files.put_back(etcd.DAEMON_JSON, there=not absent)
                )
            else:
                before = found.files[etcd.DAEMON_JSON]
                yield WriteFile(
                    host=name,
                    title="take the store out of daemon.json",
                    path=etcd.DAEMON_JSON,
                    content=json.dumps(rest, indent=2) + "\n",
                    mode=before.mode,
                    owner=before.owner,
                )
        if found.file(etcd.DROP_IN):
            changed = True
            yield Run(
                host=name,
                title="remove Docker's drop-in",
                command=script(_REMOVE, etcd.DROP_IN, typed=_TYPED_REMOVE),
            )
        state = found.records.get(RECORD, "").split()
        running = found.unit(UNIT).active in {"active", "activating"}
        # Our settings are gone, yet the daemon runs with them: the run that took them away ended too early.
        behind = bool(state and found.docker and found.docker.store) and "cluster-store" not in theirs
        if running and state[:1] and state[0] != "active":
            yield Run(host=name, title="stop Docker, as it was", command=systemd.stop("docker.socket", UNIT))
        elif (running or state[:1] == ["active"]) and (changed or behind):
            yield Run(host=name, title="restart Docker without a store", command=systemd.restart(UNIT), hint=JOURNAL)
        elif changed:
            yield Run(host=name, title="make systemd forget the drop-in", command=systemd.reload_units())

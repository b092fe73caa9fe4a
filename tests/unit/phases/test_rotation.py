"""A change of the CA: wherever it is cut short, everybody who runs trusts everybody whom it talks to."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from clusterctl.model.facts import Facts, File
from clusterctl.phases import docker, etcd
from clusterctl.phases.certificates import IssueCertificates, former
from clusterctl.phases.rotation import LetFormerGo, RenewDaemons
from clusterctl.plan.action import MACHINE, Action, Run
from clusterctl.plan.phase import Noop
from clusterctl.stores import etcd as store
from clusterctl.stores.certificates import Authority, create_authority, fault_in, split
from example import NOW, after, authority, both, changed, decide, finished, finished_authority, lab, reasons, titles

OLD = finished_authority().pair.certificate
NEW = authority().pair.certificate
HOSTS = ("docker1", "docker2")
LAB = lab()


def phases():
    """Return what `up` does about certificates, in its order."""
    return (
        IssueCertificates(authority),
        etcd.StartEtcd(authority),
        RenewDaemons(authority),
        docker.JoinStore(),
        LetFormerGo(authority),
    )


def rest(facts: Facts) -> Iterator[tuple[Action, Facts]]:
    """Yield each deed that is left to do, in order, with the facts after it."""
    for phase in phases():
        steps = [s for s in decide(phase, LAB, facts) if not isinstance(s, Noop)]
        for step in sorted(steps, key=lambda s: s.turn):
            facts = step.predict(facts)
            yield step, facts


class Loaded:
    """What the running processes read at their start: the CAs of each, and dockerd's certificate."""

    def __init__(self) -> None:
        self.member = dict.fromkeys(HOSTS, OLD)
        self.daemon = {h: (OLD, finished().hosts[h].content(store.DOCKER_CERT)) for h in HOSTS}

    def see(self, step: Action, facts: Facts) -> None:
        """Follow a restart."""
        if isinstance(step, Run) and step.host in HOSTS:
            found = facts.hosts[step.host]
            if step.title.startswith("restart etcd"):
                self.member[step.host] = found.content(store.CA)
            elif step.title.startswith("restart Docker"):
                self.daemon[step.host] = (found.content(store.CA), found.content(store.DOCKER_CERT))

    def at_odds(self, facts: Facts) -> list[str]:
        """Return who does not believe whom. A member's own certificate is read anew for each connection."""
        serves = {h: facts.hosts[h].content(store.MEMBER_CERT) for h in HOSTS}
        pairs = [(f"member {a}", serves[a], f"member {b}", self.member[b]) for a in HOSTS for b in HOSTS]
        pairs += [(f"member {a}", serves[a], f"daemon {b}", self.daemon[b][0]) for a in HOSTS for b in HOSTS]
        pairs += [(f"daemon {a}", self.daemon[a][1], f"member {b}", self.member[b]) for a in HOSTS for b in HOSTS]
        return [f"{who}: {by}" for who, pem, by, trusted in pairs if not believed(pem, trusted)]


def believed(pem: str, bundle: str) -> bool:
    return any(not fault_in(pem, ca, (), NOW)[0] for ca in split(bundle))


def test_a_new_ca_is_trusted_beside_the_one_before_and_no_certificate_is_replaced_yet() -> None:
    steps = decide(IssueCertificates(authority), LAB, finished())
    assert titles(steps) == [
        f"{MACHINE}: trust the CA before as well, while hosts hold by it",
        *both("write the CA's certificate, beside the one before"),
    ]
    assert split(steps[1].content) == (NEW, OLD)
    assert steps[0].command.input.decode() == steps[1].content
    assert "/state/pki/trusted.crt" in steps[0].shell()


def test_members_and_daemons_take_turns_and_nobody_is_ever_at_odds() -> None:
    loaded, facts, turns = Loaded(), finished(), []
    assert loaded.at_odds(facts) == []
    for step, now in rest(facts):
        loaded.see(step, now)
        assert loaded.at_odds(now) == [], step.title
        facts = now
        if step.title.startswith("restart"):
            turns.append((step.title, step.host, step.turn))
    assert turns == [
        (title, host, turn)
        for title in (
            "restart etcd",
            "restart Docker under its running containers",
            "restart etcd without the former CA",
        )
        for turn, host in enumerate(HOSTS, 1)
    ]
    assert {facts.hosts[h].content(store.CA) for h in HOSTS} == {NEW} == set(loaded.member.values())


def test_wherever_it_is_cut_short_the_next_run_completes_it() -> None:
    for _, cut_short in rest(finished()):
        completes(cut_short)


def completes(facts: Facts) -> None:
    """See that what is left leads to the end, with nothing left to do."""
    for _, now in rest(facts):
        facts = now
    assert [step.title for step, _ in rest(facts)] == []
    for host in HOSTS:
        found = facts.hosts[host]
        assert found.content(store.CA) == NEW
        assert all(believed(found.content(c), NEW) for c in (store.MEMBER_CERT, store.DOCKER_CERT))


def test_a_finished_lab_has_nothing_to_change() -> None:
    assert former(LAB, finished(), finished_authority(), NOW) == ()
    steps = decide(LetFormerGo(finished_authority), LAB, finished())
    assert reasons(steps) == both("it trusts the present CA alone")
    steps = decide(RenewDaemons(finished_authority), LAB, finished())
    assert reasons(steps) == both("Docker's certificate is from the present CA")


def test_where_no_member_runs_there_is_nobody_to_keep_together() -> None:
    facts = finished()
    for host in HOSTS:
        facts = changed(facts, host, lambda f: f.with_unit(store.UNIT, etcd.Unit(active="failed")))
    assert former(LAB, facts, authority(), NOW) == ()
    assert len(titles(decide(IssueCertificates(authority), LAB, facts))) == 10


def test_certificates_that_nobody_believes_any_more_keep_no_ca_alive() -> None:
    past = NOW - datetime.timedelta(days=4000)
    expired = Authority(create_authority("ut", past))
    facts = finished()
    for host in HOSTS:
        pair = expired.issue("x", ["10.1.90.1"], server=True, now=past)
        for path in (store.MEMBER_CERT, store.DOCKER_CERT):
            facts = changed(facts, host, lambda f, p=path, pem=pair.certificate: f.with_file(p, File(pem)))
        facts = changed(facts, host, lambda f: f.with_file(store.CA, File(expired.pair.certificate)))
    assert former(LAB, facts, authority(), NOW) == ()
    again = after(decide(IssueCertificates(authority), LAB, facts), facts)
    restarts = [s for s in decide(etcd.StartEtcd(authority), LAB, again) if getattr(s, "title", "") == "restart etcd"]
    assert [s.turn for s in restarts] == [0, 0], "the one alone would wait for the other for ever"


def test_a_ca_that_somebody_added_goes() -> None:
    other = create_authority("other", NOW).certificate
    facts = changed(finished(), "docker1", lambda f: f.with_file(store.CA, File(OLD + other, modified=7.0)))
    assert titles(decide(IssueCertificates(finished_authority), LAB, facts)) == []
    steps = decide(LetFormerGo(finished_authority), LAB, facts)
    assert titles(steps)[0] == "docker1: write the present CA's certificate alone"
    assert after(steps, facts).hosts["docker1"].file(store.CA).modified == 7.0

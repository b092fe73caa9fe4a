from __future__ import annotations

import datetime
from dataclasses import replace

from clusterctl.model.facts import Facts, File
from clusterctl.phases.certificates import IssueCertificates
from clusterctl.plan.action import WriteFile
from clusterctl.stores import etcd
from clusterctl.stores.certificates import Authority, create_authority
from example import (
    NOW,
    after,
    authority,
    both,
    changed,
    decide,
    finished,
    finished_authority,
    fresh,
    lab,
    reasons,
    titles,
)

ALL = [
    "write the CA's certificate",
    "write etcd's key",
    "write etcd's certificate (there is none)",
    "write Docker's key",
    "write Docker's certificate (there is none)",
]


def made() -> Facts:
    """Return both hosts with certificates of an authority that can issue more; keys as they really are there."""
    facts = after(decide(IssueCertificates(authority), lab(), fresh()), fresh())
    assert titles(decide(IssueCertificates(authority), lab(), facts)) == []
    return facts


def of(facts: Facts, host: str = "docker1") -> list[str]:
    return [
        s.title
        for s in decide(IssueCertificates(authority), lab(), facts)
        if isinstance(s, WriteFile) and s.host == host
    ]


def test_a_fresh_host_gets_a_pair_for_each_of_its_roles() -> None:
    assert of(fresh()) == ALL


def test_a_host_with_one_role_gets_one_pair() -> None:
    wanted = lab(
        hosts={
            "docker1": {"address": "10.1.90.1", "roles": ["etcd"]},
            "docker2": {"address": "10.1.90.2", "roles": ["docker"]},
        }
    )
    steps = decide(IssueCertificates(authority), wanted, fresh())
    assert [s.path for s in steps if s.host == "docker1"] == [etcd.CA, etcd.MEMBER_KEY, etcd.MEMBER_CERT]
    assert [s.path for s in steps if s.host == "docker2"] == [etcd.CA, etcd.DOCKER_KEY, etcd.DOCKER_CERT]


def test_a_finished_host_plans_nothing_and_says_why() -> None:
    steps = decide(IssueCertificates(finished_authority), lab(), finished())
    assert titles(steps) == []
    assert reasons(steps) == both("its certificates fit")


def test_keys_are_secret_and_belong_to_who_reads_them() -> None:
    steps = decide(IssueCertificates(authority), lab(), fresh())
    keys = [s for s in steps if s.path.endswith(".key")]
    assert len(keys) == 4
    assert all(s.secret and s.mode == 0o600 for s in keys)
    assert {(s.path, s.owner) for s in keys} == {(etcd.MEMBER_KEY, "etcd:etcd"), (etcd.DOCKER_KEY, "root:root")}
    assert "PRIVATE KEY" not in "".join(s.shell() + repr(s) + s.diff(fresh()) for s in steps)
    assert authority().pair.key not in [s.content for s in steps]


def test_a_run_that_ended_between_key_and_certificate_is_mended() -> None:
    facts = changed(made(), "docker1", lambda f: f.with_file(etcd.MEMBER_CERT, None))
    assert of(facts) == ["write etcd's key", "write etcd's certificate (there is none)"]


def test_a_key_that_others_may_read_is_replaced_after_its_certificate() -> None:
    unsafe = File("", 0o644, "etcd:etcd")
    facts = changed(made(), "docker1", lambda f: f.with_file(etcd.MEMBER_KEY, unsafe))
    assert of(facts) == ["write etcd's certificate (its key was not safe)", "write etcd's key"]


def test_whenever_a_run_ends_between_the_two_the_next_one_replaces_both() -> None:
    for broken in (etcd.MEMBER_KEY, etcd.MEMBER_CERT):
        facts = changed(made(), "docker1", lambda f, broken=broken: f.with_file(broken, None))
        first = next(s for s in decide(IssueCertificates(authority), lab(), facts) if s.host == "docker1")
        assert len(of(first.predict(facts))) == 2


def test_a_key_of_another_owner_is_replaced() -> None:
    facts = changed(made(), "docker1", lambda f: f.with_file(etcd.MEMBER_KEY, File("", 0o600, "root:root")))
    assert len(of(facts)) == 2


def test_a_certificate_from_another_ca_is_replaced_with_the_reason() -> None:
    other = Authority(create_authority("other", NOW))
    pem = other.issue("x", ["10.1.90.1", "127.0.0.1"], server=True, now=NOW).certificate
    facts = changed(made(), "docker1", lambda f: f.with_file(etcd.MEMBER_CERT, File(pem)))
    assert of(facts) == ["write etcd's key", "write etcd's certificate (it is not from this lab's CA)"]


def test_a_host_that_moved_gets_a_certificate_with_its_new_address() -> None:
    wanted = lab(hosts={"docker1": "10.1.90.7", "docker2": "10.1.90.2"})
    steps = decide(IssueCertificates(authority), wanted, made())
    assert titles(steps) == [
        "docker1: write etcd's key",
        "docker1: write etcd's certificate (it does not name 10.1.90.7)",
    ]


def test_a_certificate_near_its_end_is_renewed() -> None:
    old = authority().issue("x", ["10.1.90.1", "127.0.0.1"], server=True, now=NOW - datetime.timedelta(days=3630))
    facts = changed(made(), "docker1", lambda f: f.with_file(etcd.MEMBER_CERT, File(old.certificate)))
    assert of(facts)[1].startswith("write etcd's certificate (it ends on ")


def test_a_lost_ca_replaces_everything_where_nothing_runs_yet() -> None:
    new = Authority(create_authority("ut", NOW))
    assert len(titles(decide(IssueCertificates(lambda: new), lab(), made()))) == 10


def test_what_a_host_holds_is_judged_not_how_it_got_there() -> None:
    facts = changed(made(), "docker1", lambda f: replace(f, records={}))
    assert of(facts) == []

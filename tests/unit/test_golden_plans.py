"""The whole lab as it is planned, from start to end: tests/golden/plans/NAME.txt, as `--dry-run` prints it.

What is random stands there by name. Write the texts anew, then read the diff:

    CLUSTERCTL_GOLDEN=write pytest tests/unit/test_golden_plans.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from clusterctl import recipes
from clusterctl.cli import plan
from clusterctl.model.facts import Facts
from clusterctl.model.lab import Lab
from clusterctl.plan.phase import Noop, Phase
from clusterctl.plan.runner import Planned, Runner
from clusterctl.stores.certificates import Authority
from clusterctl.testing import FakeDoor, FakeReader
from cryptography import x509
from example import ROOT, authority, finished, finished_authority, fresh, lab

PLANS = ROOT / "tests/golden/plans"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def planned(recipe: Sequence[Phase[Lab]], facts: Facts) -> tuple[Planned, ...]:
    def read(known: Facts) -> Facts:
        return replace(known, hosts={**facts.hosts, **known.hosts}, store=facts.store)

    run = Runner(wanted=lab(), reader=FakeReader(read), doors=FakeDoor, listener=None)  # type: ignore[arg-type]
    found = run.show(recipe)
    assert run.done == 0
    return found


def frozen(text: str) -> str:
    """Return the plan with the names of certificates for their content, and of the CA for its fingerprint."""

    def name(found: re.Match[str]) -> str:
        pem = re.sub(r"^\s*\+?", "", found[0], flags=re.MULTILINE)
        certificate = x509.load_pem_x509_certificate(pem.encode())
        return f"(certificate of {certificate.subject.rfc4514_string()})"

    text = PEM.sub(name, text).replace(authority().fingerprint, "FINGERPRINT")
    # How many lines a certificate has is as random as they are.
    return re.sub(r"(@@ -0,0 \+1,)\d+( @@\n *\+\(certificate)", r"\1N\2", text)


class Hosts:
    """A provider of hosts that are there: nothing is to be made."""

    up = down = ()


def up(ca: Callable[[], Authority] = authority) -> list[Phase[Lab]]:
    return recipes.up(Hosts(), ca)  # type: ignore[arg-type]


CASES = {
    "up-fresh": lambda: planned(up(), fresh()),
    "up-bare": lambda: planned(
        up(),
        Facts(
            hosts={
                name: replace(host, tools=frozenset({"apt-get", "hostnamectl"}), versions={}, units={})
                for name, host in fresh().hosts.items()
            }
        ),
    ),
    "down-finished": lambda: planned(recipes.clear(), finished()),
    "down-fresh": lambda: planned(recipes.clear(), fresh()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_plan_reads_as_it_is_written_down(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    plan.show("ut", CASES[name](), as_json=False)
    found = frozen(capsys.readouterr().out)
    path = PLANS / f"{name}.txt"
    if os.environ.get("CLUSTERCTL_GOLDEN") == "write":
        path.write_text(found)
    assert found == path.read_text()


def test_there_is_no_plan_without_its_case() -> None:
    assert {p.stem for p in PLANS.glob("*.txt")} == set(CASES)


def test_up_on_a_finished_lab_plans_nothing_and_gives_a_reason_for_every_host() -> None:
    recipe = up(finished_authority)
    for phase in planned(recipe, finished()):
        assert not phase.actions, phase.title
        if phase.title != "Check the hosts":
            assert {s.host for s in phase.steps if isinstance(s, Noop)} == {"docker1", "docker2"}


def test_what_up_foresees_is_what_it_finds_done() -> None:
    last = planned(up(), fresh())[-1]
    facts = last.facts
    for action in last.actions:
        facts = action.predict(facts)
    again = planned(up(), replace(facts, store=finished().store))
    assert [a.title for p in again for a in p.actions] == []


def test_no_secret_is_in_any_plan() -> None:
    for case in CASES.values():
        shown = "".join(a.shell() + repr(a) for p in case() for a in p.actions)
        assert "PRIVATE KEY" not in shown


def test_phases_have_titles_that_differ_and_say_what_they_read() -> None:
    for recipe in (up(), recipes.clear()):
        assert len({p.title for p in recipe}) == len(recipe)
        assert all(p.reads for p in recipe)

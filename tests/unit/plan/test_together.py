"""One deadline for all; nothing that happens in between is an exception."""

from __future__ import annotations

import threading

import pytest
from clusterctl.model.errors import HostError
from clusterctl.plan import patience
from clusterctl.plan.together import side_by_side


def test_what_fails_or_hangs_gives_a_reason_and_the_rest_a_value() -> None:
    def fail() -> int:
        raise HostError("b", "it broke")

    def bug() -> int:
        raise KeyError("x")

    hang = threading.Event()
    found = side_by_side({"a": lambda: 1, "b": fail, "c": hang.wait, "d": bug}, 0.3)
    hang.set()
    assert found == {"a": 1, "b": "b: it broke", "c": "no answer within 0.3 s", "d": "KeyError: 'x'"}


def test_with_patience_what_is_late_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_factor", 1.0)
    hang = threading.Event()
    assert side_by_side({"a": lambda: hang.wait(0.4) or "late"}, 0.1) == {"a": "no answer within 0.1 s"}
    patience.have(50)
    assert side_by_side({"a": lambda: hang.wait(0.4) or "late"}, 0.1) == {"a": "late"}

"""One deadline for all; nothing that happens in between is an exception."""

from __future__ import annotations

import threading

from clusterctl.model.errors import HostError
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

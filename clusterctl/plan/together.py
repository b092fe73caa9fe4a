"""Many questions at once, each with a thread of its own, and one deadline for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from clusterctl.model.errors import ClusterctlError
from clusterctl.plan.patience import stretched

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


def side_by_side(jobs: Mapping[Key, Callable[[], T]], within: float) -> dict[Key, T | str]:
    """Do all jobs at once; what has no answer in time, or fails, gives the reason instead of a value.

    within: seconds, more where there is patience.
    """
    within = stretched(within)
    found: dict[Key, T | str] = {}

    def work(key: Key, job: Callable[[], T]) -> None:
        try:
            found[key] = job()
        except ClusterctlError as error:
            found[key] = error.message
        except Exception as error:  # whatever it is, it is why there is no answer
            found[key] = f"{type(error).__name__}: {error}"

    # Daemons: one that hangs must not delay the end of the program.
    threads = [threading.Thread(target=work, args=item, name="together", daemon=True) for item in jobs.items()]
    deadline = time.monotonic() + within
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {within:g} s"
    return {key: found.get(key, late) for key in jobs}

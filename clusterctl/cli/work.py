"""What every command that changes something has around it: progress, Ctrl-C, the transcript's place in errors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from clusterctl.cli.interrupt import stopping
from clusterctl.cli.progress import shown
from clusterctl.model.errors import ClusterctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.cli.wiring import Session
    from clusterctl.plan.runner import Listener


@contextlib.contextmanager
def shown_work(session: Session, *, verbose: bool, quiet: bool) -> Iterator[Listener]:
    """Show the work on stderr, let Ctrl-C stop it in order, and name the transcript in what goes wrong."""
    with stopping(session.stop), shown(verbose=verbose, quiet=quiet) as listener:
        try:
            yield listener
        except ClusterctlError as error:
            error.transcript = session.transcript
            raise

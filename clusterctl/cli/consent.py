"""Asking before something is destroyed; it has been named by then."""

from __future__ import annotations

import sys

import typer

from clusterctl.model.errors import ClusterctlError, InputError


class Declined(ClusterctlError):
    """The user said no. Nothing was changed."""

    exit_code = 3


def ask(what: str, *, yes: bool) -> None:
    """Return when the user consents to what is named. Raises InputError where nobody can be asked, Declined on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{what}: not without consent", hint="add --yes")
    if not typer.confirm(f"{what}. Go on?", err=True):
        raise Declined("nothing was changed")

"""Building a Debian root folder: `mmdebstrap`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

# "$1" the root's final place; the rest is mmdebstrap's command line without its target.
# The lock lets two labs share one build; what lies around as a part while it is held was interrupted.
_BUILD = """\
set -eu
final=$1; shift; mkdir -p "$(dirname "$final")"
exec 9> "$final.lock"; flock 9
[ ! -d "$final" ] || exit 0
rm -rf --one-file-system "$final".part.*
part=$(mktemp -d "$final.part.XXXXXX"); trap 'rm -rf --one-file-system "$part"' EXIT; trap 'exit 143' TERM
chmod 0755 "$part"
"$@" "$part" 9>&-
sync -f "$part"
mv -T "$part" "$final\""""


KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""Debian's keys, from the package debian-archive-keyring. Ubuntu does not trust them unless it is told so."""


def build(final: str, suite: str, packages: Sequence[str], options: Sequence[str], within: float = 900.0) -> Command:
    """Build a root beside `final` and rename it, so that an interrupted build is never used."""
    include = f"--include={','.join(packages)}"
    argv = ("mmdebstrap", "--variant=apt", "--format=directory", f"--keyring={KEYRING}", include, *options, suite)
    return script(_BUILD, final, *argv, within=within)

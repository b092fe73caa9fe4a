"""The guide's chapter on certificates: made where the reader sits, brought over, put into place."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from clusterctl.plan.action import WriteFile
from clusterctl.report.guide.manual import HERE, Part, Step
from clusterctl.stores import openssl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clusterctl.plan.action import Action

ARRIVED = "/tmp/clusterctl-pki.tar"  # noqa: S108  # it comes as 0600, and root takes it away at once
UNPACKED = "/root/clusterctl-pki"
"""Where the files arrive on a host, and where they lie until they are put into place."""

PKI = '"$pki"'
"""The folder on the reader's machine, in a variable of the shell."""


def parts(actions: Sequence[Action], folder: str, ssh_config: str, step: Callable[[str, str], Step]) -> list[Part]:
    """Return the chapter for a phase that writes keys; nothing for any other phase.

    folder: clusterctl's own for the lab's certificates, as one types it: what is made there serves it as well.
    """
    written = [a for a in actions if isinstance(a, WriteFile)]
    if not any(w.secret for w in written):
        return []
    hosts = {host: list(files) for host, files in groupby(written, key=lambda a: a.host)}
    first = next(iter(hosts.values()))
    root = next(w for w in first if not w.secret and not _is_pair(w, first))
    make = f"umask 077\npki={folder}\nmkdir -p {PKI}\n{openssl.authority(root.content, PKI)}"
    own = openssl.pair(openssl.CONTROLLER, PKI, f"{PKI}/client")
    here = [
        step("make a certificate authority", make),
        step("make a certificate for this machine", own),
    ]
    for host, files in hosts.items():
        here.append(step(f"make the certificates of {host}", "\n".join(_make(host, files))))
        here.append(step(f"bring them to {host}", _bring(host, files, ssh_config)))
    return [Part(HERE, tuple(here)), *(Part(h, (step("put them into place", _place(f)),)) for h, f in hosts.items())]


def _name(file: WriteFile) -> str:
    return PurePosixPath(file.path).name


def _is_pair(file: WriteFile, files: Sequence[WriteFile]) -> bool:
    key = str(PurePosixPath(file.path).with_suffix(".key"))
    return any(f.secret and f.path == key for f in files)


def _make(host: str, files: Sequence[WriteFile]) -> Iterator[str]:
    yield f"mkdir -p {PKI}/{host}\ncp {PKI}/ca.crt {PKI}/{host}/"
    for file in files:
        if not file.secret and _is_pair(file, files):
            stem = f"{PKI}/{host}/{PurePosixPath(file.path).stem}"
            yield openssl.pair(openssl.read(file.content), PKI, stem)


def _bring(host: str, files: Sequence[WriteFile], ssh_config: str) -> str:
    names = " ".join(_name(f) for f in files)
    return (
        f"tar -C {PKI}/{host} -cf {PKI}/{host}.tar {names}\n"
        f"scp -p -F {ssh_config} {PKI}/{host}.tar {host}:{ARRIVED}\n"
        f"rm -r {PKI}/{host} {PKI}/{host}.tar"
    )


def _place(files: Sequence[WriteFile]) -> str:
    lines = [f"mkdir -m 0700 {UNPACKED}", f"tar -C {UNPACKED} -xf {ARRIVED}"]
    for file in files:
        user, _, group = file.owner.partition(":")
        lines.append(f"install -D -m {file.mode:04o} -o {user} -g {group} {UNPACKED}/{_name(file)} {file.path}")
    return "\n".join([*lines, f"rm -r {UNPACKED} {ARRIVED}"])

"""Release tarballs on this machine: fetched once, their checksum checked, and looked into."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from clusterctl.model.errors import ClusterctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from io import BufferedRandom

    from clusterctl.model.inventory import Tarball

PIECE = 256 * 1024
"""Bytes held at once of a tarball, whatever its size."""

CONNECT_WITHIN, SILENT_FOR = 10.0, 30.0
"""Seconds for the connection, and without a single byte after it, until a server counts as gone."""

MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 22: "s390x", 243: "riscv64", 21: "ppc64le"}
"""The processors in ELF headers, as `uname -m` calls them."""


def folder() -> Path:
    """Return where what was downloaded is kept, by its checksum."""
    if chosen := os.environ.get("CLUSTERCTL_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "clusterctl"


def path(tarball: Tarball) -> Path:
    """Return where the tarball is, or will be once it is fetched."""
    return folder() / tarball.sha256 if tarball.url else Path(tarball.file).expanduser().absolute()


def provide(tarball: Tarball, seen: Callable[[int, int], None]) -> Path:
    """Return the tarball's path once it is there with its checksum; downloaded where it has to be.

    seen: is told how many bytes are there, of how many (0: not known). Raises ClusterctlError.
    """
    place = path(tarball)
    if not tarball.url:
        try:
            found = _sha256(place)
        except OSError as error:
            raise ClusterctlError(f"{place}: {error.strerror}", hint="set its path in the inventory") from error
        if found != tarball.sha256:
            raise _wrong(tarball, found)
        return place
    if place.exists() and _sha256(place) == tarball.sha256:
        return place
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = place.with_name(f"{place.name}.part")
    try:
        with part.open("a+b") as out:
            # Another run may fetch the same; and what an interrupted one left is gone on with.
            fcntl.flock(out, fcntl.LOCK_EX)
            if place.exists() and _sha256(place) == tarball.sha256:
                return place
            _fetch_whole(tarball, out, seen)
            out.flush()
            os.fsync(out.fileno())
            part.replace(place)
    except OSError as error:
        raise ClusterctlError(f"{place.parent}: {error.strerror or error}", hint=f"df -h {place.parent}") from error
    return place


def _fetch_whole(tarball: Tarball, out: BufferedRandom, seen: Callable[[int, int], None]) -> None:
    resumed = out.seek(0, os.SEEK_END) > 0
    _fetch(tarball.url, out, seen)
    found = _sha256(Path(out.name))
    if found != tarball.sha256 and resumed:
        # What was there before may have been of another file.
        out.truncate(0)
        _fetch(tarball.url, out, seen)
        found = _sha256(Path(out.name))
    if found != tarball.sha256:
        out.truncate(0)
        raise _wrong(tarball, found)


def _fetch(url: str, out: BufferedRandom, seen: Callable[[int, int], None]) -> None:
    import requests

    have = out.seek(0, os.SEEK_END)
    # The file itself counts, not a compressed form of it that a server may offer.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_WITHIN, SILENT_FOR), headers=headers) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                out.truncate(0)
                have = 0
            length = int(answer.headers.get("Content-Length") or 0)
            total = have + length if length else 0
            for piece in answer.iter_content(PIECE):
                out.write(piece)
                have += len(piece)
                seen(have, total)
            out.flush()
    except requests.RequestException as error:
        out.flush()
        if have:
            hint = "the same command goes on from there"
            raise ClusterctlError(f"{url}: broken off after {have} bytes: {_why(error)}", hint=hint) from error
        raise ClusterctlError(f"{url}: {_why(error)}", hint=f"curl -fLO {url}") from error


_CAUSES = (
    "Name or service not known",
    "Temporary failure in name resolution",
    "No address associated with hostname",
    "Connection refused",
    "Connection broken",
)


def _why(error: Exception) -> str:
    """Return the last cause in a few words: what requests says names objects and addresses in memory."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"{answer.status_code} {answer.reason}"
    text = str(error)
    if found := [words for words in _CAUSES if words in text]:
        return found[0].lower()
    return {"ConnectTimeout": "no answer", "ReadTimeout": "no answer"}.get(
        type(error).__name__, text.rpartition(": ")[2].strip("()\"' ") or type(error).__name__
    )


def _sha256(place: Path) -> str:
    with place.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _wrong(tarball: Tarball, found: str) -> ClusterctlError:
    return ClusterctlError(
        f"{tarball.source} has the checksum {found}, and the inventory says {tarball.sha256}",
        hint="nothing was installed; correct the inventory, or do not trust the file",
    )


def look_into(place: Path, programs: Collection[str], machines: Collection[str]) -> None:
    """Check that a tarball has these programs in one top folder, for these machines. Raises ClusterctlError."""
    found: dict[str, str] = {}
    try:
        with tarfile.open(place, "r|*") as archive:
            for name, head in _heads(archive, programs):
                found[name] = _machine(head)
                if len(found) == len(programs):
                    break
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ClusterctlError(f"{place} cannot be read as a tarball: {error}") from error
    missing = sorted(set(programs) - set(found))
    if missing:
        raise ClusterctlError(
            f"{place} has no {', '.join(missing)} in its top folder", hint="take the release tarball as it is published"
        )
    for name, machine in found.items():
        other = sorted(m for m in machines if m not in {machine, ""})
        if machine and other:
            raise ClusterctlError(f"{place} is for {machine} ({name}), and the hosts are {', '.join(other)}")


def _heads(archive: tarfile.TarFile, programs: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        parts = member.name.removeprefix("./").split("/")
        if len(parts) == 2 and parts[1] in programs and member.isfile():
            content = archive.extractfile(member)
            yield parts[1], content.read(20) if content else b""


def _machine(head: bytes) -> str:
    """Return what processor an ELF file is for, "" where it is none (a script runs on each)."""
    if head[:4] != b"\x7fELF":
        return ""
    return MACHINES.get(int.from_bytes(head[18:20], "little" if head[5] == 1 else "big"), "another machine")

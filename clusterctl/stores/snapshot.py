"""A snapshot of the store in a file: every v2 key, whose they are, and what restoring them would lose.

The keys themselves, not a member's data: a v3 snapshot has none of Docker's keys, and what `ETCDCTL_API=2
etcdctl backup` copies is not what the store holds. It leaves the membership out of the log, so that indexes
move, and every deletion that Docker made on condition of an index fails when the log is played again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from clusterctl.model.errors import InputError
from clusterctl.stores.etcd import NETWORKS, NODES

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """Whose snapshot it is. taken: UTC. members: by name. sha256: of the keys as compact, sorted JSON."""

    lab: str
    etcd: str
    taken: str
    taken_on: str
    members: tuple[str, ...]
    networks: tuple[str, ...]
    count: int
    sha256: str
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was read and is whole."""

    manifest: Manifest
    keys: Mapping[str, str]


def lasting(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the keys without the daemons' own, which live for a minute."""
    return {k: v for k, v in sorted(keys.items()) if not k.startswith(NODES)}


def checksum(keys: Mapping[str, str]) -> str:
    """Return the SHA-256 of keys and values."""
    return hashlib.sha256(json.dumps(dict(keys), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def networks(keys: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the networks of global scope."""
    found = []
    for key, value in keys.items():
        if key.startswith(NETWORKS):
            try:
                found.append(str(json.loads(value)["name"]))
            except (ValueError, KeyError, TypeError):
                found.append(key.removeprefix(NETWORKS)[:12])
    return tuple(sorted(found))


def pack(taken: Snapshot) -> str:
    """Return the file's text."""
    return json.dumps({"manifest": asdict(taken.manifest), "keys": dict(taken.keys)}, indent=2) + "\n"


def unpack(text: str, file: str) -> Snapshot:
    """Read the file's text. Raises InputError where it is no snapshot, or not whole."""
    try:
        found = json.loads(text)
        said: Any = found["manifest"]
        keys = {str(k): str(v) for k, v in found["keys"].items()}
        known = {f.name for f in fields(Manifest)}
        lists = {k: tuple(map(str, said[k])) for k in ("members", "networks")}
        manifest = Manifest(**{k: v for k, v in said.items() if k in known} | lists)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{file} is no snapshot of clusterctl's", hint="clusterctl etcd snapshot makes one") from error
    if manifest.format != FORMAT:
        raise InputError(f"{file} has the format {manifest.format}; this clusterctl reads {FORMAT}")
    if checksum(keys) != manifest.sha256 or not all(k.startswith("/") for k in keys):
        raise InputError(f"{file} is damaged: its keys have another checksum than its manifest says")
    return Snapshot(manifest, keys)


def lost(taken: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the store has now and would not have after a restore: networks by name, other keys as they are.

    Endpoints, addresses and counts are written anew by the daemons when the containers run again.
    """
    gone = {k: v for k, v in now.items() if taken.get(k) != v}
    # What belongs to a network is lost with it; its name says it all.
    others = sorted(k for k in gone if not k.startswith("/docker/"))
    return (*(f"network {n}" for n in networks(gone)), *others)

"""Two hosts as the script read them: an overlay across both, and each other kind of network on docker1."""

from __future__ import annotations

from pathlib import Path

from clusterctl.topology.topology import Topology, parse

FOLDER = Path(__file__).parent / "recorded"
ADDRESSES = {"docker1": "10.1.85.1", "docker2": "10.1.85.2"}


def text(host: str) -> str:
    return (FOLDER / f"{host}.txt").read_text()


def topology() -> Topology:
    return Topology({host: parse(host, address, text(host)) for host, address in ADDRESSES.items()})

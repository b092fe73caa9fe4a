"""What a host's firewall does with a packet on its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts.firewall import Packet, Rules

if TYPE_CHECKING:
    from clusterctl.topology.path import Crossing

_FIRST = {"FORWARD": "PREROUTING", "INPUT": "PREROUTING"}


def drops(crossing: Crossing) -> str:
    """Return the rule that surely ends a packet, "" where none does."""
    before = _FIRST.get(crossing.chain)
    ways = [(table, chain) for chain in filter(None, (before, crossing.chain)) for table in ("raw", "mangle", "filter")]
    packet = Packet(crossing.proto, crossing.port, crossing.source, crossing.target, crossing.way_in, crossing.way_out)
    ended = Rules.read(crossing.host.rules).ends(packet, ways)
    return ended.rule if ended and ended.sure else ""

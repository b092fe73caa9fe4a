"""Ipvlan: the containers share the MAC of the host's interface and differ by their addresses alone."""

from __future__ import annotations

from clusterctl.networks.lan import Lan


class Ipvlan(Lan):
    """Devices on the host's interface that are told apart by their IP addresses; for wires that take one MAC only."""

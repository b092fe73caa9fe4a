"""Macvlan: each container has a MAC of its own on the host's wire."""

from __future__ import annotations

from clusterctl.networks.lan import Lan


class Macvlan(Lan):
    """Devices on the host's interface that are told apart by their MACs; the host itself is not among them."""

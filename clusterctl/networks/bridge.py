"""Bridge: a Linux bridge of its own on each host that has a container on it."""

from __future__ import annotations

from clusterctl.networks.apart import Apart
from clusterctl.networks.plain import Plain


class Bridge(Apart, Plain):
    """A network that ends at its host."""

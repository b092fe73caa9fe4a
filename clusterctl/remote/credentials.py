"""What this machine shows to the etcd of a cluster. Imported before the first connection: it must cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of the controller: the cluster's CA, and a client certificate with its key."""

    ca: Path
    certificate: Path
    key: Path

"""What this machine shows to the etcd of a cluster. Imported before the first connection: it must cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of the controller: the cluster's CA, and a client certificate with its key.

    several: the CAs to accept while they change; there is no such file otherwise.
    """

    ca: Path
    certificate: Path
    key: Path
    several: Path

    @property
    def trusted(self) -> Path:
        """What to accept now."""
        return self.several if self.several.exists() else self.ca

"""An ssh_config as Fabric and paramiko read it."""

from __future__ import annotations

from paramiko import SSHConfig


def read(text: str) -> SSHConfig:
    """Read the text of an ssh_config."""
    return SSHConfig.from_text(text)


__all__ = ["SSHConfig", "read"]

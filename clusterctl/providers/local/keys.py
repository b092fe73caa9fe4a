"""SSH keys as OpenSSH writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

COMMENT = "clusterctl"
"""The comment on the keys that clusterctl makes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A key: its private half never shows."""

    private: str = field(repr=False)
    public: str


def generate() -> Pair:
    """Make an ed25519 key."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return Pair(private.decode(), f"{public.decode()} {COMMENT}\n")

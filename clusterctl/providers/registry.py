"""Which provider is which: by the name in the inventory, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from clusterctl.model.errors import InputError

if TYPE_CHECKING:
    from clusterctl.providers import Provider

PROVIDERS = {
    "local": "clusterctl.providers.local:LocalProvider",
    "ssh": "clusterctl.providers.ssh:SshProvider",
    "vagrant": "clusterctl.providers.vagrant:VagrantProvider",
}


def names() -> tuple[str, ...]:
    """Return the names that an inventory may use."""
    return tuple(PROVIDERS)


def provider(name: str) -> Provider:
    """Return the provider of that name. Raises InputError for a name that is none."""
    if name not in PROVIDERS:
        raise InputError(f"provider: {name!r} is none of {', '.join(PROVIDERS)}")
    module, _, kind = PROVIDERS[name].partition(":")
    return cast("Provider", getattr(import_module(module), kind)())

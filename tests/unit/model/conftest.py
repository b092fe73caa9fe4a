from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pytest
from clusterctl.model.playbook import Expectation
from pydantic import Field


class Pair(Expectation):
    """From one container to another."""

    source: str = Field(alias="from")
    to: str

    def containers(self) -> tuple[str, ...]:
        return (self.source, self.to)


class Ping(Pair):
    by: Literal["name", "address"] = "name"
    succeeds: bool = True


class Encapsulated(Pair):
    by: Literal["vxlan"] = "vxlan"


class Agreed(Expectation):
    network: str

    def networks(self) -> tuple[str, ...]:
        return (self.network,)


class Visible(Agreed):
    on: str = "all"

    def hosts(self) -> tuple[str, ...]:
        return (self.on,)


@pytest.fixture(scope="session")
def kinds() -> Mapping[str, type[Expectation]]:
    return {
        "agreed": Agreed,
        "encapsulated": Encapsulated,
        "forwarded": Pair,
        "ping": Ping,
        "resolves": Pair,
        "visible": Visible,
    }

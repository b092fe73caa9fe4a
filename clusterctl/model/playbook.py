"""What to build on the hosts, and what must hold afterwards."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Network(BaseModel):
    """A Docker network. options go to the driver as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    driver: str
    subnet: str
    gateway: str = ""
    options: dict[str, str] = {}


class Image(BaseModel):
    """Where an image comes from; exactly one of the three.

    build: made on the host ("busybox": from Debian's busybox-static). pull: a registry reference.
    load: a tar on the controller.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    build: str = ""
    pull: str = ""
    load: str = ""


class Container(BaseModel):
    """One container on one host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    host: str
    image: str
    networks: tuple[str, ...]
    command: tuple[str, ...] = ()


class Expectation(BaseModel):
    """Something that must hold. Each kind is a subclass in `clusterctl.checks`, named by its key in the playbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def containers(self) -> tuple[str, ...]:
        """Return the containers that it names; "all" stands for each."""
        return ()

    def networks(self) -> tuple[str, ...]:
        """Return the networks that it names."""
        return ()


class Playbook(BaseModel):
    """The whole playbook, every default filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    lesson: str = ""
    networks: dict[str, Network] = {}
    images: dict[str, Image] = {}
    containers: dict[str, Container] = {}
    expect: tuple[Expectation, ...] = ()

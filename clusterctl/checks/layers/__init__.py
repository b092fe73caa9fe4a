"""What a lab stands on, one file a layer, bottom up: facts in, findings out. The lowest that is broken is the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.layers import (
    containers,
    dockerd,
    etcd,
    forwarding,
    host,
    network,
    reachability,
    underlay,
)
from clusterctl.model.finding import Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.lab import Lab

LAYERS: Mapping[Layer, Callable[[Lab, Survey], Iterator[Judged]]] = {
    Layer.HOST: host.judge,
    Layer.UNDERLAY: underlay.judge,
    Layer.ETCD: etcd.judge,
    Layer.DOCKERD: dockerd.judge,
    Layer.NETWORK: network.judge,
    Layer.FORWARDING: forwarding.judge,
    Layer.CONTAINERS: containers.judge,
    Layer.REACHABILITY: reachability.judge,
}
"""The layers' judgements, bottom up."""


def judge(lab: Lab, survey: Survey) -> tuple[Judged, ...]:
    """Judge every layer by what was read. Pure."""
    return tuple(j for judged in LAYERS.values() for j in judged(lab, survey))

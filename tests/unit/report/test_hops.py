"""A path in a sentence and as a document."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from clusterctl.report import hops
from clusterctl.topology.trace import end, trace

sys.path.insert(0, str(Path(__file__).parents[1] / "topology"))
from recorded_hosts import topology


def both(source: str, target: str):
    found = topology()
    one, other = end(found, source), end(found, target)
    return trace(found, one, other), trace(found, other, one)


def test_the_document_has_both_directions_hop_by_hop() -> None:
    made = json.loads(json.dumps(hops.document("lab", *both("qyt1", "qyt2"))))
    assert (made["holds"], made["there"]["arrives"], made["back"]["arrives"]) == (True, True, True)
    assert made["there"]["network"] == "qyt_overlay"
    assert [h["link"]["name"] for h in made["back"]["hops"]][3] == "vxlan0"
    assert made["there"]["hops"][0]["link"]["mac"] == "02:42:0a:0a:0a:03"


def test_the_verdict_says_how_far_it_gets() -> None:
    there, back = both("qyt1", "qyt2")
    assert hops.verdict(there) == "10 hops to qyt2 (docker2) at 10.10.10.2, packets of up to 1450 bytes"
    isolated, _ = both("o1", "b1")
    assert hops.verdict(isolated).startswith("it breaks at hop 3: docker1's firewall drops it")
    assert hops.verdict(replace(isolated, sure=False)).startswith("it is not known how it goes on at hop 3")
    assert hops.holds(there, back)
    assert not hops.holds(isolated, back)


def test_the_way_back_counts_only_within_one_network() -> None:
    there, back = both("b1", "docker2")
    assert (there.broken, bool(back.broken)) == ("", True), "masquerading brings the answer back"
    assert hops.holds(there, back)
    assert not hops.holds(replace(there, network="bridge"), back)

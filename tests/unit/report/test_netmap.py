"""The map in words and as a document."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clusterctl.report import netmap

sys.path.insert(0, str(Path(__file__).parents[1] / "topology"))
from recorded_hosts import topology


def test_the_rows_of_a_host_say_where_each_interface_goes() -> None:
    rows = {(r.container, r.interface): r for r in netmap.rows(topology().hosts["docker1"])}
    qyt1 = rows["qyt1", "eth0 #6"]
    assert (qyt1.address, qyt1.network) == ("10.10.10.3/24", "qyt_overlay")
    assert (qyt1.joined, qyt1.behind) == ("veth0 #7 in 1-c709eadccb", "br0, VXLAN 256")
    assert rows["m1", "eth0 #20"].joined == "rides on eth0 #2"
    assert rows["c1", ""].joined == "shares b1's links"
    assert (rows["h1", ""].network, rows["h1", ""].joined) == ("host", "the host's own links")
    assert (rows["n1", ""].network, rows["n1", ""].joined) == ("none", "lo alone")
    assert (rows["st", ""].state, rows["pa", "eth0 #23"].state) == ("exited", "paused")


def test_the_document_has_every_link_and_the_commands_that_find_it() -> None:
    made = json.loads(json.dumps(netmap.document("lab", topology())))
    assert [h["name"] for h in made["hosts"]] == ["docker1", "docker2"]
    one = made["hosts"][0]
    containers = {c["name"]: c for c in one["containers"]}
    eth0 = containers["qyt1"]["interfaces"][0]
    assert (eth0["mtu"], eth0["mac"], eth0["port"]["index"]) == (1450, "02:42:0a:0a:0a:03", 7)
    assert eth0["tunnels"] == [{"name": "vxlan0", "vni": 256}]
    assert eth0["commands"] == [
        "nsenter -t $(docker inspect -f {{.State.Pid}} qyt1) -n ip -d addr show eth0",
        "nsenter --net=/run/docker/netns/1-c709eadccb ip -o link | grep ^7:",
    ]
    (tunnel,) = one["tunnels"]
    assert tunnel["forwards"] == [{"mac": "02:42:0a:0a:0a:02", "towards": "10.1.85.2", "host": "docker2"}]
    assert {b["name"] for b in one["bridges"]} == {"br0", "docker0", "docker_gwbridge", "br-5c190ebd3eed"}

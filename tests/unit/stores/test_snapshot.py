from __future__ import annotations

import json

import pytest
from clusterctl.model.errors import InputError
from clusterctl.stores.snapshot import Manifest, Snapshot, checksum, lasting, lost, networks, pack, unpack

NET = "/docker/network/v1.0/network/72f4"
KEYS = {NET: '{"name": "qyt_overlay"}', "/docker/network/v1.0/idm/vxlan-id": "x"}


def snapshot(keys=KEYS, **changes) -> Snapshot:
    values = {
        "lab": "ut",
        "etcd": "3.4.23",
        "taken": "2026-01-01T00:00:00+00:00",
        "taken_on": "docker1",
        "members": ("docker1", "docker2"),
        "networks": networks(keys),
        "count": len(keys),
        "sha256": checksum(keys),
    }
    return Snapshot(Manifest(**(values | changes)), keys)


def test_what_is_packed_comes_out_again() -> None:
    assert unpack(pack(snapshot()), "f") == snapshot()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"manifest": {}, "keys": {}}', '{"manifest": 1, "keys": []}', "[" * 100000]
)
def test_what_is_no_snapshot_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InputError) as caught:
        unpack(text, "f.json")
    assert caught.value.message == "f.json is no snapshot of clusterctl's"


def test_a_key_that_changed_on_the_way_is_seen() -> None:
    with pytest.raises(InputError) as caught:
        unpack(pack(snapshot()).replace("vxlan-id", "vxlan-ix"), "f")
    assert "damaged" in caught.value.message


def test_a_later_format_is_not_guessed_at() -> None:
    document = json.loads(pack(snapshot()))
    document["manifest"]["format"] = 2
    with pytest.raises(InputError) as caught:
        unpack(json.dumps(document), "f")
    assert "format 2" in caught.value.message


def test_the_daemons_own_keys_live_for_a_minute_and_are_left_out() -> None:
    assert lasting({"/docker/nodes/10.1.90.1:2375": "", **KEYS}) == dict(sorted(KEYS.items()))


def test_networks_have_names_even_where_their_value_is_broken() -> None:
    assert networks({**KEYS, f"{NET}5": "?", f"{NET}6": "[]"}) == ("72f45", "72f46", "qyt_overlay")


def test_only_what_nobody_makes_anew_is_lost() -> None:
    assert lost(KEYS, KEYS) == ()
    assert lost(KEYS, {**KEYS, "/docker/network/v1.0/idm/vxlan-id": "y", "/docker/nodes/a": ""}) == ()
    assert lost(KEYS, {}) == ()
    now = {**KEYS, f"{NET}9": '{"name": "new"}', "/app/x": "1"}
    assert lost(KEYS, now) == ("network new", "/app/x")

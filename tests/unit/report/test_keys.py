from __future__ import annotations

from clusterctl.report.keys import Change, brief, changes, tree

ID = "72f4c8a7f15a2366fb79598bc2cd5446636af0cec2d5c4285a465f64202bc7d8"
NETWORK = f"/docker/network/v1.0/network/{ID}"
KEYS = {
    "/docker/nodes/10.1.90.1:2375": "10.1.90.1:2375",
    NETWORK: '{"name": "qyt_overlay", "labels": {}, "ingress": false, "mtu": 0, "dns": null}',
    f"/docker/network/v1.0/endpoint_count/{ID}": '{"Count":2}',
}


def test_keys_are_a_tree_with_short_ids_that_says_what_is_where() -> None:
    assert [("  " * line.depth + line.name, line.value) for line in tree(KEYS)] == [
        ("docker/", ""),
        ("  network/", ""),
        ("    v1.0/", ""),
        ("      endpoint_count/", ""),
        ("        72f4c8a7f15a", '{"Count": 2}'),
        ("      network/", ""),
        ("        72f4c8a7f15a", '{"name": "qyt_overlay", "mtu": 0}'),
        ("  nodes/", ""),
        ("    10.1.90.1:2375", "10.1.90.1:2375"),
    ]
    assert {line.name: line.meaning for line in tree(KEYS) if line.meaning}[
        "network/"
    ] == "the networks of global scope"
    assert list(tree({})) == []


def test_a_folder_of_the_same_name_elsewhere_is_another() -> None:
    assert [line.name for line in tree({"/a/x/1": "", "/b/x/2": ""})] == ["a/", "x/", "1", "b/", "x/", "2"]


def test_a_value_is_cut_and_shows_no_control_characters() -> None:
    assert brief("a\x1b[31m\nb") == "a?[31m b"
    assert brief('"' + "x" * 50 + '"', 10) == '"xxxxxxxx…'


def test_what_comes_goes_and_changes_is_told_apart() -> None:
    after = {**KEYS, NETWORK: "{}", "/new": "1"}
    del after["/docker/nodes/10.1.90.1:2375"]
    assert [(c.sign, c.key) for c in changes(KEYS, after)] == [
        ("~", NETWORK),
        ("-", "/docker/nodes/10.1.90.1:2375"),
        ("+", "/new"),
    ]
    assert changes(KEYS, KEYS) == ()
    assert changes({}, {"/a": "1"}) == (Change("+", "/a", value="1"),)

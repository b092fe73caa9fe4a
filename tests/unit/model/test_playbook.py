from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clusterctl.model.errors import InputError
from clusterctl.model.inventory import load_inventory
from clusterctl.model.playbook import PROBE, Driver, Image, Playbook, check_together, json_schema, load_playbook

ROOT = Path(__file__).parents[3]
OVERLAY = (ROOT / "playbooks/overlay.yml").read_text()
LOCAL = (ROOT / "inventory/local.yml").read_text()

NASTY = ["$(id)", "`id`", "a;id", "a|b", "a b", "a'b", 'a"b', "a\\b", "${HOME}", "é", "容器", "*", "%h", "#a", "'", '"']
UNPRINTABLE = ["a\nb", "a\r", "a\tb", "a\0b", "a\x1b[31m", "a\u2028b", "a\u202eb", "a\u200bb"]


def playbook(**changes: object) -> dict:
    value = {
        "name": "p",
        "networks": {"net1": {"driver": "overlay", "subnet": "10.10.10.0/24"}},
        "containers": {"one": {"host": "docker1", "networks": ["net1"]}},
    }
    return {**value, **changes}


def container(**changes: object) -> dict:
    return playbook(containers={"one": {"host": "docker1", "networks": ["net1"], **changes}})


def load(value: object, kinds) -> Playbook:
    return load_playbook(yaml.safe_dump(value, allow_unicode=True), "p.yml", kinds)


def keys(error: InputError) -> list[str]:
    return [p.key for p in error.problems]


def test_the_example() -> None:
    from clusterctl.checks import KINDS

    found = load_playbook(OVERLAY, "overlay.yml", KINDS)
    assert found.networks["qyt_overlay"].driver is Driver.OVERLAY
    assert [(c.name, c.host, c.image, c.command) for c in found.containers.values()] == [
        ("qyt1", "docker1", PROBE.tag, ()),
        ("qyt2", "docker2", PROBE.tag, ()),
    ]
    assert found.images == {PROBE.tag: PROBE}
    order = "visible agreed resolves ping ping forwarded encapsulated stored attaches"
    assert [type(e) for e in found.expect] == [KINDS[k] for k in order.split()]
    assert all(e.why.en and e.why.zh for e in found.expect)
    check_together(load_inventory(LOCAL, "local.yml"), found, OVERLAY, "overlay.yml")


def test_where_images_come_from(kinds) -> None:
    value = playbook(
        images={"web:1": {"load": "web.tar"}, "clusterctl/probe:1": {"pull": "registry.example.org/probe:1"}},
        containers={
            name: {"host": "docker1", "networks": ["net1"], **({"image": image} if image else {})}
            for name, image in {"c1": "web:1", "c2": "", "c3": "docker.io/library/alpine"}.items()
        },
    )
    found = load(value, kinds)
    assert found.images == {
        "web:1": Image(tag="web:1", load="web.tar"),
        "clusterctl/probe:1": Image(tag="clusterctl/probe:1", pull="registry.example.org/probe:1"),
        "alpine:latest": Image(tag="alpine:latest", pull="alpine:latest"),
    }
    assert found.containers["c3"].image == "alpine:latest"


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("alpine", "alpine:latest"),
        ("docker.io/team/web:2", "team/web:2"),
        ("registry.example.org:5000/team/web", "registry.example.org:5000/team/web:latest"),
    ],
)
def test_an_image_is_called_as_docker_lists_it(written: str, listed: str, kinds) -> None:
    assert load(container(image=written), kinds).containers["one"].image == listed


def test_what_was_read_is_all_in_its_json(kinds) -> None:
    found = load(playbook(expect=[{"ping": {"from": "one", "to": "all"}}]), kinds)
    assert json.loads(found.model_dump_json(by_alias=True))["expect"] == [
        {"from": "one", "to": "all", "by": "name", "succeeds": True}
    ]


@pytest.mark.parametrize("word", NASTY)
def test_free_text_is_kept_as_it_is(word: str, kinds) -> None:
    value = container(command=["echo", word])
    value["lesson"] = word
    value["networks"]["net1"]["options"] = {"mtu": word}
    found = load(value, kinds)
    assert (str(found.lesson), found.containers["one"].command) == (word, ("echo", word))
    assert found.networks["net1"].options == {"mtu": word}


@pytest.mark.parametrize("word", UNPRINTABLE)
def test_free_text_that_does_not_print_is_refused(word: str, kinds) -> None:
    value = container(command=["echo", word])
    value["lesson"] = word
    value["networks"]["net1"]["options"] = {"mtu": word}
    with pytest.raises(InputError) as caught:
        load(value, kinds)
    assert set(keys(caught.value)) == {"lesson", "networks.net1.options.mtu", "containers.one.command[1]"}


@pytest.mark.parametrize("word", [*NASTY, *UNPRINTABLE, "-a", "--rm", "", " a", "a/../b"])
def test_a_hostile_word_is_refused_as_a_name(word: str, kinds) -> None:
    one = {"host": "docker1", "networks": ["net1"]}
    net = {"driver": "overlay", "subnet": "10.10.11.0/24"}
    for value in (
        playbook(name=word),
        playbook(containers={word: one}),
        playbook(networks={"net1": {**net, "driver": word}}),
        playbook(networks={"net1": {**net, "subnet": word}}),
        playbook(networks={"net1": {**net, "gateway": word or "-"}}),
        playbook(networks={"net1": {**net, "options": {word: "x"}}}),
        playbook(networks={"net1": net, word: {**net, "subnet": "10.10.12.0/24"}}),
        playbook(images={word: {"pull": "alpine"}}),
        playbook(images={"alpine": {"pull": word}}),
        container(host=word),
        container(image=word),
        container(networks=[word]),
        container(command=[word, "-c"]) if word in {"", "-a", "--rm"} else container(command=word),
        playbook(expect=[{word: {}}]),
        playbook(expect=[{"ping": {"from": "one", "to": word}}]),
    ):
        with pytest.raises(InputError) as caught:
            load(value, kinds)
        assert str(caught.value).replace("\n", "").isprintable()


def test_an_entry_with_problems_still_counts_as_declared(kinds) -> None:
    value = playbook(
        networks={"net1": {"driver": "overlay", "subnet": "x"}},
        containers={"one": {"host": "A", "networks": ["net1"]}, "two": {"host": "docker1", "networks": ["net1"]}},
        expect=[{"ping": {"from": "one", "to": "two"}}],
    )
    with pytest.raises(InputError) as caught:
        load(value, kinds)
    assert sorted(keys(caught.value)) == ["containers.one.host", "networks.net1.subnet"]


def together(value: dict, inventory: str, kinds) -> list[tuple[str, str]]:
    text = yaml.safe_dump(value)
    with pytest.raises(InputError) as caught:
        check_together(load_inventory(inventory, "i.yml"), load_playbook(text, "p.yml", kinds), text, "p.yml")
    assert all(p.line and p.file == "p.yml" for p in caught.value.problems)
    return [(p.key, p.message) for p in caught.value.problems]


def test_a_container_needs_a_host_with_docker(kinds) -> None:
    hosts = "{docker1: {address: 192.0.2.1, roles: [etcd]}, docker2: 192.0.2.2}"
    assert together(playbook(), f"name: lab\nprovider: ssh\nhosts: {hosts}\n", kinds) == [
        ("containers.one.host", "docker1 does not have the role docker")
    ]


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        ("10.10.10.7", "10.10.10.7"),
        ("{address: docker1.example.org, cluster_address: 10.10.10.8}", "10.10.10.8"),
        ("{address: 10.10.10.9, cluster_address: 192.0.2.1}", "10.10.10.9"),
    ],
)
def test_a_network_is_apart_from_the_hosts(host: str, seen: str, kinds) -> None:
    assert together(playbook(), f"name: lab\nprovider: ssh\nhosts: {{docker1: {host}}}\n", kinds) == [
        ("networks.net1.subnet", f"10.10.10.0/24 contains {seen}, an address of the host docker1")
    ]


def test_a_network_is_apart_from_the_local_lab(kinds) -> None:
    inventory = "name: lab\nprovider: local\nhosts: {docker1: 10.10.0.1}\nlocal: {subnet: 10.10.0.0/16}\n"
    assert together(playbook(), inventory, kinds) == [
        ("networks.net1.subnet", "10.10.10.0/24 overlaps 10.10.0.0/16, where the hosts are")
    ]


def test_an_ssh_inventory_has_no_local_subnet(kinds) -> None:
    value = playbook(networks={"net1": {"driver": "overlay", "subnet": "10.1.1.0/24"}})
    inventory = load_inventory("name: lab\nprovider: ssh\nhosts: {docker1: 192.0.2.1}\n", "i.yml")
    check_together(inventory, load(value, kinds), yaml.safe_dump(value), "p.yml")


def test_the_schemas_say_what_users_write(kinds) -> None:
    inventory, found = json_schema("inventory"), json_schema("playbook", kinds)
    for schema in (inventory, found):
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["additionalProperties"] is False
        definitions = schema["$defs"]
        properties = [schema, *(definitions[name] for name in definitions if name.endswith(("Entry", "Defaults")))]
        assert all(p.get("description") or "$ref" in p for s in properties for p in s["properties"].values())
        refs = [r.split('"')[0] for r in json.dumps(schema).split('"$ref": "')[1:]]
        assert {ref.removeprefix("#/$defs/") for ref in refs} <= set(definitions)
    (host,) = inventory["properties"]["hosts"]["patternProperties"].values()
    assert [choice.get("type", "mapping") for choice in host["anyOf"]] == ["mapping", "string"]
    assert inventory["properties"]["hosts"]["additionalProperties"] is False
    assert "name" not in inventory["$defs"]["HostEntry"]["properties"]
    assert set(found["properties"]["expect"]["items"]["properties"]) == {*kinds, "why"}
    assert set(found["$defs"]["Ping"]["properties"]) == {"from", "to", "by", "succeeds"}


def test_reading_imports_nothing_heavy() -> None:
    code = "import sys, clusterctl.model.playbook; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & {
        "fabric",
        "paramiko",
        "docker",
        "etcd3",
        "grpc",
        "rich",
        "typer",
        "requests",
    }

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from clusterctl.model.errors import InputError
from clusterctl.model.inventory import Inventory, Local, ProviderName, Role, load_inventory

ROOT = Path(__file__).parents[3]

# What a shell, ssh_config, systemd, etcd or a terminal could take for more than a value.
HOSTILE = [
    "$(id)",
    "`id`",
    "a;id",
    "a|id",
    "a&id",
    "a>b",
    "a b",
    "a'b",
    'a"b',
    "a\\b",
    "${HOME}",
    "a\nb",
    "a\r",
    "a\tb",
    "a\0b",
    "a\x1b[31m",
    "a\u2028b",
    "a\u202eb",
    "-a",
    "--privileged",
    "../a",
    "a/../b",
    "*",
    "%h",
    "#a",
    "!a",
    "~",
    "é",
    "容器",
    "a\u200bb",
    "",
    " a",
]


def inventory(**changes: object) -> dict:
    host = {"address": "192.0.2.1", "cluster_address": "192.0.2.1", "port": 22, "user": "root", "key": "k"}
    return {"name": "lab", "provider": "ssh", "hosts": {"docker1": {**host, **changes}}}


def load(value: object) -> Inventory:
    return load_inventory(yaml.safe_dump(value, allow_unicode=True), "i.yml")


def test_the_local_example() -> None:
    found = load_inventory((ROOT / "inventory/local.yml").read_text(), "local.yml")
    assert found.provider is ProviderName.LOCAL
    assert {h.name: h.address for h in found.hosts.values()} == {"docker1": "10.1.1.1", "docker2": "10.1.1.2"}
    assert found.hosts["docker1"].roles == found.hosts["docker2"].roles == (Role.ETCD, Role.DOCKER)
    assert found.local == Local()


def test_the_ssh_example() -> None:
    found = load_inventory((ROOT / "inventory/ssh.yml").read_text(), "ssh.yml")
    assert found.provider is ProviderName.SSH
    assert [(h.user, h.cluster_address) for h in found.hosts.values()] == [
        ("admin", "192.0.2.11"),
        ("admin", "192.0.2.12"),
    ]


def test_the_example_with_tarballs() -> None:
    found = load_inventory((ROOT / "inventory/tarballs.yml").read_text(), "tarballs.yml").cluster
    assert found.docker and found.etcd
    assert found.docker.name == "docker-20.10.24.tgz"
    assert found.etcd.source == "~/Downloads/etcd-v3.4.34-linux-amd64.tar.gz"


@pytest.mark.parametrize(
    ("tarball", "why"),
    [
        ({"url": "https://example.org/a.tgz"}, "sha256: is missing"),
        ({"sha256": "a" * 64}, "must say where the tarball comes from, once"),
        ({"url": "https://example.org/a", "file": "a", "sha256": "a" * 64}, "must say where the tarball comes from"),
        ({"file": "a", "sha256": "A" * 64}, "is not a SHA-256 checksum"),
        ({"url": "https://me:secret@example.org/a", "sha256": "a" * 64}, "is not the address of a file"),
        ({"url": "ftp://example.org/a", "sha256": "a" * 64}, "is not the address of a file"),
        ({"file": "-a", "sha256": "a" * 64}, "is not a path"),
    ],
)
def test_a_tarball_that_is_not_pinned_or_has_no_source_is_refused(tarball: dict, why: str) -> None:
    with pytest.raises(InputError, match=why):
        load({**inventory(), "cluster": {"docker": tarball}})


def test_a_host_wins_over_the_defaults() -> None:
    found = load(
        {
            "name": "lab",
            "provider": "ssh",
            "defaults": {"user": "admin", "port": 2222, "key": "~/.ssh/id", "roles": ["docker"]},
            "hosts": {"one": "192.0.2.1", "two": {"address": "192.0.2.2", "port": 22, "roles": ["etcd"]}},
        }
    )
    one, two = found.hosts.values()
    assert (one.user, one.port, one.key, one.roles) == ("admin", 2222, "~/.ssh/id", (Role.DOCKER,))
    assert (two.user, two.port, two.key, two.roles) == ("admin", 22, "~/.ssh/id", (Role.ETCD,))


def test_two_hosts_behind_one_address() -> None:
    hosts = {f"docker{i}": {"address": "127.0.0.1", "port": 2200 + i, "cluster_address": f"10.1.1.{i}"} for i in (1, 2)}
    found = load({"name": "lab", "provider": "ssh", "hosts": hosts})
    assert found.hosts["docker2"].cluster_address == "10.1.1.2"


def test_the_gateway_follows_the_subnet() -> None:
    value = {"name": "lab", "provider": "local", "hosts": {"a1": "10.2.0.1"}, "local": {"subnet": "10.2.0.0/16"}}
    assert load(value).local.gateway == "10.2.255.254"


def test_what_was_read_can_be_read_again() -> None:
    found = load(inventory())
    assert Inventory.model_validate(found.model_dump()) == found
    assert Inventory.model_validate_json(found.model_dump_json()) == found


def test_problems_do_not_hide_one_another() -> None:
    text = "name: X\nprovider: ssh\nhosts:\n  a1: {address: 10.0.0.1, port: '1', user: -x}\n"
    text += "  a2:\n  a3: 10.0.0.3\n  a4: 10.0.0.3\n"
    with pytest.raises(InputError) as caught:
        load_inventory(text, "i.yml")
    assert [p.key for p in caught.value.problems] == [
        "name",
        "hosts.a1.port",
        "hosts.a1.user",
        "hosts.a2",
        "hosts.a4.address",
    ]


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("field", ["address", "user", "port", "roles"])
def test_a_hostile_word_is_refused_in_a_host(field: str, word: str) -> None:
    with pytest.raises(InputError) as caught:
        load(inventory(**{field: [word] if field == "roles" else word}))
    assert all(p.key.startswith(f"hosts.docker1.{field}") and p.line for p in caught.value.problems)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_word_is_refused_as_a_name(word: str) -> None:
    for value in (
        {**inventory(), "name": word},
        {**inventory(), "provider": word},
        {**inventory(), "hosts": {word: "192.0.2.1"}},
        {**inventory(), "local": {"suite": word}},
        {**inventory(), "local": {"subnet": word}},
        {**inventory(), "local": {"gateway": word}},
        {**inventory(), "cluster": {"store": word}},
        {**inventory(), word: word},
    ):
        with pytest.raises(InputError) as caught:
            load(value)
        assert str(caught.value).replace("\n", "").isprintable()


# An empty one says that the host has none of its own.
@pytest.mark.parametrize("word", [word for word in HOSTILE if word])
def test_a_hostile_word_is_refused_as_a_cluster_address(word: str) -> None:
    with pytest.raises(InputError, match=r"hosts\.docker1\.cluster_address: "):
        load(inventory(cluster_address=word))


@pytest.mark.parametrize("word", HOSTILE)
def test_a_key_is_refused_or_kept_as_it_is(word: str) -> None:
    try:
        found = load(inventory(key=word))
    except InputError:
        return
    assert found.hosts["docker1"].key == word
    assert not set(word) & set("\"'`$%\\\n\r\t\0\x1b")
    assert not word.startswith(("-", " "))


@pytest.mark.parametrize("name", ["lab", "a", "1", "a-b", "x" * 20])
def test_good_lab_names(name: str) -> None:
    assert load({**inventory(), "name": name}).name == name


@pytest.mark.parametrize("name", ["x" * 21, "a_b", "A", "a.b", "-a", "a-"])
def test_bad_lab_names(name: str) -> None:
    with pytest.raises(InputError, match="name of a lab"):
        load({**inventory(), "name": name})


@pytest.mark.parametrize("port", [1, 22, 65535])
def test_good_ports(port: int) -> None:
    assert load(inventory(port=port)).hosts["docker1"].port == port


@pytest.mark.parametrize("port", [0, -1, 65536, "22", 22.0, True, None, [22], 10**30])
def test_bad_ports(port: object) -> None:
    with pytest.raises(InputError, match=r"hosts\.docker1\.port: "):
        load(inventory(port=port))

from __future__ import annotations

import re
from pathlib import Path

import pytest
from clusterctl.model.errors import InputError
from clusterctl.model.inventory import load_inventory
from clusterctl.model.reach import Hop, hop

TEXT = """\
name: lab
provider: ssh
defaults: {user: admin, port: 2200}
groups:
  far: {hosts: [b1, c1], jump: [bastion, "ops@gate:2022"], port: 2201}
jump_hosts:
  bastion: {address: bastion.example.org, password_env: BASTION}
hosts:
  a1: {address: 192.0.2.1, jump: b1}
  b1: {address: 192.0.2.2, port: 22, sudo_password_env: SUDO}
  c1: {address: 192.0.2.3, jump: []}
"""


def test_a_host_wins_over_its_group_and_a_group_over_the_defaults() -> None:
    hosts = load_inventory(TEXT, "i.yml").hosts
    assert [(h.user, h.port, h.jump) for h in hosts.values()] == [
        ("admin", 2200, ("b1",)),
        ("admin", 22, ("bastion", "ops@gate:2022")),
        ("admin", 2201, ()),
    ]
    assert hosts["b1"].sudo_password_env == "SUDO"


def test_what_nobody_said_is_told_apart_from_what_is_said_to_be_as_usual() -> None:
    hosts = load_inventory(TEXT.replace("user: admin, ", ""), "i.yml").hosts
    assert (hosts["a1"].user, hosts["a1"].says("user")) == ("root", False)
    assert (hosts["b1"].port, hosts["b1"].says("port")) == (22, True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("bastion", Hop("bastion")),
        ("bastion:22", Hop("bastion", "", 22)),
        ("a.b@10.0.0.1:2022", Hop("10.0.0.1", "a.b", 2022)),
    ],
)
def test_a_jump_host_in_one_word(text: str, parts: Hop) -> None:
    assert hop(text) == parts


@pytest.mark.parametrize(
    "text", ["", "@a", "a@", "a:", "a:0", "a:65536", "a:x", "-a", "a b", "a@-b", "a,b", "none;", "[::1]:22"]
)
def test_what_is_no_jump_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        hop(text)


def test_the_environment_fills_values_and_never_adds_any() -> None:
    text = "name: lab\nprovider: ssh\nhosts:\n"
    text += '  a1: {address: "${A}", port: "${P:-2022}", key: "${H}/k", user: "${U:-x}"}\n'
    found = load_inventory(text, "i.yml", {"A": "192.0.2.1", "H": "/home/x", "U": ""}).hosts["a1"]
    assert (found.address, found.port, found.key, found.user) == ("192.0.2.1", 2022, "/home/x/k", "x")
    for evil in ("192.0.2.1, port: 1", "192.0.2.1\n  b1: 192.0.2.2", "*x", "${A}", "$(id)"):
        with pytest.raises(InputError) as caught:
            load_inventory(text, "i.yml", {"A": evil, "H": "/home/x"})
        assert {p.key for p in caught.value.problems} == {"hosts.a1.address"}


def test_a_secret_in_the_file_is_refused_and_not_repeated() -> None:
    for line in (
        "password: hunter2",
        "password_env: hunter2",
        "sudo_password_env: ${hunter2}",
        "passphrase: ${hunter2}",
    ):
        text = f"name: lab\nprovider: ssh\nhosts:\n  a1:\n    address: 192.0.2.1\n    {line}\n"
        with pytest.raises(InputError, match=r"i\.yml:6: hosts\.a1\..*environment") as caught:
            load_inventory(text, "i.yml", {})
        if "$" not in line or "_env" in line:
            assert "hunter2" not in str(caught.value)


def test_two_machines_may_have_one_address_behind_different_jump_hosts() -> None:
    text = "name: lab\nprovider: ssh\nhosts:\n"
    for n in (1, 2):
        text += f"  a{n}: {{address: 192.168.0.2, jump: gate{n}, cluster_address: 10.0.0.{n}}}\n"
    assert len(load_inventory(text, "i.yml").hosts) == 2


def test_the_commented_lines_of_the_example_hold_when_they_are_used() -> None:
    text = (Path(__file__).parents[3] / "inventory/ssh.yml").read_text()
    used = re.sub(r"(?m)^( *)# ?( *[a-z_]+: ?.*|  +.*)$", lambda m: m[0] if "$$" in m[0] else f"{m[1]}{m[2]}", text)
    found = load_inventory(used, "ssh.yml")
    assert found.hosts["docker1"].jump == ("bastion",)
    assert found.hosts["docker1"].key == "~/.ssh/id_ed25519"
    assert found.hosts["docker2"].sudo_password_env == "LAB_SUDO"
    assert found.jump_hosts["bastion"].user == "jump"

from __future__ import annotations

from pathlib import Path

import pytest
from clusterctl.commands.ssh import Asked
from clusterctl.model.errors import InputError
from clusterctl.model.inventory import load_inventory
from clusterctl.providers.ways import Way, Ways, config

HEAD = "name: lab\nprovider: ssh\n"


def ways(text: str, users: dict[str, Asked] | None = None) -> dict[str, Way]:
    def look(address: str, user: str, port: int) -> Asked:
        found = (users or {}).get(address, Asked(address))
        return Asked(found.address, user or found.user, port or found.port, found.keys, found.jump, found.proxy)

    return {way.name: way for way in Ways(load_inventory(HEAD + text, "i.yml"), look).find()}


def test_the_users_settings_hold_where_the_inventory_says_nothing() -> None:
    users = {"web": Asked("192.0.2.9", "me", 2222, ("/k",)), "192.0.2.2": Asked("192.0.2.2", "me", 2222, ("/k",))}
    found = ways(
        "hosts:\n  a1: {address: web, cluster_address: 10.0.0.1}\n"
        "  a2: {address: 192.0.2.2, user: admin, port: 22, key: /own}\n",
        users,
    )
    a1, a2 = found["a1"], found["a2"]
    assert (a1.address, a1.user, a1.port, a1.keys, a1.only) == ("192.0.2.9", "me", 2222, ("/k",), False)
    assert (a2.address, a2.user, a2.port, a2.keys, a2.only) == ("192.0.2.2", "admin", 22, ("/own",), True)


def test_a_jump_host_is_shared_and_comes_before_what_goes_through_it() -> None:
    found = ways("defaults: {jump: ops@192.0.2.9}\nhosts:\n  a1: 192.0.2.1\n  a2: 192.0.2.2\n")
    assert list(found) == ["jump1.192.0.2.9", "a1", "a2"]
    assert {found["a1"].jump, found["a2"].jump} == {"jump1.192.0.2.9"}
    assert found["jump1.192.0.2.9"].user == "ops"


def test_what_a_jump_host_does_not_say_is_as_for_the_host_behind_it_but_never_the_password() -> None:
    found = ways(
        "defaults: {user: admin, key: /k, passphrase_env: P, password_env: S, sudo_password_env: R, port: 2022}\n"
        "jump_hosts:\n  gate: {address: 192.0.2.9}\nhosts:\n  a1: {address: 192.0.2.1, jump: gate}\n"
    )
    gate = found["gate"]
    assert (gate.user, gate.port, gate.keys, gate.only, gate.passphrase_env) == ("admin", 22, ("/k",), True, "P")
    assert (gate.password_env, gate.sudo_password_env) == ("", "")


def test_several_hops_one_behind_the_other() -> None:
    found = ways("hosts:\n  a1: {address: 192.0.2.1, jump: [192.0.2.8, 192.0.2.9]}\n")
    assert found["a1"].jump == "jump1.192.0.2.9"
    assert found["jump1.192.0.2.9"].jump == "jump1.192.0.2.8"
    assert found["jump1.192.0.2.8"].jump == ""


def test_a_host_is_a_jump_host_with_its_own_way() -> None:
    found = ways(
        "hosts:\n  a1: {address: 192.0.2.1, jump: a2}\n  a2: {address: 192.0.2.2, jump: 192.0.2.9}\n"
        "  a3: {address: 192.0.2.3, jump: [192.0.2.8, a2]}\n"
    )
    assert (found["a1"].jump, found["a2"].jump) == ("a2", "jump1.192.0.2.9")
    # Behind another one it is the same machine on another way.
    assert found[found["a3"].jump].address == "192.0.2.2"
    assert found[found["a3"].jump].jump == "jump1.192.0.2.8"


def test_the_users_own_jump_hosts_are_aliases_with_ways_of_their_own() -> None:
    users = {
        "192.0.2.1": Asked("192.0.2.1", jump=("me@Gate:23",)),
        "Gate": Asked("192.0.2.9", "x", 22, (), ("outer",)),
        "outer": Asked("192.0.2.8", "o"),
    }
    found = ways("hosts:\n  a1: 192.0.2.1\n", users)
    gate = found[found["a1"].jump]
    assert (gate.address, gate.user, gate.port) == ("192.0.2.9", "me", 23)
    assert found[gate.jump].address == "192.0.2.8"
    # An empty list says that there is none, whatever ssh_config says.
    assert ways("hosts:\n  a1: {address: 192.0.2.1, jump: []}\n", users)["a1"].jump == ""


def test_a_way_of_the_users_that_leads_to_itself_ends() -> None:
    users = {"192.0.2.1": Asked("192.0.2.1", jump=("g",)), "g": Asked("g", jump=("h",)), "h": Asked("h", jump=("g",))}
    with pytest.raises(InputError, match="leads to itself"):
        ways("hosts:\n  a1: 192.0.2.1\n", users)


def test_the_ssh_config_that_comes_of_it() -> None:
    found = ways("hosts:\n  a1: {address: 192.0.2.1, key: /k, jump: 192.0.2.9}\n")
    assert config(found.values(), [Path("/s/known hosts"), Path("/u")]) == (
        "Host jump1.192.0.2.9\n  HostName 192.0.2.9\n  User root\n  Port 22\n"
        '  IdentityFile "/k"\n  IdentitiesOnly yes\n  UserKnownHostsFile "/s/known hosts" "/u"\n'
        "  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n"
        "\nHost a1\n  HostName 192.0.2.1\n  User root\n  Port 22\n"
        '  IdentityFile "/k"\n  IdentitiesOnly yes\n  ProxyJump jump1.192.0.2.9\n'
        '  UserKnownHostsFile "/s/known hosts" "/u"\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n'
    )

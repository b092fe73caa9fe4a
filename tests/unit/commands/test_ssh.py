from __future__ import annotations

from pathlib import Path

from clusterctl.commands.ssh import UNSET, ask, parse, settings

ANSWER = """\
user clusterctl-unset
hostname 192.0.2.7
port 2222
identityfile ~/.ssh/my key
identityfile clusterctl-unset
userknownhostsfile /home/x/.ssh/known_hosts /home/x/.ssh/known_hosts2
globalknownhostsfile /etc/ssh/ssh_known_hosts
proxyjump a@b:3,c
proxycommand none
"""


def test_what_openssh_says_of_an_address() -> None:
    found = parse("web", ANSWER)
    assert (found.address, found.user, found.port, found.keys) == ("192.0.2.7", "", 2222, ("~/.ssh/my key",))
    assert (found.jump, found.proxy) == (("a@b:3", "c"), "")
    assert [Path(p).name for p in found.known] == ["known_hosts", "known_hosts2", "ssh_known_hosts"]


def test_an_answer_without_anything_leaves_the_address() -> None:
    assert parse("web", "").address == "web"


def test_what_is_decided_is_told_and_an_address_is_never_an_option() -> None:
    command = ask(Path("/t/c"), "web", user="admin", port=2022)
    assert command.line() == "ssh -G -F /t/c -o User=admin -o Port=2022 -- web"
    assert settings(Path("/home/x")).splitlines()[0] == 'Include "/home/x/.ssh/config"'
    assert settings(Path("/home/x")).count(UNSET) == 2

"""A glance: one round trip a host, nothing asked twice, and nobody waits for one that hangs."""

from __future__ import annotations

import re
import threading

from clusterctl.checks.layers.glance import Glance
from clusterctl.commands import facts
from clusterctl.commands.anatomy import glance
from clusterctl.plan.command import Command
from clusterctl.testing import FakeDocker, FakeDoor
from example import RECORDED, lab

LINKS = '[{"ifname": "eth0", "ifindex": 2, "addr_info": []}]'
BELOW = f"\x02\n\x01 namespace -\n\n\x01 links\n{LINKS}\n\x01 disks\n\x01 end\n"


def told(host: str, state: str = "finished") -> str:
    return (RECORDED / f"{host}-{state}.txt").read_text() + BELOW


def test_a_host_is_read_in_one_round_trip_and_its_docker_beside() -> None:
    doors = {h: FakeDoor(h, lambda _, h=h: (0, told(h), ""), docker=FakeDocker(h)) for h in ("docker1", "docker2")}
    found = Glance(lab(), doors.__getitem__).look({})
    assert {h: len(d.commands) for h, d in doors.items()} == {"docker1": 1, "docker2": 1}
    assert found.facts.docker("docker1").version == "20.10.24"
    assert found.anatomy("docker2").host.link("eth0").index == 2


def test_a_daemon_that_does_not_run_is_not_asked() -> None:
    class Asked(FakeDocker):
        def facts(self):
            raise AssertionError("this would start it")

    doors = {h: FakeDoor(h, lambda _, h=h: (0, told(h, "fresh"), ""), docker=Asked(h)) for h in ("docker1", "docker2")}
    found = Glance(lab(), doors.__getitem__).look({})
    assert (found.facts.docker("docker1"), found.silent) == (None, {})


def test_a_host_that_hangs_is_unknown_and_is_not_asked_again_while_it_does() -> None:
    released, asked = threading.Event(), []

    def hang(command: Command):
        asked.append(command)
        released.wait(20)
        return (0, told("docker2"), "")

    doors = {"docker1": FakeDoor("docker1", lambda _: (0, told("docker1"), "")), "docker2": FakeDoor("docker2", hang)}
    look = Glance(lab(), doors.__getitem__, within=0.3)
    found = look.look({})
    assert (set(found.facts.hosts), found.facts.missing) == ({"docker1"}, {"docker2": "no answer within 0.3 s"})
    found = look.look({})
    assert found.facts.missing == {"docker2": "no answer yet to what was asked before"}
    assert len(asked) == 1
    released.set()


def test_a_host_that_is_not_there_is_not_asked() -> None:
    doors = {"docker1": FakeDoor("docker1", lambda _: (0, told("docker1"), ""))}
    found = Glance(lab(), doors.__getitem__).look({"docker1": "", "docker2": "the host is not there"})
    assert found.facts.missing == {"docker2": "the host is not there"}


def test_what_takes_long_is_left_out() -> None:
    script = glance(("/etc/hosts",), ("docker.service",)).argv[2]
    assert "v dockerd" not in script
    assert "v dockerd" in facts.read_host((), ()).argv[2]
    assert not re.search("%[A-Z]+%", script)

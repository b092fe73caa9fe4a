"""The door to this machine, and the providers' registry."""

import time
from pathlib import Path

import pytest
from clusterctl.model.errors import HostError, InputError
from clusterctl.plan.action import MACHINE
from clusterctl.plan.command import command, script
from clusterctl.providers import registry
from clusterctl.providers.machine import MachineDoor


def test_a_command_gets_its_input_and_gives_its_output():
    result = MachineDoor().run(script('cat; echo "$1" >&2; exit 3', "it's", input=b"hello"))
    assert (result.host, result.exit_code, result.stdout, result.stderr) == (MACHINE, 3, "hello", "it's\n")


def test_past_its_deadline_the_whole_group_is_ended():
    result = MachineDoor().run(script("sleep 60 & echo $!; wait", within=0.2))
    assert result.exit_code == 124
    assert "ended after 0.2 s" in result.stderr
    process = Path(f"/proc/{int(result.stdout)}/stat")
    deadline = time.monotonic() + 10
    while runs(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(process), "only a zombie may be left of it"


def runs(stat):
    try:
        return stat.read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_a_program_that_is_not_there_is_a_result():
    result = MachineDoor().run(command("no-such-program"))
    assert result.exit_code == 127
    assert "no-such-program" in result.tail()


def test_the_machine_lends_neither_docker_nor_etcd():
    with pytest.raises(HostError):
        _ = MachineDoor().docker
    with pytest.raises(HostError):
        _ = MachineDoor().etcd


def test_a_provider_is_found_by_its_name():
    assert registry.provider("local").destroys
    with pytest.raises(InputError, match="none of local"):
        registry.provider("cloud")

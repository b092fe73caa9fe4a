"""What the answers of a comparison come to."""

from __future__ import annotations

import pytest
from clusterctl.checks.comparison import End, Setting, measure
from clusterctl.model.compared import Compared
from clusterctl.model.errors import Interrupted
from clusterctl.plan.command import Result
from clusterctl.plan.door import Exec

REPLY = (
    "PING x ({ip}): 56 data bytes\n64 bytes from {ip}: seq=0 ttl=64 time=0.1 ms\n"
    "2 packets transmitted, 2 packets received, 0% packet loss\n"
)
LOST = "PING x ({ip}): 56 data bytes\n\n2 packets transmitted, 0 packets received, 100% packet loss\n"
IPS = {"source": "10.0.0.2", "near": "10.0.0.3", "far": "10.0.0.9"}


class Host:
    """A host whose containers reach those that it is told, and are not asked in one bundle."""

    def __init__(self, reach: set[str], transfer: str = "1250000 10.0 11.0\n", payload: str = "1450") -> None:
        self.reach, self.transfer, self.payload = reach, transfer, payload
        self.docker = self

    def exec(self, container, argv, within=10.0):
        text = argv[-1]
        if "one()" in text:
            raise RuntimeError("no shell")
        if argv[0] == "ping" and "-q" in argv:
            return Exec(0, "round-trip min/avg/max = 0.050/0.123/0.300 ms\n")
        if argv[0] == "ping":
            name = text.removeprefix("cmp-")
            ip = IPS.get(name, text)
            if name not in self.reach and text not in self.reach:
                return Exec(1, f"ping: bad address '{text}'\n" if name in IPS else LOST.format(ip=ip))
            return Exec(0, REPLY.format(ip=ip))
        if "mtu" in " ".join(argv):
            return Exec(0, "eth0 1450\n")
        return Exec(0, f"Terminated\n{self.transfer}" if "dd if" in text else "")

    def run(self, command):
        line = command.line()
        if "ping -n" in line:
            return Result("h", command, 1, LOST.format(ip=IPS["source"]), "")
        return Result("h", command, 0, f"call mtu:{IPS['far']}:0:1450 ok 1 {self.payload}\nend\n", "")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Ask each probe by itself, as where an image has no shell."""
    from clusterctl.checks import perform

    monkeypatch.setattr(perform, "_bundle", lambda door, probes: {p: perform._one(door, p) for p in probes})


def setting(**changes):
    ends = {n: End("docker2" if n == "far" else "docker1", f"cmp-{n}", ip) for n, ip in IPS.items()}
    peers = {"near": ends["near"], "far": ends["far"]}
    values = {"network": Compared.OVERLAY, "source": ends["source"], "peers": peers, "outsider": End("docker1", "o")}
    return Setting(**{**values, **changes})


def row(host, **changes):
    return measure(setting(**changes), lambda name: host)


def values(pair):
    return pair.near.value, pair.far.value


def test_what_is_reached_is_timed_and_what_is_not_is_not() -> None:
    found = row(Host({"near", "far", IPS["near"], IPS["far"]}))
    assert (values(found.name), values(found.address)) == ((True, True), (True, True))
    assert (found.by_host.value, found.by_outsider.value) == (False, False)
    assert (found.mtu.value, found.payload.value) == (1450, 1422)
    assert (values(found.milliseconds), values(found.megabits)) == ((0.123, 0.123), (10, 10))
    found = row(Host({IPS["near"]}))
    assert (values(found.name), values(found.address)) == ((False, False), (True, False))
    assert found.name.near.seen == "ping: bad address 'cmp-near'"
    assert values(found.megabits) == (10, None)


def test_an_address_that_is_another_container_s_here_is_not_the_far_one() -> None:
    found = row(Host({IPS["near"], IPS["far"]}), own=frozenset({IPS["far"]}))
    assert values(found.address) == (True, False)
    assert "each host has its own" in found.address.far.seen


def test_a_container_without_an_address_is_reached_by_nobody() -> None:
    none = {"source": End("docker1", "cmp-source"), "peers": {"near": End("docker1", "cmp-near")}}
    found = row(Host(set()), **none)
    assert (values(found.address), found.by_host.value) == ((False, None), None)
    assert values(found.milliseconds) == (None, None)


def test_a_transfer_that_failed_says_how() -> None:
    found = row(Host({IPS["near"]}, transfer="10.0 11.0\n"))
    assert (found.megabits.near.value, "no transfer" in found.megabits.near.seen) == (None, True)
    found = row(Host({IPS["far"]}, payload="no answer"))
    assert (found.payload.value, found.payload.seen) == (None, "no answer to packets of any size")


def test_it_ends_between_two_steps() -> None:
    def stop() -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        measure(setting(), lambda name: Host(set()), stop)

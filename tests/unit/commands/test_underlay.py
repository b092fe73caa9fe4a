"""The two scripts, run here on loopback in both languages, and the reading of what they print."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest
from clusterctl.commands import underlay
from clusterctl.commands.underlay import Answered, Call, Heard, call, listen, read_calls, read_heard

LO = "127.0.0.1"


@pytest.fixture(params=["perl", "python"])
def run(request):
    """Start a command with one of the two languages; what still runs afterwards is ended."""
    if request.param == "perl" and not shutil.which("perl"):
        pytest.skip("there is no perl")
    started = []

    def start(command) -> subprocess.Popen[str]:
        argv = list(command.argv)
        if request.param == "python":
            argv[2] = argv[2].replace("if perl", "if false && perl")
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    return out


def free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind((LO, 0))
        return s.getsockname()[1]


def test_they_hear_each_other_and_end(run) -> None:
    tcp, udp = free(socket.SOCK_STREAM), free(socket.SOCK_DGRAM)
    calls = [Call("tcp", LO, tcp), Call("udp", LO, udp)]
    listener, caller = run(listen(LO, "secret", [f"tcp {tcp}", f"udp {udp}"], [LO], [])), run(call(LO, "secret", calls))
    found, heard = read_calls(ended(caller), calls), read_heard(ended(listener))
    assert {c: a.ok for c, a in found.items()} == dict.fromkeys(calls, True)
    assert heard.heard == {(f"tcp {tcp}", LO), (f"udp {udp}", LO)}
    assert heard.bound == {f"tcp {tcp}", f"udp {udp}"}


def test_what_others_hold_is_said_and_what_nobody_has_is_refused(run) -> None:
    nobody = free(socket.SOCK_STREAM)
    calls = [Call("tcp", LO, nobody)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((LO, 0))
        port = f"udp {held.getsockname()[1]}"
        listener, caller = run(listen(LO, "secret", [port], [LO], [])), run(call(LO, "secret", calls))
        assert read_heard(ended(listener)).held == {port: "Address already in use"}
    (answer,) = read_calls(ended(caller), calls).values()
    assert (answer.ok, answer.seen) == (False, "Connection refused")
    assert answer.tries > 2


def test_another_s_token_is_not_heard(run) -> None:
    port = free(socket.SOCK_DGRAM)
    calls = [Call("udp", LO, port)]
    listener, caller = run(listen(LO, "one", [f"udp {port}"], [LO], [])), run(call(LO, "two", calls))
    assert not read_calls(ended(caller), calls)[calls[0]].ok
    assert read_heard(ended(listener)).heard == frozenset()


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")
def test_loopback_carries_the_largest_packet(run) -> None:
    calls = [Call("mtu", LO, 0, 1500)]
    assert read_calls(ended(run(call(LO, "x", calls))), calls) == {calls[0]: Answered(True, "1500", 1)}


def test_without_either_language_it_says_so() -> None:
    argv = listen(LO, "x", [], [], []).argv
    done = subprocess.run(
        [argv[0], argv[1], "command() { return 1; }; perl() { return 1; }\n" + argv[2], *argv[3:]],
        check=False,
        timeout=9,
    )
    assert done.returncode == underlay.NEITHER


def test_what_the_listener_prints_is_read() -> None:
    text = "bound tcp 2379\nheld udp 4789 Address already in use\nheard tcp 2379 10.1.1.2\nsteps 1 21 20\nend\n"
    assert read_heard(text) == Heard(
        frozenset({"tcp 2379"}),
        {"udp 4789": "Address already in use"},
        frozenset({("tcp 2379", "10.1.1.2")}),
        (1, 21, 20),
    )


@pytest.mark.parametrize("text", ["", "bound tcp 2379\n", "Killed\nend\n"])
def test_what_is_not_whole_is_not_believed(text: str) -> None:
    with pytest.raises(ValueError, match=r"printed|end"):
        read_heard(text)
    with pytest.raises(ValueError, match=r"printed|end"):
        read_calls(text, [])


def test_the_listener_needs_no_root_the_caller_does() -> None:
    assert not listen(LO, "x", [], [], []).root
    assert call(LO, "x", []).root

"""One kind of network measured: what is asked of its containers, and what the answers come to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterctl.checks.perform import ask
from clusterctl.checks.ping import read_ping
from clusterctl.checks.probe import Answers, InContainer, OnHost, Ran, Unanswered, last_line
from clusterctl.commands import underlay
from clusterctl.model.compared import Cell, Compared, NearFar, Row
from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterctl.checks.perform import Doors
    from clusterctl.checks.probe import Probe

LARGEST_TRIED = 9000
"""Bytes of the largest packet that is tried."""

HEADERS = 28
"""Bytes of IPv4's and ICMP's headers around the payload of an echo request."""

PACKETS = 10
PORT = 5201
"""iperf3's own port."""

SECONDS = 1
"""How long a transfer takes; a whole number, as busybox knows no other."""


@dataclass(frozen=True, slots=True)
class End:
    """A container of the comparison; ip is "" where it has no address."""

    host: str
    name: str
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """The containers of one kind of network.

    source: the one that asks. peers: those that are asked, "near" on its host and "far" on another. outsider: one on
    its host and on another network. own: each address of a container on its host: asked for, it would be found here.
    iperf3: whether the hosts have it.
    """

    network: Compared
    source: End
    peers: Mapping[str, End]
    outsider: End
    own: frozenset[str] = frozenset()
    iperf3: bool = False


def measure(setting: Setting, doors: Doors, still: Callable[[], None] = lambda: None) -> Row:
    """Measure one kind of network: quick questions side by side, then each that needs the wire to itself.

    still: called between the steps; raises where they must end.
    """
    source, peers = setting.source, setting.peers
    names = {w: _ping(source, e.name) for w, e in peers.items()}
    reach = {w: _ping(source, e.ip) for w, e in peers.items() if e.ip and (w == "near" or e.ip not in setting.own)}
    towards = next((e.ip for e in reversed(tuple(peers.values())) if e.ip), "127.0.0.1")
    link = InContainer(source.host, source.name, ("sh", "-c", _LINK, "sh", towards))
    by_host = OnHost(source.host, script('ping -n -c 2 -i 0.2 -W 1 "$1"', source.ip, within=8, ok=(0, 1, 2)))
    by_outsider = _ping(setting.outsider, source.ip)
    quick: list[Probe] = [link, *names.values(), *reach.values(), *((by_host, by_outsider) if source.ip else ())]
    answers = Answers(ask(quick, doors))
    address = {w: _reached(answers, reach.get(w), e, setting) for w, e in peers.items()}
    reached = [w for w, cell in address.items() if cell.value]
    mtu = _cell(lambda: _mtu(answers.exec(link)))
    still()
    times, payload = _timed(setting, reached, mtu, doors)
    speeds = {}
    for where in reached:
        still()
        speeds[where] = _speed(setting, peers[where], doors)
    nothing = Cell(None, "it has no address")
    return Row(
        setting.network,
        name=_pair({w: _reached(answers, p, peers[w], setting) for w, p in names.items()}),
        address=_pair(address),
        by_host=_reached(answers, by_host, source, setting) if source.ip else nothing,
        by_outsider=_reached(answers, by_outsider, source, setting) if source.ip else nothing,
        mtu=mtu,
        payload=payload,
        milliseconds=_pair(times),
        megabits=_pair(speeds),
    )


def _pair(found: Mapping[str, Cell]) -> NearFar:
    return NearFar(found.get("near", Cell()), found.get("far", Cell()))


def _cell(read: Callable[[], Cell]) -> Cell:
    """Return what was read, or why there is nothing."""
    try:
        return read()
    except Unanswered as error:
        return Cell(None, error.trouble.seen)
    except ValueError as error:
        return Cell(None, str(error))


def _ping(end: End, to: str) -> InContainer:
    return InContainer(end.host, end.name, ("ping", "-c", "2", "-i", "0.2", "-W", "1", to))


def _reached(answers: Answers, probe: InContainer | OnHost | None, target: End, setting: Setting) -> Cell:
    if probe is None:
        if not target.ip:
            return Cell(False, "it has no address")
        return Cell(False, f"{target.ip} is one of {setting.source.host}'s own containers there: each host has its own")
    if isinstance(probe, OnHost):
        return _cell(lambda: _answered(answers.result(probe).stdout, answers.result(probe).exit_code, target))
    return _cell(lambda: _answered(answers.exec(probe).output, answers.exec(probe).exit_code, target))


def _answered(output: str, code: int, target: End) -> Cell:
    echo = read_ping(Ran(code, output))
    if echo.received and echo.address in (target.ip, ""):
        return Cell(True, f"{echo.address} answered")
    if echo.received:
        return Cell(False, f"{target.name} was taken for {echo.address}, it has {target.ip or 'no address'}")
    return Cell(False, echo.last or "no answer")


# "$1" the address that the interface leads to. An address of one's own leads to lo: its own interface is meant.
_LINK = r"""
d=$(ip -o route get "$1" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
[ "$d" != lo ] || d=$(ip -o addr | sed -n "s/^[0-9]*: \([^ ]*\) *inet $1[/ ].*/\1/p")
[ -n "$d" ] && [ "$d" != lo ] && echo "$d $(cat "/sys/class/net/$d/mtu")" || echo none"""


def _mtu(ran: Ran) -> Cell:
    words = ran.output.split()
    if len(words) != 2 or not words[1].isdigit():
        return Cell(None, "no interface leads anywhere")
    return Cell(int(words[1]), words[0])


def _timed(setting: Setting, reached: list[str], mtu: Cell, doors: Doors) -> tuple[dict[str, Cell], Cell]:
    """Return the round trip to each peer, and the largest payload to the farthest one."""
    source = setting.source
    argv = ("ping", "-q", "-c", str(PACKETS), "-i", "0.1", "-W", "1")
    trips = {w: InContainer(source.host, source.name, (*argv, setting.peers[w].ip), within=6.0) for w in reached}
    if not reached or not isinstance(mtu.value, int):
        return {}, Cell(None, "nobody is reached")
    to = setting.peers[reached[-1]].ip
    call = underlay.Call("mtu", to, 0, min(mtu.value, LARGEST_TRIED))
    largest = OnHost(
        source.host,
        inside(source, underlay.call(source.ip, "compare", [call])),
        f"docker exec {source.name} ping -M do -s SIZE {to}",
    )
    answers = Answers(ask([*trips.values(), largest], doors))
    times = {w: _cell(lambda p=p: _average(answers.exec(p))) for w, p in trips.items()}  # type: ignore[misc]
    return times, _cell(lambda: _payload(answers.result(largest).stdout, call, to))


def inside(end: End, command: Command) -> Command:
    """Run a command of the host in a container's network namespace, so that its image need not have it."""
    enter = 'pid=$(docker inspect -f "{{.State.Pid}}" "$1") || exit; shift; exec nsenter -t "$pid" -n "$@"'
    return script(enter, end.name, *command.argv, within=command.within, ok=command.ok)


def _average(ran: Ran) -> Cell:
    found = re.search(r"min/avg/max\S* = [\d.]+/([\d.]+)/", ran.output)
    if not found:
        raise ValueError(f"ping said no time: {ran.output.strip()[-80:]}")
    return Cell(round(float(found[1]), 3), f"the mean of {PACKETS}")


def _payload(text: str, call: underlay.Call, to: str) -> Cell:
    seen = underlay.read_calls(text, [call])[call].seen
    if not seen.isdigit():
        raise ValueError(f"{seen} to packets of any size")
    return Cell(int(seen) - HEADERS, f"packets of {seen} bytes pass to {to} in one piece")


def _speed(setting: Setting, to: End, doors: Doors) -> Cell:
    if setting.iperf3:
        return _by_iperf3(setting.source, to, doors)
    # The far end counts and says the count over the same connection. Neither says when it is ready, so the sender
    # tries until it is let in.
    take = InContainer(to.host, to.name, ("timeout", "12", "nc", "-l", "-p", str(PORT), "-e", "wc", "-c"), within=14.0)
    uptime = "$(cut -d' ' -f1 /proc/uptime)"
    text = (
        f"n=0; while [ $((n+=1)) -le 30 ]; do s={uptime}; c=$(timeout {SECONDS} dd if=/dev/zero bs=64k 2>/dev/null "
        f'| nc {to.ip} {PORT} 2>/dev/null); [ -n "$c" ] && break; sleep 0.2; done; echo $c $s {uptime}'
    )
    give = InContainer(setting.source.host, setting.source.name, ("sh", "-c", text), within=14.0)
    answers = Answers(ask([take, give], doors))
    return _cell(lambda: _rate(answers.exec(give)))


def _rate(given: Ran) -> Cell:
    # The shell says that it ended dd; what counts is the last line.
    words = last_line(given.output).split()
    if len(words) != 3 or not words[0].isdigit():
        raise ValueError(f"no transfer: {given.output.strip()[-60:]}")
    count, seconds = int(words[0]), float(words[2]) - float(words[1])
    if not count or seconds <= 0:
        raise ValueError("no transfer: nothing arrived")
    return Cell(round(count * 8 / seconds / 1e6), f"nc, {count / 1e6:.0f} MB in {seconds:.2f} s")


def _by_iperf3(source: End, to: End, doors: Doors) -> Cell:
    take = OnHost(to.host, inside(to, script(f"timeout 12 iperf3 -s -1 -p {PORT}", within=14, ok=(0, 1, 124))))
    # With -J it ends with 0 whatever it met (3.12).
    text = (
        f'n=0; while [ $((n+=1)) -le 30 ]; do o=$(iperf3 -J -c "$1" -p {PORT} -t {SECONDS}); '
        """case $o in *'"error"'*) sleep 0.2;; *) break;; esac; done; printf "%s" "$o\""""
    )
    give = OnHost(source.host, inside(source, script(text, to.ip, within=14)))
    answers = Answers(ask([take, give], doors))

    def read() -> Cell:
        said = json.loads(answers.result(give).stdout or "{}")
        if "end" not in said or said.get("error"):
            raise ValueError(f"iperf3: {said.get('error', 'no result')}")
        return Cell(round(said["end"]["sum_received"]["bits_per_second"] / 1e6), "iperf3")

    return _cell(read)

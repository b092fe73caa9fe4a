"""What passes between two hosts, measured by two scripts a host: one listens for all its peers, one calls them all.

Both end by themselves, bind to the cluster address only and leave nothing behind. They need perl (every Debian
and Ubuntu has it) or python3; the two ways do and print the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LISTENS = 3.0
"""Seconds that a host listens at most; it ends as soon as everybody was heard."""

CALLS = 2.0
"""Seconds that a host calls at most; it ends as soon as everybody answered."""

LARGEST, SMALLEST = 1500, 576
"""Between these sizes of whole packets the path's MTU is looked for."""

BURSTS = 8
"""How often packets are sent to a port that only a counter shows the arrival of."""

NEITHER = 69
"""The exit code where there is neither perl nor python3 (EX_UNAVAILABLE)."""

_FIRST, _APART = 20, 7

_PICK = f"""export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin:/usr/libexec"; a=$1 b=$2; shift 2
if perl -MIO::Socket::INET -MIO::Select -e1 2>/dev/null; then exec perl -e "$a" "$@"; fi
for p in python3 platform-python; do command -v $p >/dev/null 2>&1 && exec $p -c "$b" "$@"; done
exit {NEITHER}"""


def burst(place: int) -> int:
    """Return how many packets the host at this place in the inventory sends at once: each another number."""
    return _FIRST + place * _APART


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a peer.

    kind: `tcp` connects; `udp` sends what our listener knows; `gossip` asks serf, which Docker runs; `burst`
    sends packets that are seen only by how many there are; `mtu` looks for the largest packet that gets through.
    size: packets of a burst, or bytes of the largest packet; for `tcp`, 1 where somebody else's service is called,
    which would complain about a connection that is reset.
    """

    kind: str
    address: str
    port: int = 0
    size: int = 0

    def word(self) -> str:
        """Return it as a word for the script."""
        return f"{self.kind}:{self.address}:{self.port}:{self.size}"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a host's listener met. Ports are written "udp 4789".

    bound: what it could listen on. held: what somebody else has. heard: who was heard where.
    steps: by how much the kernel's count of UDP packets rose at once, in order.
    """

    bound: frozenset[str] = frozenset()
    held: Mapping[str, str] = field(default_factory=dict)
    heard: frozenset[tuple[str, str]] = frozenset()
    steps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a call: `ok` with what was seen, or how it failed last. tries: how often it was tried."""

    ok: bool
    seen: str
    tries: int = 0


def _text(name: str) -> str:
    return files("clusterctl.commands").joinpath("scripts", name).read_text(encoding="utf-8")


def listen(address: str, token: str, ports: Iterable[str], peers: Iterable[str], watched: Sequence[int]) -> Command:
    """Listen on the ports ("udp 4789") until all peers were heard on all of them.

    token: what our packets begin with. watched: the bursts that are to be counted where a port is the kernel's.
    """
    where = [p.replace(" ", ":") for p in ports]
    words = (address, f"{LISTENS:g}", token, ",".join(map(str, watched)), ",".join(peers), *where)
    return script(_PICK, _text("listen.pl"), _text("listen.py"), *words, root=False, within=LISTENS + 3)


def call(address: str, token: str, calls: Sequence[Call]) -> Command:
    """Call all peers. It runs as root for the packets that measure the path."""
    words = (address, f"{CALLS:g}", token, *(c.word() for c in calls))
    return script(_PICK, _text("call.pl"), _text("call.py"), *words, within=CALLS + 3)


def read_heard(text: str) -> Heard:
    """Read what the listener printed. Raises ValueError when it did not come to its end."""
    bound, held, heard, steps = set[str](), dict[str, str](), set[tuple[str, str]](), list[int]()
    for words in _lines(text):
        match words:
            case ["bound", proto, port]:
                bound.add(f"{proto} {port}")
            case ["held", proto, port, *why]:
                held[f"{proto} {port}"] = " ".join(why)
            case ["heard", proto, port, address]:
                heard.add((f"{proto} {port}", address))
            case ["steps", *numbers]:
                steps += [int(n) for n in numbers if n.isdigit()]
            case _:
                raise ValueError(f"the listener printed {' '.join(words)[:80]!r}")
    return Heard(frozenset(bound), held, frozenset(heard), tuple(steps))


def read_calls(text: str, calls: Sequence[Call]) -> dict[Call, Answered]:
    """Read what became of the calls. Raises ValueError when the script did not come to its end."""
    found = {}
    known = {c.word(): c for c in calls}
    for words in _lines(text):
        match words:
            case ["call", word, "ok" | "no" as how, tries, *seen] if word in known and tries.isdigit():
                found[known[word]] = Answered(how == "ok", " ".join(seen), int(tries))
            case _:
                raise ValueError(f"the caller printed {' '.join(words)[:80]!r}")
    return found


def _lines(text: str) -> list[list[str]]:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[-1] != ["end"]:
        raise ValueError("it did not come to its end")
    return lines[:-1]

"""Listening on many links of many hosts at once while one of them pings."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from clusterctl.commands import capture
from clusterctl.commands.tcpdump import DEAF, MISSING
from clusterctl.model.errors import ClusterctlError, HostError, HostsFailed
from clusterctl.plan.command import Result
from clusterctl.plan.together import side_by_side
from clusterctl.topology import packets
from clusterctl.topology.capture import by_host, follow, points, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clusterctl.plan.command import Command
    from clusterctl.plan.door import Door
    from clusterctl.topology.capture import Point, Sighting
    from clusterctl.topology.packets import Packet
    from clusterctl.topology.path import Path
    from clusterctl.topology.topology import Topology

WITHIN = 20.0
"""Seconds for all hosts to begin, and for all to bring back what they have."""

LIMIT = 30
"""Seconds after which a host ends its captures by itself, besides the pings'."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A ping that was captured along a path. packets: all that each point heard. ping: how it ended."""

    path: Path
    sightings: tuple[Sighting, ...]
    packets: Mapping[Point, tuple[Packet, ...]]
    ping: Result


def see(topology: Topology, there: Path, back: Path, doors: Callable[[str], Door], count: int = 1) -> Seen:
    """Ping along a path while every link on it listens. back: the way of the answer.

    Raises ClusterctlError where no packet leaves the sender, HostsFailed where a host cannot capture.
    """
    if not there.hops:
        raise ClusterctlError(f"there is nothing to capture: {there.broken}", hint="clusterctl net map")
    threading.Thread(target=packets.load, name="scapy", daemon=True).start()
    start, mark = there.source, secrets.token_bytes(16)
    inside = "" if start.space.inode == start.host.own else start.space.path
    ping = capture.ping(inside, count, mark.hex(), there.address, start.container.name if start.container else "")
    heard, made = listen(points(topology, there, back), doors, start.host.name, ping)
    ports = sorted({h.link.udp_port for h in (*there.hops, *back.hops) if h.link.udp_port})
    decoded = {point: packets.decode(data, ports) for point, data in heard.items()}
    # The first bytes of a ping's data are its time; the mark is repeated after it.
    return Seen(there, follow(decoded, mark[:8]), decoded, made)


def listen(
    where: Sequence[Point], doors: Callable[[str], Door], sender: str, ping: Command
) -> tuple[dict[Point, bytes], Result]:
    """Capture on all points while `ping` runs on the host `sender`; return the captures and how it ended.

    Raises HostsFailed where a host cannot capture; nothing is left running on any.
    """
    hosts = by_host(where)
    folders = _begin(hosts, doors, LIMIT + int(ping.within))
    try:
        made = doors(sender).run(ping)
    finally:
        heard = _collect(hosts, folders, doors)
    return {point: heard[point] for point in where}, made


def _begin(hosts: Mapping[str, Sequence[Point]], doors: Callable[[str], Door], limit: int) -> dict[str, str]:
    def begin(host: str) -> Result:
        links = [(p.entered, p.link, p.filter) for p in hosts[host]]
        return doors(host).run(capture.start(links, limit))

    begun = side_by_side({host: partial(begin, host) for host in hosts}, WITHIN)
    errors = {host: error for host, result in begun.items() if (error := _why_not(host, result))}
    folders = {h: r.stdout.strip() for h, r in begun.items() if isinstance(r, Result) and h not in errors}
    if errors:
        side_by_side({h: partial(doors(h).run, capture.collect(folders[h])) for h in folders}, WITHIN)
        raise HostsFailed("capture", errors, [])
    return folders


def _why_not(host: str, result: Result | str) -> ClusterctlError | None:
    if isinstance(result, str):
        return HostError(host, f"capture: {result.removeprefix(f'{host}: ')}")
    if result.exit_code == MISSING:
        return HostError(
            host,
            "there is no tcpdump",
            hint=f"clusterctl exec --root --hosts {host} -- apt-get install -y tcpdump",
        )
    if result.exit_code == DEAF or not result.ok:
        return HostError(host, f"tcpdump did not start: {result.tail()}")
    return None


def _collect(
    hosts: Mapping[str, Sequence[Point]], folders: Mapping[str, str], doors: Callable[[str], Door]
) -> dict[Point, bytes]:
    """Return what each point heard; a host that does not give it back is an error."""

    def collect(host: str) -> dict[Point, bytes]:
        done = doors(host).run(capture.collect(folders[host])).expect("bring the captures back")
        try:
            return unpack(done.stdout, hosts[host])
        except ValueError as error:
            raise HostError(host, str(error)) from error

    found = side_by_side({host: partial(collect, host) for host in folders}, WITHIN)
    errors = {h: HostError(h, why.removeprefix(f"{h}: ")) for h, why in found.items() if isinstance(why, str)}
    if errors:
        raise HostsFailed("capture", errors, [])
    return {point: data for got in found.values() if isinstance(got, dict) for point, data in got.items()}

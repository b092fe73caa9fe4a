"""Captured packets decoded, and written as pcapng. The only module that imports scapy, and only where it is used."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

ETHERNET = 1
"""The link type of Ethernet in capture files."""

ASKS = "ARP: who has "
_BARE = (12, 14, 101, 228)
"""Link types whose packets begin with the IP header."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a packet up to IP. macs and ips: from whom to whom. tag: the VLAN, 0 for none.

    then: in words what IP carries.
    """

    macs: tuple[str, str] = ("", "")
    tag: int = 0
    ips: tuple[str, str] = ("", "")
    ttl: int = 0
    then: str = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as a link saw it. time: seconds since the epoch by that host's clock. length: in bytes.

    inner: the headers of the packet itself. outer, vni: what VXLAN put around it, None and 0 without.
    echo: `request` or `reply` of a ping, "" for anything else; payload: its data, which no hop changes.
    raw: all of it, with the capture's link type.
    """

    time: float
    length: int
    inner: Headers
    outer: Headers | None = None
    vni: int = 0
    echo: str = ""
    sequence: int = 0
    payload: bytes = b""
    raw: bytes = b""
    linktype: int = ETHERNET

    @property
    def asks(self) -> bool:
        """Whether it is a question who has an address."""
        return self.inner.then.startswith(ASKS)


def load() -> None:
    """Import scapy ahead of its use, while something else is waited for."""
    import scapy.layers.vxlan
    import scapy.utils  # noqa: F401


def decode(capture: bytes, ports: Sequence[int] = ()) -> tuple[Packet, ...]:
    """Decode a pcap file. ports: the UDP ports whose packets are VXLAN. Raises ValueError when it is none."""
    from scapy.error import Scapy_Exception
    from scapy.utils import RawPcapReader

    try:
        with RawPcapReader(io.BytesIO(capture)) as reader:
            return tuple(_packet(raw, meta, reader.linktype, reader.nano, ports) for raw, meta in reader)
    except (Scapy_Exception, EOFError) as error:
        raise ValueError(f"tcpdump wrote no capture: {error}") from error


def _packet(raw: bytes, meta: Any, linktype: int, nano: bool, ports: Sequence[int]) -> Packet:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.layers.vxlan import VXLAN

    frame = IP(raw) if linktype in _BARE else Ether(raw)
    time = meta.sec + meta.usec / (1e9 if nano else 1e6)
    udp = frame.getlayer(UDP)
    if udp is not None and udp.dport in ports:
        tunnel = VXLAN(bytes(udp.payload))
        inner = Ether(bytes(tunnel.payload))
        then = f"UDP {udp.sport} → {udp.dport}, VXLAN VNI {tunnel.vni}"
        return Packet(
            time, meta.wirelen, _headers(inner), _headers(frame, then), tunnel.vni, *_echo(inner), raw, linktype
        )
    return Packet(time, meta.wirelen, _headers(frame), None, 0, *_echo(frame), raw, linktype)


def _headers(frame: Any, then: str = "") -> Headers:
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import ARP, Dot1Q, Ether

    ether, tag, ip, icmp, arp = (frame.getlayer(layer) for layer in (Ether, Dot1Q, IP, ICMP, ARP))
    if arp is not None:
        asks = f"{ASKS}{arp.pdst}?" if arp.op == 1 else f"ARP: {arp.psrc} is at {arp.hwsrc}"
        then = then or asks
    elif icmp is not None:
        echo, sequence, _ = _echo(frame)
        then = then or (f"ICMP echo {echo}, seq {sequence}" if echo else f"ICMP type {icmp.type} code {icmp.code}")
    return Headers(
        macs=(ether.src, ether.dst) if ether is not None else ("", ""),
        tag=tag.vlan if tag is not None else 0,
        ips=(ip.src, ip.dst) if ip is not None else (arp.psrc, arp.pdst) if arp is not None else ("", ""),
        ttl=ip.ttl if ip is not None else 0,
        then=then,
    )


def _echo(frame: Any) -> tuple[str, int, bytes]:
    from scapy.layers.inet import ICMP, IPerror

    icmp = frame.getlayer(ICMP)
    if icmp is None or icmp.type not in (0, 8) or frame.getlayer(IPerror) is not None:
        return "", 0, b""
    return "request" if icmp.type == 8 else "reply", int(icmp.seq or 0), bytes(icmp.payload)


def write(path: Path, seen: Mapping[str, Sequence[Packet]]) -> None:
    """Write packets by the name of the interface that saw them as pcapng; one that saw none is listed as well."""
    import scapy.layers.inet  # noqa: F401 - it makes scapy know the link types
    from scapy.config import conf
    from scapy.utils import PcapNgWriter

    class Writer(PcapNgWriter):  # type: ignore[misc]
        def _write_header(self, pkt: object) -> None:
            """Begin with our interfaces; the original begins with one that has no name."""
            self.header_present = True
            self._write_block_shb()
            for number, (name, packets) in enumerate(seen.items()):
                self.interfaces2id[name.encode()] = number
                self._write_block_idb(_linktype(packets), name.encode())

    packets = ((name, packet) for name, several in seen.items() for packet in several)
    with Writer(str(path)) as out:
        out.linktype = ETHERNET
        out.write_header(None)
        for name, packet in sorted(packets, key=lambda each: each[1].time):
            frame = conf.l2types[packet.linktype](packet.raw)
            frame.sniffed_on, frame.time, frame.wirelen = name, packet.time, packet.length
            out.write_packet(frame)


def _linktype(packets: Iterable[Packet]) -> int:
    return next((p.linktype for p in packets), ETHERNET)

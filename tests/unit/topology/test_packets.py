"""Packets as tcpdump wrote them, decoded and written again; Wireshark's own reader agrees where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from clusterctl.topology.packets import ETHERNET, Packet, decode, write
from recorded_hosts import FOLDER

PLAIN, WRAPPED = "docker1-qyt1-eth0", "docker1-eth0"


def recorded(name: str) -> tuple[Packet, ...]:
    return decode((FOLDER / f"{name}.pcap").read_bytes(), [4789])


def test_a_ping_has_its_headers_and_its_payload() -> None:
    request, reply = recorded(PLAIN)
    assert (request.echo, reply.echo, request.sequence) == ("request", "reply", 1)
    assert request.inner.macs == ("02:42:0a:0a:0a:03", "02:42:0a:0a:0a:02")
    assert (request.inner.ips, request.inner.ttl, request.length) == (("10.10.10.3", "10.10.10.2"), 64, 98)
    assert request.inner.then == "ICMP echo request, seq 1"
    assert (request.outer, request.vni) == (None, 0)
    assert request.payload == reply.payload
    assert len(request.payload) == 56


def test_vxlan_is_taken_apart() -> None:
    request, reply = recorded(WRAPPED)
    assert (request.vni, request.length) == (256, 148)
    assert request.outer
    assert request.outer.ips == ("10.1.85.1", "10.1.85.2")
    assert request.outer.then.endswith("→ 4789, VXLAN VNI 256")
    assert request.inner == recorded(PLAIN)[0].inner
    assert (reply.inner.ips, reply.echo) == (("10.10.10.2", "10.10.10.3"), "reply")


def test_on_another_port_it_is_vxlan_only_when_told() -> None:
    capture = (FOLDER / f"{WRAPPED}.pcap").read_bytes()
    assert [p.vni for p in decode(capture)] == [0, 0]
    moved = capture.replace((4789).to_bytes(2), (4790).to_bytes(2))
    assert [p.vni for p in decode(moved, [4790])] == [256, 256]


@pytest.mark.parametrize("text", [b"", b"tcpdump: permission denied"])
def test_what_is_no_capture_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match="no capture"):
        decode(text)


def test_a_capture_without_packets_has_none() -> None:
    assert decode((FOLDER / f"{PLAIN}.pcap").read_bytes()[:24]) == ()


def written(folder: Path) -> Path:
    path = folder / "all.pcapng"
    write(path, {"docker1/qyt1/eth0": recorded(PLAIN), "docker1/br0": (), "docker1/eth0": recorded(WRAPPED)})
    return path


def test_what_is_written_is_read_again_with_its_interfaces_and_in_order_of_time(tmp_path: Path) -> None:
    from scapy.utils import PcapNgReader

    with PcapNgReader(str(written(tmp_path))) as reader:
        found = list(reader)
    assert [p.sniffed_on for p in found] == [f"docker1/{n}" for n in ("qyt1/eth0", "eth0", "eth0", "qyt1/eth0")]
    assert bytes(found[1]) == recorded(WRAPPED)[0].raw
    assert [float(p.time) for p in found] == sorted(p.time for n in (PLAIN, WRAPPED) for p in recorded(n))
    assert {p.linktype for p in recorded(PLAIN)} == {ETHERNET}


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed: apt-get install tshark")
def test_wireshark_names_the_interfaces_and_finds_the_vni(tmp_path: Path) -> None:
    fields = ("-T", "fields", "-e", "frame.interface_name", "-e", "vxlan.vni")
    done = subprocess.run(
        ["tshark", "-r", str(written(tmp_path)), *fields], capture_output=True, text=True, check=True, timeout=60
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["docker1/qyt1/eth0"],
        ["docker1/eth0", "256"],
        ["docker1/eth0", "256"],
        ["docker1/qyt1/eth0"],
    ]
    interfaces = subprocess.run(
        ["capinfos", "-I", str(written(tmp_path))], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "Number of interfaces in file: 3" in interfaces

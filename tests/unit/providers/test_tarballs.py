"""Tarballs on this machine, against a server on loopback that breaks off where a test says so."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusterctl.model.errors import ClusterctlError
from clusterctl.model.inventory import Tarball
from clusterctl.providers import tarballs

CONTENT = bytes(range(256)) * 4096
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    content = CONTENT
    breaks_after = 0
    ranges = True
    asked: list[str]

    def handle_error(self, request, client_address) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append(wanted)
        if self.path != "/a.tgz":
            self.send_error(404)
            return
        found = re.match(r"bytes=(\d+)-", wanted) if self.server.ranges else None
        start = int(found[1]) if found else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if found else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        limit = self.server.breaks_after
        self.wfile.write(body[:limit] if limit else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.asked = []
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTERCTL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def named(server: Server, sha256: str = SUM, path: str = "/a.tgz") -> Tarball:
    return Tarball(url=f"http://127.0.0.1:{server.server_port}{path}", sha256=sha256)


def provide(tarball: Tarball) -> Path:
    return tarballs.provide(tarball, lambda *_: None)


def test_it_is_downloaded_once_and_progress_is_told(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    place = tarballs.provide(named(server), lambda *at: seen.append(at))
    assert place == cache / SUM
    assert place.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) == len(CONTENT) // tarballs.PIECE
    provide(named(server))
    assert server.asked == [""]
    assert [p.name for p in cache.iterdir()] == [SUM]


@pytest.mark.parametrize("ranges", [True, False])
def test_one_that_broke_off_is_gone_on_with(server: Server, cache: Path, ranges: bool) -> None:
    server.breaks_after, server.ranges = 300_000, ranges
    with pytest.raises(ClusterctlError, match=r"broken off after 262144 bytes") as caught:
        provide(named(server))
    assert caught.value.hint == "the same command goes on from there"
    assert not (cache / SUM).exists()
    server.breaks_after = 0
    assert provide(named(server)).read_bytes() == CONTENT
    assert re.fullmatch(r"bytes=\d+-", server.asked[1])


def test_what_lies_there_of_another_file_is_thrown_away(server: Server, cache: Path) -> None:
    cache.mkdir()
    for left in (b"something else", b"x" * (len(CONTENT) + 5)):
        (cache / f"{SUM}.part").write_bytes(left)
        assert provide(named(server)).read_bytes() == CONTENT
        (cache / SUM).unlink()


def test_a_wrong_checksum_keeps_nothing(server: Server, cache: Path) -> None:
    with pytest.raises(ClusterctlError) as caught:
        provide(named(server, "0" * 64))
    assert caught.value.message.endswith(f"has the checksum {SUM}, and the inventory says {'0' * 64}")
    assert [p.stat().st_size for p in cache.iterdir()] == [0]


def test_a_damaged_copy_in_the_cache_is_downloaded_again(server: Server, cache: Path) -> None:
    provide(named(server)).write_bytes(b"damaged")
    assert provide(named(server)).read_bytes() == CONTENT


def test_an_answer_that_is_none_is_said_in_words(server: Server) -> None:
    with pytest.raises(ClusterctlError, match=r"/b\.tgz: 404 Not Found$"):
        provide(named(server, path="/b.tgz"))
    with pytest.raises(ClusterctlError, match=r"connection refused$"):
        provide(Tarball(url="http://127.0.0.1:1/a.tgz", sha256=SUM))


def test_a_file_is_used_where_it_is(tmp_path: Path) -> None:
    place = tmp_path / "a.tgz"
    place.write_bytes(CONTENT)
    assert provide(Tarball(file=str(place), sha256=SUM)) == place
    with pytest.raises(ClusterctlError, match="has the checksum"):
        provide(Tarball(file=str(place), sha256="0" * 64))
    with pytest.raises(ClusterctlError, match="No such file"):
        provide(Tarball(file=str(tmp_path / "none"), sha256=SUM))


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0" + machine.to_bytes(2, "little") + b"\0" * 40


def packed(folder: Path, files: dict[str, bytes]) -> Path:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    place = folder / "p.tgz"
    place.write_bytes(gzip.compress(out.getvalue()))
    return place


def test_a_tarball_for_these_hosts_passes(tmp_path: Path) -> None:
    place = packed(tmp_path, {"top/etcd": elf(62), "top/etcdctl": elf(62), "top/README": b"x"})
    tarballs.look_into(place, ("etcd", "etcdctl"), {"x86_64"})
    scripts = packed(tmp_path, {"./top/etcd": b"#!/bin/sh\n", "./top/etcdctl": b""})
    tarballs.look_into(scripts, ("etcd", "etcdctl"), {"x86_64"})


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"top/etcd": elf(183), "top/etcdctl": elf(183)}, r"is for aarch64 \(etcd\), and the hosts are x86_64"),
        ({"top/etcd": elf(62)}, "has no etcdctl in its top folder"),
        ({"etcd": elf(62), "etcdctl": elf(62)}, "has no etcd, etcdctl in its top folder"),
        ({"a/b/etcd": elf(62), "a/b/etcdctl": elf(62)}, "has no etcd, etcdctl"),
    ],
)
def test_another_one_is_refused(tmp_path: Path, files: dict[str, bytes], why: str) -> None:
    with pytest.raises(ClusterctlError, match=why):
        tarballs.look_into(packed(tmp_path, files), ("etcd", "etcdctl"), {"x86_64"})


@pytest.mark.parametrize("content", [b"", b"no tarball", gzip.compress(b"x" * 4000)[:50]])
def test_what_is_no_tarball_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "x"
    place.write_bytes(content)
    with pytest.raises(ClusterctlError, match=r"cannot be read as a tarball|has no etcd"):
        tarballs.look_into(place, ("etcd",), {"x86_64"})

"""What openssl makes by these lines is what the authority would have issued."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from clusterctl.stores import openssl
from clusterctl.stores.certificates import Authority, Pair
from example import NOW, authority

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


def typed(folder: Path, *lines: str) -> None:
    subprocess.run(["bash", "-e"], input="\n".join(lines), cwd=folder, text=True, check=True, capture_output=True)


def test_the_authority_accepts_what_is_made(tmp_path: Path) -> None:
    like = authority().issue("docker1 etcd", ["192.0.2.1", "127.0.0.1"], server=True, now=NOW)
    client = authority().issue("docker1 docker", [], server=False, now=NOW)
    typed(
        tmp_path,
        openssl.authority(authority().pair.certificate, "."),
        openssl.pair(openssl.read(like.certificate), ".", "server"),
        openssl.pair(openssl.read(client.certificate), ".", "client"),
    )
    made = Authority(Pair((tmp_path / "ca.crt").read_text(), (tmp_path / "ca.key").read_text()))
    import datetime

    now = datetime.datetime.now(datetime.UTC)
    server, only = (tmp_path / "server.crt").read_text(), (tmp_path / "client.crt").read_text()
    assert made.unfit(server, ["192.0.2.1", "127.0.0.1"], server=True, now=now) == ""
    assert made.unfit(only, [], server=False, now=now) == ""
    assert "not for a server" in made.unfit(only, [], server=True, now=now)
    assert openssl.read(server) == openssl.read(like.certificate)
    assert sorted(p.name for p in tmp_path.glob("*.csr")) == []


def test_an_authority_that_is_there_stays(tmp_path: Path) -> None:
    lines = openssl.authority(authority().pair.certificate, ".")
    typed(tmp_path, lines)
    first = (tmp_path / "ca.crt").read_bytes()
    typed(tmp_path, lines)
    assert (tmp_path / "ca.crt").read_bytes() == first


def test_a_hostile_name_stays_one_word(tmp_path: Path) -> None:
    wanted = openssl.Wanted("a'; touch gone; $(id)")
    typed(tmp_path, openssl.authority(authority().pair.certificate, "."), openssl.pair(wanted, ".", "x"))
    assert openssl.read((tmp_path / "x.crt").read_text()) == wanted
    assert not (tmp_path / "gone").exists()

"""What two real hosts printed, and what a broken or hostile one might."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest
from clusterctl.commands.facts import parse, read_host
from clusterctl.model.facts import Address, HostFacts, Listener
from clusterctl.stores import etcd

RECORDED = Path(__file__).parents[1] / "recorded"
FINISHED = (RECORDED / "docker1-finished.txt").read_text()
FRESH = (RECORDED / "docker1-fresh.txt").read_text()


def replaced(old: str, new: str, text: str = FINISHED) -> HostFacts:
    assert old in text
    return parse("docker1", text.replace(old, new))


def test_a_host_that_nothing_was_done_to() -> None:
    found = parse("docker1", FRESH)
    assert (found.name, found.hostname, found.user, found.root) == ("docker1", "debian", "root", True)
    assert (found.os_id, found.os_version, found.os_name) == ("debian", "12", "Debian GNU/Linux 12 (bookworm)")
    assert found.systemd
    assert found.arch == "x86_64"
    assert found.memory_mb == 24105
    assert found.disk_free_mb > 10_000
    assert found.versions == {"docker": "20.10.24", "etcd": "3.4.23"}
    assert {"docker", "dockerd", "etcd", "busybox", "apt-get"} <= found.tools
    assert Address("eth0", "10.1.90.1", 24, 1500) in found.addresses
    assert found.routes == ("default", "10.1.90.0/24", "172.17.0.0/16")
    assert Listener("tcp", "0.0.0.0", 22, "sshd") in found.listeners
    assert Listener("tcp", "::", 22, "sshd") in found.listeners
    assert found.content("/etc/hosts") == "127.0.0.1 localhost\n"
    assert found.records == {}
    assert found.unit("docker.service").active == "inactive"
    assert not found.unit(etcd.UNIT).loaded


def test_a_host_of_a_finished_lab() -> None:
    found = parse("docker1", FINISHED)
    assert found.hostname == "docker1"
    assert found.unit(etcd.UNIT).active == "active"
    assert found.unit(etcd.UNIT).enabled == "enabled"
    assert "cluster-store" in found.content(etcd.DAEMON_JSON)
    assert found.content(etcd.CA).startswith("-----BEGIN CERTIFICATE-----")
    assert found.records["hostname"] == "debian"
    assert found.records["docker.service"] == "inactive disabled"
    assert found.records["files/etc/hosts"] == "127.0.0.1 localhost\n"
    assert found.records["files/etc/docker/daemon.json.absent"] == ""


def test_a_private_key_is_described_and_never_read() -> None:
    key = parse("docker1", FINISHED).files[etcd.MEMBER_KEY]
    assert (key.content, key.mode, key.owner) == ("", 0o600, "etcd:etcd")


def test_a_unit_started_after_its_files_were_written() -> None:
    found = parse("docker1", FINISHED)
    assert found.unit(etcd.UNIT).started > found.files[etcd.CONFIG].modified
    assert found.unit("docker.service").started > found.files[etcd.DAEMON_JSON].modified
    assert found.unit("etcd.service").started == 0.0


def test_an_older_systemd_says_no_fractions_and_the_end_of_the_second_is_taken() -> None:
    found = replaced("12:25:02.099475 UTC", "12:25:02 UTC")
    assert found.unit("docker.service").started == pytest.approx(1795523102.999999, rel=0, abs=1e-3)


def test_the_clock_is_compared_with_ours() -> None:
    assert parse("docker1", FINISHED, asked=(1.0, 2.0)).clock > 1e9
    assert parse("docker1", FINISHED).clock == 0.0


@pytest.mark.parametrize("lines", range(0, FINISHED.count("\n"), 3))
def test_output_that_is_cut_short_is_said_to_be(lines: int) -> None:
    with pytest.raises(ValueError, match="did not answer in full"):
        parse("docker1", "\n".join(FINISHED.split("\n")[:lines]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nroot\n1795", "\nroot\nx1795"),
        ("\nroot\n1795", "\nroot\nnan\n1795"),
        ("\nroot\n1795", "\nroot\ninf\n1795"),
        (" 81a4 root:root 98 /etc/hosts\n", " rw- root:root 104 /etc/hosts\n"),
        (" 81a4 root:root 98 /etc/hosts\n", " 81a4 root:root\n"),
        (" 81a4 root:root 98 /etc/hosts\n", " 81a4 root:root 97 /etc/hosts\n"),
        (" 81a4 root:root 98 /etc/hosts\n", " 81a4 root:root 99 /etc/hosts\n"),
        ("\n\nMTI3", "\n\n%%%"),
        ("10.1.90.1/24", "10.1.90.1/x"),
    ],
)
def test_output_that_makes_no_sense_is_a_value_error(old: str, new: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        replaced(old, new)


@pytest.mark.parametrize("line", ["", "inet", "1: lo inet", "1: lo    inet6 ::1/128", "\t", "inet inet inet"])
def test_a_line_about_addresses_that_says_nothing_is_left_out(line: str) -> None:
    assert replaced("\x01 ip\n", f"\x01 ip\n{line}\n").addresses == parse("docker1", FINISHED).addresses


def test_control_characters_are_dropped_and_start_no_line() -> None:
    found = replaced("\x01 host\ndocker1\n", "\x01 host\ndo\x1b[31mcker\x9b1\x07\r\u2028\x85\x0b\n")
    assert found.hostname == "do[31mcker1\u2028"
    assert found.arch == "x86_64"


def test_a_version_that_is_none_is_none() -> None:
    assert replaced("Docker version 20.10.24", "Docker version $(id)").versions == {"etcd": "3.4.23"}


def test_bytes_that_are_no_text_do_not_end_the_reading() -> None:
    body = base64.b64encode(b"\xff\xfe").decode()
    said = f"\x01 records\n1.0 8180 root:root 2 ./odd name\n\n{body}\n"
    assert parse("docker1", FRESH.replace("\x01 records\n", said)).records == {"odd name": "\ufffd\ufffd"}


def test_a_long_answer_is_read_to_its_end() -> None:
    noise = "".join(f"tcp LISTEN 0 1 10.0.0.1:{port % 65536} 0.0.0.0:*\n" for port in range(200_000))
    assert len(replaced("\x01 listen\n", f"\x01 listen\n{noise}").listeners) > 200_000


def test_tools_that_are_missing_leave_their_facts_empty() -> None:
    kept = {"host", "end"}
    lines, section = [], ""
    for line in FINISHED.splitlines():
        section = line[2:] if line.startswith("\x01 ") else section
        if line.startswith("\x01 ") or section in kept:
            lines.append(line)
    found = parse("docker1", "\n".join(lines))
    assert found.tools == frozenset()
    assert found.addresses == ()
    assert found.disk_free_mb == 0
    assert found.files == {}
    assert not found.systemd


def test_every_way_an_address_may_be_listened_on() -> None:
    lines = "udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*\ntcp LISTEN 0 1 *:80 *:*\n"
    lines += "tcp LISTEN 0 1 [::1]:x [::]:*\nraw a b c d\n"
    found = replaced("\x01 listen\n", f"\x01 listen\n{lines}").listeners
    assert Listener("udp", "127.0.0.53", 53, "") in found
    assert Listener("tcp", "*", 80, "") in found
    assert len(found) == len(parse("docker1", FINISHED).listeners) + 2


ODD = [
    "plain",
    "with space",
    "quo'te",
    'dou"ble',
    "dollar$(touch gone)",
    "back`touch gone`",
    "-dash",
    "a;touch gone",
    "é",
]


def test_the_script_itself_reads_files_with_odd_names(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / name).write_text(f"it is {name}\n")
    (tmp_path / "plain.key").write_text("SECRET")
    paths = [str(tmp_path / n) for n in (*ODD, "plain.key", "missing")]
    command = read_host(paths, ["nothing.service"])
    done = subprocess.run(command.argv, capture_output=True, timeout=20, cwd=tmp_path, check=True)
    found = parse("here", done.stdout.decode())
    for name in ODD:
        assert found.content(str(tmp_path / name)) == f"it is {name}\n"
    assert found.files[str(tmp_path / "plain.key")].content == ""
    assert b"SECRET" not in done.stdout
    assert base64.b64encode(b"SECRET") not in done.stdout
    assert found.file(str(tmp_path / "missing")) is None
    assert not (tmp_path / "gone").exists()
    assert found.kernel


def test_a_folder_is_described_and_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "c").symlink_to("b")
    (tmp_path / "b").write_text("it is b")
    paths = [str(tmp_path / n) for n in ("a", "", "c", "b")]
    done = subprocess.run(read_host(paths, []).argv, capture_output=True, timeout=20, check=True)
    found = parse("here", done.stdout.decode()).files
    assert [found[p].content for p in paths] == ["", "", "it is b", "it is b"]
    assert found[paths[1]].mode == tmp_path.stat().st_mode & 0o7777


def test_a_big_file_is_read_up_to_256_kib(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_text("x" * 1_000_000)
    done = subprocess.run(read_host([str(big)], []).argv, capture_output=True, timeout=20, check=True)
    assert len(parse("here", done.stdout.decode()).content(str(big))) == 262144


def test_a_program_that_is_still_the_same_is_not_asked_for_its_version_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "etcd"

    def put(version: str) -> None:
        program.write_text(f"#!/bin/sh\necho >> {tmp_path}/asked\necho etcd Version: {version}\necho more\n")
        program.chmod(0o755)

    def read(programs: tuple[str, ...] = ()) -> HostFacts:
        done = subprocess.run(read_host([], [], (), programs).argv, capture_output=True, timeout=20, check=True)
        return parse("here", done.stdout.decode())

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    put("3.4.23")
    first = read()
    again = read(first.programs)
    assert first.versions["etcd"] == again.versions["etcd"] == "3.4.23"
    assert (tmp_path / "asked").read_text() == "\n"
    put("3.5.1000")
    assert read(first.programs).versions["etcd"] == "3.5.1000"


def test_a_clock_that_may_have_been_right_meanwhile_is_right() -> None:
    true = parse("docker1", FINISHED, asked=(1.0, 1.0)).clock + 1.0
    assert parse("docker1", FINISHED, asked=(true - 3, true + 1)).clock == 0.0
    assert parse("docker1", FINISHED, asked=(true - 3, true - 2)).clock == pytest.approx(2)
    assert parse("docker1", FINISHED, asked=(true + 2, true + 3)).clock == pytest.approx(-2)


def test_threads_of_docker_in_namespaces_that_are_gone_are_counted() -> None:
    text = FINISHED
    assert parse("docker1", text).astray == 0
    overlay = "4026535973 /run/docker/netns/1-5a146066c3\n"
    gone = text.replace(overlay, "").replace("net:[4026535973]\n", "net:[4026535973]\nnet:[7]\n")
    assert parse("docker1", gone).astray == 2


def test_an_overlay_that_docker_made_ten_times_is_noticed_by_the_name_of_its_namespace() -> None:
    path = "/run/docker/netns/1-5a146066c3"
    assert not parse("docker1", FINISHED).aged
    assert not parse("docker1", FINISHED.replace(path, "/run/docker/netns/9-5a146066c3")).aged
    assert parse("docker1", FINISHED.replace(path, "/run/docker/netns/10-5a146066c")).aged
    assert not parse("docker1", FINISHED.replace(path, f"{path}\n640 /run/docker/netns/12-345428d9f")).aged, (
        "it is gone"
    )

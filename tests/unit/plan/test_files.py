"""The scripts that write, record and put back files, run for real by sh on temporary folders."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from clusterctl.plan import files
from clusterctl.plan.command import Command

ME = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture
def was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where records go: what stands in for /var/lib/clusterctl/was."""
    place = tmp_path / "was"
    monkeypatch.setattr(files, "WAS", str(place))
    return place


def run(command: Command, code: int = 0) -> None:
    done = subprocess.run(command.argv, input=command.input, capture_output=True, timeout=20, check=False)
    assert done.returncode == code, done.stderr.decode()


def write(path: Path, content: str, mode: int = 0o644, *, record: bool = False) -> None:
    run(files.write(str(path), content.encode(), mode, ME, record=record))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def alone(path: Path) -> bool:
    """Whether nothing else was left beside the file."""
    return [p.name for p in path.parent.iterdir()] == [path.name]


NAMES = ["plain", "with space", "quo'te", 'dou"ble', "$(id)", "-dash", "new\nline", "*", "é"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_written_with_its_content_and_mode_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "deep" / "er" / name
    write(path, "hällo\n", 0o600)
    assert path.read_text() == "hällo\n"
    assert mode(path) == 0o600
    assert alone(path)


@pytest.mark.parametrize("bits", [0o400, 0o600, 0o640, 0o644, 0o755])
def test_a_mode_holds_also_over_an_older_one(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    write(path, "new", bits)
    assert mode(path) == bits


def test_the_file_is_another_one_afterwards_so_that_a_reader_sees_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        write(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_folder_in_the_place_of_the_file_fails_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "inside").mkdir(parents=True)
    done = subprocess.run(
        files.write(str(path), b"x", 0o644, ME, record=False).argv, input=b"x", check=False, timeout=20
    )
    assert done.returncode
    assert (path / "inside").is_dir()
    assert alone(path)


def test_what_was_there_is_recorded_once_with_its_mode_and_time(tmp_path: Path, was: Path) -> None:
    path = tmp_path / "etc" / "hosts"
    path.parent.mkdir()
    path.write_text("first")
    path.chmod(0o640)
    os.utime(path, (1000, 1000))
    for content in ("second", "third"):
        write(path, content, record=True)
    kept = Path(f"{was}/files{path}")
    assert kept.read_text() == "first"
    assert (mode(kept), kept.stat().st_mtime) == (0o640, 1000)
    assert path.read_text() == "third"


def test_that_nothing_was_there_is_recorded_once(tmp_path: Path, was: Path) -> None:
    path = tmp_path / "etc" / "daemon.json"
    for content in ("one", "two"):
        write(path, content, record=True)
    assert Path(f"{was}/files{path}.absent").exists()
    assert not Path(f"{was}/files{path}").exists()


def test_records_are_for_root_alone(tmp_path: Path, was: Path) -> None:
    write(tmp_path / "file", "x", record=True)
    run(files.record("hostname", "debian"))
    assert mode(was) == 0o700
    assert mode(was / "hostname") == 0o600


def test_a_file_is_put_back_exactly_as_it_was(tmp_path: Path, was: Path) -> None:
    path = tmp_path / "etc" / "hosts"
    path.parent.mkdir()
    path.write_text("first")
    path.chmod(0o640)
    os.utime(path, (1000, 1000))
    write(path, "second", record=True)
    run(files.put_back(str(path), there=True))
    assert (path.read_text(), mode(path), path.stat().st_mtime) == ("first", 0o640, 1000)
    assert alone(path)
    assert not Path(f"{was}/files{path}").exists()


def test_a_file_that_was_not_there_is_removed_again(tmp_path: Path, was: Path) -> None:
    path = tmp_path / "daemon.json"
    write(path, "x", record=True)
    run(files.put_back(str(path), there=True))
    assert not path.exists()
    assert not Path(f"{was}/files{path}.absent").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one_and_what_it_leads_to_is_written_and_put_back(
    tmp_path: Path, was: Path, *, there: bool
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    real, link = folder / "daemon.json", tmp_path / "link.json"
    if there:
        real.write_text("theirs")
    link.symlink_to("theirs/daemon.json")
    write(link, "ours", record=True)
    assert link.readlink() == Path("theirs/daemon.json")
    assert real.read_text() == "ours"
    run(files.put_back(str(link), there=True))
    assert link.is_symlink()
    assert (real.read_text() if real.exists() else None) == ("theirs" if there else None)
    assert [p.name for p in folder.iterdir()] == (["daemon.json"] if there else [])


def test_putting_back_twice_or_without_a_record_changes_nothing(tmp_path: Path, was: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    write(path, "new", record=True)
    for _ in range(2):
        run(files.put_back(str(path), there=True))
    assert path.read_text() == "old"
    other = tmp_path / "other"
    other.write_text("mine")
    run(files.put_back(str(other), there=True))
    assert other.read_text() == "mine"


def test_the_first_word_of_a_record_stays(was: Path) -> None:
    for value in ("first\nof two 'lines'", "second"):
        run(files.record("docker.service", value))
    assert (was / "docker.service").read_text() == "first\nof two 'lines'"


def test_a_record_that_was_interrupted_is_made_anew(tmp_path: Path, was: Path) -> None:
    path = tmp_path / "file"
    path.write_text("whole")
    kept = Path(f"{was}/files{path}")
    kept.parent.mkdir(parents=True)
    Path(f"{kept}.part").write_text("who")
    write(path, "new", record=True)
    assert kept.read_text() == "whole"
    assert not Path(f"{kept}.part").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_write_that_is_ended_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, number: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    command = files.write(str(path), b"", 0o644, ME, record=False)
    # A shell cannot catch what it was started to ignore, as everything below nohup is.
    argv = ["env", f"--default-signal={number}", *command.argv]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdin
        process.stdin.write(b"half of the new o")
        process.stdin.flush()
        until = time.monotonic() + 10
        while alone(path) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        os.killpg(process.pid, number)
        # As the end of the connection does: what the signal came too early for reads no more.
        process.stdin.close()
        process.wait(10)
    assert path.read_text() == "old"
    assert alone(path)


def test_the_lines_that_a_person_would_type_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "file"
    text = "one $HOME `id`\nEOF\nEOF_\nlast"
    subprocess.run(["sh", "-c", files.here_document(str(path), text, 0o600, ME)], check=True, timeout=20)
    assert path.read_text() == f"{text}\n"
    assert mode(path) == 0o600

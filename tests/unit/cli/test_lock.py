from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from clusterctl.cli.lock import held
from clusterctl.model.errors import Locked, Refused

HOLD = """
import sys, time
from pathlib import Path
from clusterctl.cli.lock import held
with held(Path(sys.argv[1]), "lab", "up overlay"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lab.lock"


def test_the_lock_names_its_holder_and_goes_with_it(path: Path) -> None:
    with held(path, "lab", "up overlay"):
        holder = json.loads(path.read_text())
        assert (holder["pid"], holder["doing"]) == (os.getpid(), "up overlay")
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.parent.exists()


def test_a_folder_with_something_in_it_stays(path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "lab").mkdir()
    with held(path, "lab", "up"):
        pass
    assert [p.name for p in path.parent.iterdir()] == ["lab"]


def test_the_second_is_told_who_holds_it_since_when_and_why(path: Path) -> None:
    with held(path, "lab", "up overlay"), pytest.raises(Locked) as caught, held(path, "lab", "down"):
        pytest.fail("two at once")
    assert caught.value.exit_code == 5
    said = caught.value.message
    assert said.startswith(f"lab lab: another run works on it: clusterctl up overlay (process {os.getpid()}), since ")
    assert caught.value.hint


def test_being_refused_does_not_take_the_lock_from_its_holder(path: Path) -> None:
    with held(path, "lab", "up"):
        for _ in range(2):
            with pytest.raises(Locked), held(path, "lab", "down"):
                pytest.fail("two at once")
        assert path.exists()


def test_the_lock_of_a_process_that_died_is_taken_over(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=rf"\(process {process.pid}\)"), held(path, "lab", "down"):
            pytest.fail("two at once")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert path.exists()
    with held(path, "lab", "down"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_holder_that_wrote_nothing_yet_is_still_a_holder(path: Path) -> None:
    with held(path, "lab", "up"):
        path.write_text("{")
        with pytest.raises(Locked, match=r"another run works on it$"), held(path, "lab", "down"):
            pytest.fail("two at once")


def test_of_many_at_once_one_wins_and_each_is_told(path: Path) -> None:
    inside, lost, most, lock = [0], [0], [0], threading.Lock()
    start = threading.Barrier(8)

    def one() -> None:
        start.wait(10)
        for _ in range(20):
            try:
                with held(path, "lab", "up"):
                    with lock:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    with lock:
                        inside[0] -= 1
            except Locked:
                with lock:
                    lost[0] += 1

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="CLUSTERCTL_STATE"), held(tmp_path / "file" / "lab.lock", "lab", "up"):
        pytest.fail("held")

"""Measures each lesson on standing hosts: built (with what is checked on the way), verified whole, taken down.

Prints a table; asserts nothing. Usage: make bench, or python tests/bench/lessons.py [NAME…] with ROUNDS=3
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clusterctl.cli import playbooks
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ROUNDS = int(os.environ.get("ROUNDS", "3"))
PROGRAM = str(Path(sys.executable).with_name("clusterctl"))
ONE_HOST, MORE = 10.0, 15.0
"""At most so many seconds in all."""
INVENTORY = """\
name: benchl
provider: local
hosts: {docker1: 10.1.74.1, docker2: 10.1.74.2, docker3: 10.1.74.3}
local: {subnet: 10.1.74.0/24}
"""
STEPS = (("up", "-q"), ("verify", "-q"), ("down", "--keep-cluster", "--yes", "-q"))


def run(inventory, *words):
    """Run the program; returns its wall seconds and its exit code."""
    started = time.monotonic()
    argv = [PROGRAM, words[0], "-i", str(inventory), *words[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return time.monotonic() - started, done


def rounds(inventory, lesson):
    """Return the seconds of each step in each round; a lesson that this machine cannot carry has none."""
    found = []
    for _ in range(ROUNDS):
        steps = []
        for verb, *rest in STEPS:
            words = (verb, lesson, *rest) if verb == "up" else (verb, *rest)
            seconds, done = run(inventory, *words)
            if done.returncode == 3 and verb == "up":
                return []  # the kernel lacks what it needs
            if done.returncode:
                raise SystemExit(f"{lesson}: {verb}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
            steps.append(seconds)
        found.append(steps)
    return found


def main():
    chosen = [
        lesson.playbook for lesson in playbooks.lessons() if lesson.playbook.name in sys.argv[1:] or not sys.argv[1:]
    ]
    table = Table("lesson", "hosts", "built s", "verified s", "taken down s", "in all s", "target", box=SIMPLE_HEAD)
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "inventory.yml"
        inventory.write_text(INVENTORY)
        os.environ["CLUSTERCTL_STATE"] = str(Path(folder) / "state")
        try:
            run(inventory, "up", chosen[0].name, "-q")
            run(inventory, "down", "--keep-cluster", "--yes", "-q")
            for playbook in chosen:
                found = rounds(inventory, playbook.name)
                hosts = len(playbook.hosts)
                target = f"at most {ONE_HOST if hosts == 1 else MORE:.0f} s"
                if not found:
                    table.add_row(playbook.name, str(hosts), "", "", "", "not on this machine", target)
                    continue
                each = [f"{statistics.median(seconds):.2f}" for seconds in zip(*found, strict=True)]
                total = statistics.median(map(sum, found))
                table.add_row(playbook.name, str(hosts), *each, f"{total:.2f}", target)
        finally:
            run(inventory, "down", "--yes", "-q")
    Console(width=110).print(table)
    print(f"{ROUNDS} rounds on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""Measures clusterctl on real hosts, side by side with the same job done by raw parallel ssh, in one run.

Prints a table; asserts nothing: how fast a machine is, is no property of the code. Ratios are.
Usage: make bench [ROUNDS=3] [MANY=20]; `bench.py health` measures status, check and doctor alone
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from clusterctl.cli import wiring
from clusterctl.cli.progress import Quiet
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ROUNDS = int(os.environ.get("ROUNDS", "3"))
MANY = int(os.environ.get("MANY", "20"))
"""Hosts of the large lab: a core for every ten of them is not enough, 0 leaves it out."""
INSTANCES = 8
"""What systemd on one host takes of the machine's inotify instances."""
HERE = Path(__file__).parent
PROGRAM = str(Path(sys.executable).with_name("clusterctl"))
PLAYBOOK = HERE.parents[1] / "playbooks/overlay.yml"
INVENTORY = """\
name: bench
provider: local
hosts: {docker1: 10.1.75.1, docker2: 10.1.75.2}
local: {subnet: 10.1.75.0/24}
"""


def timed(argv, **kwargs):
    """Run a command; returns its wall seconds. Raises with its output when it fails."""
    started = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **kwargs)
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


class Lab:
    """The bench's lab."""

    def __init__(self, folder):
        self.inventory = folder / "inventory.yml"
        self.inventory.write_text(INVENTORY)
        self.state = folder / "state"
        os.environ["CLUSTERCTL_STATE"] = str(self.state)

    def clusterctl(self, *words):
        return timed([PROGRAM, words[0], *words[1:], "-i", str(self.inventory)])

    def boot(self):
        """Make the two hosts, nothing on them."""
        lab = wiring.load(self.inventory, PLAYBOOK)
        with wiring.session(lab, "boot", changes=True) as session:
            session.runner(Quiet()).run(session.provider.up)

    def up(self):
        return self.clusterctl("up", str(PLAYBOOK))

    def down(self):
        self.clusterctl("down", "--yes")

    def raw(self):
        config = self.state / "bench/ssh_config"
        return timed(["bash", str(HERE / "raw.sh"), str(config), "10.1.75.1", "10.1.75.2"])


class Many(Lab):
    """A lab of twenty hosts, three of them with etcd."""

    def __init__(self, folder):
        super().__init__(folder)
        roles = {n: "etcd, docker" if n <= 3 else "docker" for n in range(1, MANY + 1)}
        hosts = "".join(f"  docker{n}: {{address: 10.1.76.{n}, roles: [{r}]}}\n" for n, r in roles.items())
        self.inventory = folder / "many.yml"
        self.inventory.write_text(f"name: benches\nprovider: local\nlocal: {{subnet: 10.1.76.0/24}}\nhosts:\n{hosts}")


def with_cpu(lab, *words):
    """Run the program; returns its wall seconds and its CPU seconds: the controller's, not the hosts'."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = lab.clusterctl(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_memory(lab):
    """Return the peak resident memory of one `up`, MiB: sampled, as the children's own is not told apart."""
    peak = 0
    process = subprocess.Popen(
        [PROGRAM, "up", str(PLAYBOOK), "-i", str(lab.inventory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )

    def watch():
        nonlocal peak
        while process.poll() is None:
            try:
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        peak = max(peak, int(line.split()[1]))
            except OSError:
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    process.wait()
    thread.join()
    return peak / 1024


def health(folder):
    """Print how long it takes to see how two and twenty hosts are."""
    table = Table("measure", "hosts", "median s", "of", "CPU s a host", "target", box=SIMPLE_HEAD)
    asked = ((Lab(folder), 2, ("status", "at most 1 s"), ("check", "at most 3 s"), ("doctor", "")),)
    instances = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if MANY and instances < INSTANCES * (MANY + 1):
        print(
            f"left out: {MANY} hosts, since this machine has {instances} inotify instances; for this boot: "
            f"sysctl -w fs.inotify.max_user_instances=1024"
        )
    elif MANY:
        asked = (*asked, (Many(folder), MANY, ("status", "at most 3 s")))
    for lab, hosts, *commands in asked:
        try:
            lab.up()
            for command, target in commands:
                runs = [with_cpu(lab, command) for _ in range(ROUNDS)]
                walls, cpus = zip(*runs, strict=True)
                each = ", ".join(f"{w:.2f}" for w in walls)
                cpu = statistics.median(cpus) / hosts
                table.add_row(
                    f"clusterctl {command}", str(hosts), f"{statistics.median(walls):.2f}", each, f"{cpu:.2f}", target
                )
        finally:
            lab.down()
    Console(width=140).print(table)


def main():
    with tempfile.TemporaryDirectory(prefix="clusterctl-bench-") as folder:
        if "health" in sys.argv[1:]:
            health(Path(folder))
            return
    lifecycle()
    with tempfile.TemporaryDirectory(prefix="clusterctl-bench-") as folder:
        health(Path(folder))


def lifecycle():
    """Print how long the way of a lab takes."""
    rows = {name: [] for name in ("raw", "booted", "nothing", "noop", "verify", "help")}
    with tempfile.TemporaryDirectory(prefix="clusterctl-bench-") as folder:
        lab = Lab(Path(folder))
        try:
            lab.up()  # builds the root if it must, warms the page cache
            memory = peak_memory(lab)
            lab.down()
            for _ in range(ROUNDS):
                lab.boot()
                rows["raw"].append(lab.raw())
                lab.down()
                lab.boot()
                rows["booted"].append(lab.up())
                rows["noop"].append(lab.up())
                rows["verify"].append(lab.clusterctl("verify"))
                rows["help"].append(timed([PROGRAM, "--help"]))
                lab.down()
                rows["nothing"].append(lab.up())
                lab.down()
        finally:
            lab.down()
    middle = {name: statistics.median(values) for name, values in rows.items()}
    table = Table("measure", "median s", "of", "target", box=SIMPLE_HEAD)

    def row(what, name, target):
        each = ", ".join(f"{v:.2f}" for v in rows[name])
        table.add_row(what, f"{middle[name]:.2f}", each, target)

    row("raw parallel ssh, booted hosts", "raw", "")
    row("clusterctl up, booted hosts, verified", "booted", "")
    ratio = middle["booted"] / middle["raw"]
    table.add_row("… as a ratio to raw", f"{ratio:.2f}", "", "at most 1.3")
    row("clusterctl up, from no hosts, verified", "nothing", "at most 8 s")
    row("clusterctl up, nothing to do, verified", "noop", "at most 1.2 s")
    row("clusterctl verify", "verify", "")
    row("clusterctl --help", "help", "at most 0.25 s")
    table.add_row("peak memory of up", f"{memory:.0f} MiB", "", "at most 120 MiB")
    Console(width=140).print(table)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{ROUNDS} rounds on {os.cpu_count()} cores; {cpu.ru_utime + cpu.ru_stime:.0f} s of CPU in all")


if __name__ == "__main__":
    main()

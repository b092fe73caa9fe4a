"""What a machine looks like, to compare it before and after a lab. Only what ought to stay as it is."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path

# Values that move by themselves, on an idle machine as well.
_MOVING = re.compile(
    r"""^(
    fs\.(dentry-state|inode-nr|inode-state|file-nr|aio-nr|quota\.|dentry-negative|pipe-user)
    | kernel\.(random\.(entropy_avail|uuid|boot_id)|ns_last_pid|pty\.nr|perf_event_max_sample_rate|spl\.)
    | kernel\.(perf_cpu_time_max_percent|sched_domain|hung_task_detect_count|tainted|keys\.)
    | net\.netfilter\.nf_conntrack_count | net\.ipv4\.tcp_fastopen_key
    | vm\.(stat_refresh|nr_hugepages|drop_caches)
    )""",
    re.VERBOSE,
)


def snapshot(ignore: str = "") -> dict[str, frozenset[str]]:
    """Return the machine's state by kind. `ignore`: a pattern of lines that belong to somebody else."""
    kinds = {
        "links": _links(),
        "addresses": _run("ip", "-o", "addr", pattern=r"\s+(valid_lft|preferred_lft) \S+", keep=r"inet"),
        "routes": _run("ip", "route", "show", "table", "all", pattern=r" linkdown| expires \S+"),
        "namespaces": _names("/run/netns"),
        "mounts": frozenset(f"{f[1]} {f[2]}" for f in map(str.split, _lines("/proc/mounts"))),
        "processes": _processes(),
        "firewall": _firewall(),
        "sysctl": _sysctl(),
        "control groups": frozenset(str(p) for tree in ("", "*/") for p in Path("/sys/fs/cgroup").glob(f"{tree}*/")),
        "temporary files": _names("/tmp"),
        "nspawn": frozenset(str(p) for p in Path("/run/systemd").glob("*spawn*/**/*") if not _held(p)),
        "machines": _names("/run/systemd/machines"),
        "state": _names("/var/lib/clusterctl") | _names("/var/lib/clusterctl/local"),
    }
    return without(kinds, ignore) if ignore else kinds


def without(state: dict[str, frozenset[str]], ignore: str) -> dict[str, frozenset[str]]:
    """Return a state without the lines that match a pattern."""
    foreign = re.compile(ignore)
    return {kind: frozenset(line for line in lines if not foreign.search(line)) for kind, lines in state.items()}


def others_than(lab: str) -> str:
    """Return a pattern of what other labs on this machine, and other programs in /tmp, have and do meanwhile."""
    own = rf"(?!{re.escape(lab)}\b)[a-z]"
    return rf"(clusterctl-|cc-|local/){own}|/tmp/(?!nspawn|mmdebstrap)|roots/.*\.part|\bdev-|/payload|/supervisor"


def differences(before: dict[str, frozenset[str]], after: dict[str, frozenset[str]]) -> list[str]:
    """Return what is there only after ("+") or only before ("-"), by kind; empty when nothing changed."""
    return [
        f"{kind}: {sign} {line}"
        for kind in before
        for sign, only in (("+", after[kind] - before[kind]), ("-", before[kind] - after[kind]))
        for line in sorted(only)
    ]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []


def _held(path: Path) -> bool:
    """Whether this is a lock that a running node holds; its name is a number, which does not say whose."""
    if not path.is_file():
        return False
    try:
        with path.open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _names(folder: str) -> frozenset[str]:
    path = Path(folder)
    return frozenset(str(p) for p in (path, *path.iterdir())) if path.is_dir() else frozenset()


def _run(*argv: str, pattern: str = "", keep: str = "") -> frozenset[str]:
    try:
        text = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return frozenset()
    lines = (re.sub(pattern, "", line).strip() if pattern else line.strip() for line in text.splitlines())
    return frozenset(line for line in lines if line and re.search(keep, line))


def _links() -> frozenset[str]:
    return frozenset(p.name for p in Path("/sys/class/net").iterdir())


def _processes() -> frozenset[str]:
    """Return the command lines of what a lab is made of. Other processes come and go with the tests."""
    ours = re.compile(r"nspawn|dockerd|containerd|etcd\b|systemd(-journald)?$|sshd|mmdebstrap|tcpdump")
    found = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        argv = " ".join(_lines(f"{process}/cmdline")).replace("\0", " ").strip()
        if argv and ours.search(argv.split()[0]):
            # Its group says whose it is, where several labs are on one machine.
            groups = [line.rpartition(":")[2] for line in _lines(f"{process}/cgroup") if "systemd" in line]
            found.add(f"{process.name} {argv} {groups}")
    return frozenset(found)


def _firewall() -> frozenset[str]:
    """Return the rules. An empty table or a counter is no difference."""
    lines: set[str] = set()
    table = ""
    for family in ("iptables-save", "ip6tables-save"):
        try:
            text = subprocess.run([family], capture_output=True, text=True, timeout=30, check=False).stdout
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("*"):
                table = line
            elif line.startswith("-A"):
                lines.add(f"{family} {table} {line}")
            elif line.startswith(":") and " ACCEPT " not in line:
                lines.add(f"{family} {table} {line.rpartition(' [')[0]}")
    return frozenset(lines)


def _sysctl() -> frozenset[str]:
    """Return net, kernel, fs and vm without what moves by itself."""
    found = set()
    for top in ("net", "kernel", "fs", "vm"):
        for folder, _, names in os.walk(f"/proc/sys/{top}"):
            for name in names:
                path = f"{folder}/{name}"
                key = path.removeprefix("/proc/sys/").replace("/", ".")
                if not _MOVING.match(key) and Path(path).stat().st_mode & 0o444:
                    found.add(f"{key} = {' '.join(_lines(path))}")
    return frozenset(found)

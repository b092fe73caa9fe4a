"""One script that reads a host, and the reading of what it prints. One round trip, no tool but a shell.

The script prints sections; each starts with a line `\\x01 name` and holds plain text. Private keys are
never read: a file under a `.key` name is only described, as a folder is.
"""

from __future__ import annotations

import base64
import datetime
import math
import re
import stat
from typing import TYPE_CHECKING

from clusterctl.commands.kernel import CONFIGS, HAS
from clusterctl.model.facts import Address, File, HostFacts, Listener, Unit
from clusterctl.plan.command import Command, script
from clusterctl.plan.files import WAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MARK = "\x01"
LIMIT = 262144
"""Bytes of a file that are read."""
NAMESPACE_INODES = 0xF0000000
"""The kernel numbers namespaces from here on (PROC_DYNAMIC_FIRST in fs/proc/generic.c), and files from 1."""
_UNPRINTABLE = {c: None for c in (*range(32), *range(127, 160)) if chr(c) not in f"{MARK}\t\n"}
"""Control characters say nothing about a host; on a terminal they would."""

# "$1": the units, "$2": the devices to look for, "$3": what the programs said of their versions before; then the files.
# The daemons take long to say their version: they say it into a pipe while the rest is read, and only where the program
# is another than it was. What is read of many files is read by one program: to start one for each takes longer.
_SCRIPT = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
s() { printf '\001 %s\n' "$1"; }
{ %VERSIONS%; } 2>/dev/null </dev/null | {
units=$1 devices=$2; shift 3
describe() { [ $# = 0 ] || stat -Lc '%.9Y %f %U:%G %s %n' "$@" 2>/dev/null; echo; }
content() { [ $# = 0 ] || head -qc @LIMIT@ "$@" 2>/dev/null | base64 -w0; echo; }
s host; uname -n; uname -r; uname -m; id -un; date +%s.%N
s os; cat /etc/os-release 2>/dev/null
s machine; cat /etc/machine-id 2>/dev/null; [ -d /run/systemd/system ] && echo systemd
s memory; grep MemTotal /proc/meminfo
s disk; df -Pm /var/lib | tail -n 1
s ip; ip -o -4 addr show; s links; ip -o link show; s routes; ip -4 route show
s listen; ss -Hlntup 2>/dev/null || ss -lntup
s tools; for t in docker dockerd etcd etcdctl tcpdump nsenter bridge busybox hostnamectl apt-get iptables sysctl \
  update-ca-certificates apparmor_parser iperf3; do command -v $t >/dev/null 2>&1 && echo $t; done
[ ! -d /sys/kernel/security/apparmor ] || ! grep -q Y /sys/module/apparmor/parameters/enabled || echo kernel:apparmor
getent passwd etcd >/dev/null && echo user:etcd
[ -z "$devices" ] || { @HAS@ for d in $devices; do echo "device:${d%:*} $(has "${d%:*}" "${d#*:}")"; done; }
s threads; p=; [ ! -s /run/docker.pid ] || read -r p < /run/docker.pid
[ -z "$p" ] || { stat -Lc "%i %n" /proc/1/ns/net /run/docker/netns/*; readlink "/proc/$p/task/"*/ns/net; } 2>/dev/null
s records
%RECORDS%
s files; describe "$@"
for f do shift; case $f in *.key) ;; *) [ ! -f "$f" ] || set -- "$@" "$f";; esac; done; content "$@"
s units; p=Id,LoadState,ActiveState,UnitFileState,ActiveEnterTimestamp
systemctl show --timestamp=us+utc -p $p $units 2>/dev/null || TZ=UTC systemctl show -p $p $units 2>/dev/null
s versions; cat; s end; }
""".replace("@HAS@", HAS).replace("@LIMIT@", str(LIMIT))

_VERSIONS = r"""
v() { p=$(command -v "$1") && p="$1 $(stat -Lc %i.%s.%Z "$p")" || return
  case $2 in *"$p "*) printf '%s\n' "$2" | grep -F "$p ";; *) printf '%s ' "$p"; "$1" --version | head -n 1;; esac; }
v dockerd "$3"; v etcd "$3"
""".strip()
_RECORDS = r"""[ ! -d @WAS@ ] || ( cd @WAS@ || exit; IFS='
'; set -f; set -- $(find . -type f ! -name '*.part'); describe "$@"; content "$@" )""".replace("@WAS@", WAS)

_SECTIONS = frozenset(re.findall(r"(?:^|; )s (\w+)", _SCRIPT, re.MULTILINE))


def brief(files: Sequence[str], units: Sequence[str], then: str) -> Command:
    """Read a host without what takes longest, the programs' versions and records; the script `then` comes after it."""
    text = _SCRIPT.replace("%VERSIONS%", ":").replace("%RECORDS%", "")
    return script(text + then, " ".join(units), "", "", *files, within=30)


def read_host(
    files: Sequence[str], units: Sequence[str], devices: Sequence[str] = (), programs: Sequence[str] = ()
) -> Command:
    """Read everything about a host in one go; `files` are read whole, up to 256 KiB each.

    devices: kinds of devices of `clusterctl.commands.kernel.CONFIGS` that the kernel is asked for.
    programs: what `HostFacts.programs` was before; those that are still the same files are not asked again.
    A VM without hardware virtualization may take half a minute while Docker starts.
    """
    wanted = " ".join(f"{d}:{CONFIGS[d]}" for d in devices)
    text = _SCRIPT.replace("%VERSIONS%", _VERSIONS).replace("%RECORDS%", _RECORDS)
    return script(text, " ".join(units), wanted, "\n".join(programs), *files, within=90)


def parse(name: str, text: str, *, asked: tuple[float, float] | None = None) -> HostFacts:
    """Turn what the script printed into facts. `asked`: the controller's clock before and after, epoch seconds.

    A clock that may have been right meanwhile counts as right: on a busy host the script starts late.
    Raises ValueError when the output is cut short or is not the script's.
    """
    parts = _sections(text)
    if not parts.keys() >= _SECTIONS or len(parts["host"]) < 5:
        raise ValueError("the host did not answer in full")
    hostname, kernel, arch, user, now = parts["host"][:5]
    clock = float(now)
    if not math.isfinite(clock):
        raise ValueError(f"the host's clock says {now}")
    os = _os_release(parts["os"])
    machine = parts["machine"]
    return HostFacts(
        name=name,
        hostname=hostname,
        user=user,
        root=user == "root",
        os_id=os.get("ID", ""),
        os_version=os.get("VERSION_ID", ""),
        os_name=os.get("PRETTY_NAME", ""),
        kernel=kernel,
        arch=arch,
        machine_id=machine[0] if machine and machine[0] != "systemd" else "",
        systemd="systemd" in machine,
        clock=(min(0.0, clock - asked[0]) or max(0.0, clock - asked[1])) if asked else 0.0,
        memory_mb=_number(parts["memory"], 1) // 1024,
        disk_free_mb=_number(parts["disk"], 3),
        addresses=_addresses(parts["ip"], parts["links"]),
        links=frozenset(re.findall(r"^\d+: ([^:@\s]+)", "\n".join(parts["links"]), re.MULTILINE)),
        devices=dict(line.removeprefix("device:").split(" ", 1) for line in parts["tools"] if _is_device(line)),
        routes=tuple(line.split()[0] for line in parts["routes"] if line.split()),
        listeners=tuple(_listeners(parts["listen"])),
        programs=tuple(parts["versions"]),
        versions=_versions(parts),
        tools=frozenset(parts["tools"]),
        files=_files(parts["files"]),
        units=_units(parts["units"]),
        records={path.removeprefix("./"): file.content for path, file in _files(parts["records"]).items()},
        astray=_astray(parts["threads"]),
        aged=_aged(parts["threads"]),
    )


def _is_device(line: str) -> bool:
    return line.startswith("device:") and " " in line


def _sections(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.translate(_UNPRINTABLE).split("\n"):
        if line.startswith(f"{MARK} "):
            current = parts.setdefault(line[2:], [])
        else:
            current.append(line)
    return parts


def _os_release(lines: Iterable[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def _number(lines: Sequence[str], word: int) -> int:
    words = lines[0].split() if lines else []
    return int(words[word]) if len(words) > word and words[word].isdigit() else 0


def _addresses(lines: Iterable[str], links: Iterable[str]) -> tuple[Address, ...]:
    mtu = {}
    for line in links:
        found = re.match(r"\d+: ([^:@\s]+)\S* .*\bmtu (\d+)", line)
        if found:
            mtu[found[1]] = int(found[2])
    out = []
    for line in lines:
        words = line.split()
        if len(words) > 3 and words[2] == "inet":
            ip, _, prefix = words[3].partition("/")
            out.append(Address(words[1], ip, int(prefix or 32), mtu.get(words[1], 1500)))
    return tuple(out)


def _listeners(lines: Iterable[str]) -> Iterable[Listener]:
    for line in lines:
        words = line.split()
        if len(words) < 5 or words[0] not in {"tcp", "udp"}:
            continue
        ip, _, port = words[4].rpartition(":")
        holder = re.search(r'users:\(\("([^"]+)"', line)
        if port.isdigit():
            yield Listener(words[0], ip.partition("%")[0].strip("[]"), int(port), holder[1] if holder else "")


def _versions(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    said = re.findall(
        r"^\S+ \S+ (Docker|etcd) [Vv]ersion:? v?(\d+\.\d+\.\d+)", "\n".join(parts["versions"]), re.MULTILINE
    )
    return {name.lower(): version for name, version in said}


def _files(lines: Sequence[str]) -> dict[str, File]:
    """Read what `describe` and `content` say of files. Raises ValueError when one says other files than the other."""
    if not any(lines):
        return {}
    gap = lines.index("")
    whole = base64.b64decode(lines[gap + 1] if len(lines) > gap + 1 else "", validate=True)
    found, at = {}, 0
    for line in lines[:gap]:
        modified, raw, owner, size, path = line.split(" ", 4)
        mode = int(raw, 16)
        end = at + min(int(size), LIMIT) if stat.S_ISREG(mode) and not path.endswith(".key") else at
        found[path] = File(whole[at:end].decode("utf-8", "replace"), stat.S_IMODE(mode), owner, float(modified))
        at = end
    if at != len(whole):
        raise ValueError("a file was changed while it was read")
    return found


def _started(text: str) -> float:
    """Read "Tue 2026-11-24 12:11:23.382427 UTC"; an older systemd says no fractions, so the second's end is taken.

    It must be the clock that files are stamped with: the monotonic one stands still while a machine sleeps.
    """
    found = re.fullmatch(r"\w+ (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d{1,6})? UTC", text)
    if not found:
        return 0.0
    day, time, fraction = found.groups()
    return datetime.datetime.fromisoformat(f"{day}T{time}+00:00").timestamp() + float(fraction or 0.999999)


def _units(lines: Sequence[str]) -> dict[str, Unit]:
    found = {}
    for block in "\n".join(lines).split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" not in values:
            continue
        found[values["Id"]] = Unit(
            active=values.get("ActiveState", ""),
            enabled=values.get("UnitFileState", ""),
            loaded=values.get("LoadState") == "loaded",
            started=_started(values.get("ActiveEnterTimestamp", "")),
        )
    return found


def _astray(lines: Sequence[str]) -> int:
    """Count threads in namespaces (`net:[INODE]`) that are none of those which are there (INODE PATH)."""
    there = {line.partition(" ")[0] for line in lines}
    return sum(line.startswith("net:[") and line[5:-1] not in there for line in lines)


def _aged(lines: Sequence[str]) -> bool:
    """Whether the namespace of an overlay has a number of two digits in its name; one that is gone may leave a file."""
    found = (re.fullmatch(r"(\d+) /run/docker/netns/\d\d+-[0-9a-f]+", line) for line in lines)
    return any(f and int(f[1]) >= NAMESPACE_INODES for f in found)

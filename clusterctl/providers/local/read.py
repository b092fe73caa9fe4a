"""Reading this machine. Plain files wherever there are any: a process costs more than all of them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterctl.commands import nspawn
from clusterctl.commands.ip import NAMESPACES
from clusterctl.commands.iptables import FORWARD
from clusterctl.providers.local.facts import MachineFacts, Marker, Namespace, Network, NodeFacts
from clusterctl.providers.local.names import BASE, ROOTS, Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clusterctl.model.lab import Lab

TOOLS = (
    "ip", "systemd-nspawn", "systemd-run", "mmdebstrap", "iptables", "iptables-save", "setsid", "flock",
    "mount", "umount", "tar",
)  # fmt: skip

KINDS = {"bridge": "type bridge", "veth": "type veth", "vxlan": "type vxlan id 1 dstport 4789"}
"""What the nodes need of the kernel's links."""

BANNER_WITHIN = 0.25
"""Seconds for an sshd that accepted the connection to say its name."""

WATCHERS = "/proc/sys/fs/inotify/max_user_instances"

_CLONE_NEWNET = 0x40000000
_SIOCGIFADDR, _SIOCGIFFLAGS = 0x8915, 0x8913
_IFF_UP = 1


def read(lab: Lab) -> MachineFacts:
    """Read everything that the lab's phases decide from."""
    names = Names(lab.name)
    spaces = _listdir(NAMESPACES)
    queries = _Queries(root=os.geteuid() == 0, probe=names.switch not in spaces)
    mounts = _mounts()
    markers = _markers()
    marker = markers.pop(lab.name, None)
    running = nspawns(names)
    below = [m for m in mounts if m.startswith(names.folder + "/")]
    hosts = dict.fromkeys(lab.inventory.hosts)
    hosts |= dict.fromkeys(marker.hosts if marker else ())
    hosts |= dict.fromkeys(d for d in _listdir(names.folder) if d != "_was" and _is_dir(names.place(d)))
    hosts |= dict.fromkeys(m[len(names.folder) + 1 :].split("/", 1)[0] for m in below)
    hosts |= dict.fromkeys(running)
    own = names.all(tuple(hosts))
    found = _namespaces([s for s in spaces if s in own])
    nodes = {h: _node(names, h, below, running.get(h, (0, 0)), found.get(names.node(h))) for h in hosts}
    nodes = _with_banners(nodes, lab, marker)
    rules, drops = queries.rules(names.switch)
    return MachineFacts(
        lab=lab.name,
        root=os.geteuid() == 0,
        tools=frozenset(t for t in TOOLS if shutil.which(t)),
        systemd=_is_dir("/run/systemd/system"),
        cgroup=2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
        kernel=os.uname().release,
        lacks=queries.lacks(),
        watchers_free=None if set(lab.inventory.hosts) <= set(running) else _watchers_free(),
        disk_free_mb={p: _free_mb(p) for p in (BASE, ROOTS)},
        filesystem={p: _filesystem(p, mounts) for p in (BASE, ROOTS)},
        networks=queries.networks(),
        switch=found.get(names.switch),
        link=queries.address(names.link),
        stray_namespaces=_strays(spaces, names, own, markers),
        netns_folder=_netns_folder(mounts),
        nspawn_folder=_is_dir(nspawn.FOLDER),
        ip_forward=_text(FORWARD).strip() == "1",
        forward_drops=drops,
        rules=rules,
        resolver=_resolver(),
        folder=_is_dir(names.folder),
        marker=marker,
        was={n: _text(f"{names.was}/{n}").strip() for n in _listdir(names.was)},
        nodes=nodes,
        roots=frozenset(f"{ROOTS}/{n}" for n in _listdir(ROOTS) if "." not in n),
        others=markers,
        state=_exists(lab.state),
        files={n: _text(str(lab.state / n)) for n in ("id_ed25519.pub", "known_hosts", "ssh_config")},
    )


def running(lab: Lab) -> frozenset[str]:
    """Return the nodes that run and can be reached: no process is started for it."""
    names = Names(lab.name)
    return frozenset(nspawns(names)) if _reached_by(names.link) else frozenset()


class _Queries:
    """The few things that only programs can tell, asked side by side."""

    def __init__(self, *, root: bool, probe: bool) -> None:
        self._addresses = _ask("ip", "-j", "-4", "addr")
        self._routes = _ask("ip", "-j", "-4", "route", "show", "table", "all")
        self._rules = _ask("iptables-save") if root else None
        # Links that the kernel does not know are refused, in a namespace that ends with its one process.
        lines = "".join(f"link add p{i} {kind}\n" for i, kind in enumerate(KINDS.values()))
        argv = ("unshare", "-n", "ip", "-force", "-batch", "-")
        self._probe = _ask(*argv, input=lines) if root and probe else None
        self._links: list[dict[str, Any]] | None = None

    def _addr(self) -> list[dict[str, Any]]:
        if self._links is None:
            self._links = _json(_answer(self._addresses)[0])
        return self._links

    def networks(self) -> tuple[Network, ...]:
        """Return the networks of this machine's addresses and routes."""
        found = {
            Network(f"{a['local']}/{a['prefixlen']}", link["ifname"])
            for link in self._addr()
            for a in link.get("addr_info", ())
        }
        for route in _json(_answer(self._routes)[0]):
            if route.get("type", "unicast") == "unicast" and route["dst"] != "default":
                found.add(Network(route["dst"], route.get("dev", "")))
        # A link on its way out has lost its name before its routes: `ip` then says if204.
        there = set(_listdir("/sys/class/net"))
        return tuple(sorted((n for n in found if n.link in there), key=lambda n: (n.link, n.network)))

    def address(self, link: str) -> str:
        """Return the address with prefix of a link of this machine that is up, "" where there is none."""
        for found in self._addr():
            if found.get("ifname") == link and "UP" in found.get("flags", ()):
                for a in found.get("addr_info", ()):
                    return f"{a['local']}/{a['prefixlen']}"
                return "no address"
        return ""

    def rules(self, comment: str) -> tuple[tuple[str, ...], bool]:
        """Return the firewall rules with this comment, and whether forwarding is dropped by default."""
        text = _answer(self._rules)[0]
        ours = re.compile(rf'--comment "?{re.escape(comment)}"?( |$)')
        return tuple(x for x in text.splitlines() if ours.search(x)), "\n:FORWARD DROP" in text

    def lacks(self) -> tuple[str, ...]:
        """Return what the kernel surely lacks; what cannot be known is not among it."""
        out: list[str] = []
        modules = Path("/lib/modules", os.uname().release)
        if "\toverlay\n" not in _text("/proc/filesystems") and not modules.is_dir():
            out.append("overlay")
        failed = {int(n) for n in re.findall(r"Command failed -:(\d+)", _answer(self._probe)[1])}
        return (*out, *(kind for i, kind in enumerate(KINDS, 1) if i in failed))


def _ask(*argv: str, input: str = "") -> subprocess.Popen[str] | None:
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError:
        return None
    if process.stdin:
        try:
            process.stdin.write(input)
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.stdin = None
    return process


def _answer(process: subprocess.Popen[str] | None) -> tuple[str, str]:
    if process is None:
        return "", ""
    try:
        return process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def _json(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [x for x in found if x]


def _text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:  # noqa: PTH123  # thousands of them are read
            return file.read()
    except OSError:
        return ""


def _is_dir(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:
        # Without root much is hidden; the preflight then says so.
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _listdir(path: str) -> list[str]:
    try:
        return sorted(p.name for p in Path(path).iterdir())
    except OSError:
        return []


def _watchers_free() -> int | None:
    """Return how many inotify instances the kernel would still give root; None where it does not say."""
    limit = _text(WATCHERS).strip()
    if not limit.isdigit():
        return None
    used = 0
    for pid in filter(str.isdigit, _listdir("/proc")):
        # One that has ended, or is not ours to look at. There are thousands of handles: Path.readlink() is slow.
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as handles:
            used += sum(os.readlink(h.path) == "anon_inode:inotify" for h in handles)  # noqa: PTH115
    return int(limit) - used


def _netns_folder(mounts: Mapping[str, str]) -> str:
    if NAMESPACES in mounts:
        return "mounted"
    return "plain" if _is_dir(NAMESPACES) else "absent"


def _mounts() -> dict[str, str]:
    """Return the file system type by mount point; what is mounted last on a point counts."""
    found = {}
    for line in _text("/proc/mounts").splitlines():
        fields = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1])
        found[point] = fields[2]
    return found


def _existing(path: str) -> Path:
    return next(p for p in (Path(path), *Path(path).parents) if _exists(p))


def _free_mb(path: str) -> int:
    stat = os.statvfs(_existing(path))
    return stat.f_bavail * stat.f_frsize // 2**20


def _filesystem(path: str, mounts: Mapping[str, str]) -> str:
    return next((mounts[str(p)] for p in (Path(path), *Path(path).parents) if str(p) in mounts), "")


def _markers() -> dict[str, Marker]:
    found = {lab: Marker.parse(_text(Names(lab).marker)) for lab in _listdir(BASE)}
    return {lab: marker for lab, marker in found.items() if marker}


def nspawns(names: Names) -> dict[str, tuple[int, int]]:
    """Return (nspawn, init) of the lab's nodes, by host. Their folder says whose they are, beyond doubt."""
    found: dict[str, tuple[int, int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  # there are many of them
        argv = _text(f"/proc/{pid}/cmdline").split("\0")
        if not argv[0].endswith("systemd-nspawn") or "-D" not in argv[:-1]:
            continue
        folder, _, root = argv[argv.index("-D") + 1].rpartition("/")
        if root == "root" and folder.startswith(names.folder + "/"):
            found[folder[len(names.folder) + 1 :]] = (int(pid), _child(pid))
    return found


def _child(pid: str) -> int:
    """Return the node's init: nspawn's child that is the first process of another namespace."""
    for child in _text(f"/proc/{pid}/task/{pid}/children").split():
        status = _text(f"/proc/{child}/status")
        if re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE) and "\nState:\tZ" not in status:
            return int(child)
    return 0


def _namespaces(names: Iterable[str]) -> dict[str, Namespace]:
    """Look into network namespaces: one thread enters one after the other, and ends afterwards."""
    found: dict[str, Namespace] = {}
    wanted = list(names)

    def visit() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for name in wanted:
            try:
                with Path(NAMESPACES, name).open("rb") as space:
                    if libc.setns(space.fileno(), _CLONE_NEWNET) == 0:
                        found[name] = _namespace()
                    else:
                        # The file is there but holds no namespace: an `ip netns add` was cut short.
                        found[name] = Namespace()
            except OSError:
                found[name] = Namespace()

    if wanted:
        thread = threading.Thread(target=visit)
        thread.start()
        thread.join()
    return found


def _namespace() -> Namespace:
    up = frozenset(link for _, link in socket.if_nameindex() if _is_up(link))
    address = _address("eth0") if "eth0" in up else ""
    gateway = ""
    for line in _text("/proc/thread-self/net/route").splitlines()[1:]:
        fields = line.split()
        if fields[0] == "eth0" and fields[1] == "00000000":
            gateway = socket.inet_ntoa(struct.pack("<L", int(fields[2], 16)))
    return Namespace(up, address, gateway)


def _ioctl(what: int, link: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, what, struct.pack("256s", link.encode()))


def _is_up(link: str) -> bool:
    return bool(struct.unpack_from("H", _ioctl(_SIOCGIFFLAGS, link), 16)[0] & _IFF_UP)


def _address(link: str) -> str:
    try:
        return socket.inet_ntoa(_ioctl(_SIOCGIFADDR, link)[20:24])
    except OSError:
        return ""


def _reached_by(link: str) -> bool:
    """Whether this machine has the link, and it is up."""
    try:
        return _is_up(link)
    except OSError:
        return False


def _strays(spaces: Iterable[str], names: Names, own: frozenset[str], others: Mapping[str, Marker]) -> tuple[str, ...]:
    """Return namespaces that bear the lab's name but belong to no host that is known, nor to another lab."""
    theirs = [Names(m.lab).switch for m in others.values() if len(m.lab) > len(names.lab)]
    return tuple(
        s
        for s in spaces
        if s.startswith(f"{names.switch}-")
        and s not in own
        and not any(s == other or s.startswith(f"{other}-") for other in theirs)
    )


def _node(
    names: Names, host: str, below: Iterable[str], processes: tuple[int, int], network: Namespace | None
) -> NodeFacts:
    place = names.place(host)
    mounts = tuple(sorted((m for m in below if m.startswith(place + "/")), key=len, reverse=True))
    root = f"{place}/root" if f"{place}/root" in mounts else f"{place}/upper"
    groups = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")]
    return NodeFacts(
        name=host,
        folder=_is_dir(place),
        nspawn=processes[0],
        leader=processes[1],
        network=network,
        mounts=mounts,
        control_groups=any(_is_dir(str(g / names.node(host))) for g in groups),
        host_key=_text(f"{root}/etc/ssh/ssh_host_ed25519_key.pub").strip(),
        authorized=_text(f"{root}/root/.ssh/authorized_keys"),
        resolver=_text(f"{root}/etc/resolv.conf"),
    )


def _with_banners(nodes: dict[str, NodeFacts], lab: Lab, marker: Marker | None) -> dict[str, NodeFacts]:
    addresses = {h.name: h.cluster_address for h in lab.inventory.hosts.values()}
    addresses = {**(marker.hosts if marker else {}), **addresses}
    running = [n for n in nodes.values() if n.runs and n.name in addresses]
    said = banners([addresses[n.name] for n in running], BANNER_WITHIN)
    return {
        name: replace(node, banner=said.get(addresses[name], "")) if node in running else node
        for name, node in nodes.items()
    }


def banners(addresses: Iterable[str], within: float) -> dict[str, str]:
    """Return what the sshd at each address says of itself, all asked at once; the silent are left out."""
    said: dict[str, str] = {}
    waiting: dict[socket.socket, str] = {}
    for address in addresses:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.connect_ex((address, 22))
        waiting[sock] = address
    deadline = time.monotonic() + within
    while waiting and (left := deadline - time.monotonic()) > 0:
        for sock in select.select(list(waiting), [], [], left)[0]:
            try:
                text = sock.recv(256).decode(errors="replace").strip()
            except OSError:
                text = ""
            address = waiting.pop(sock)
            sock.close()
            if text.startswith("SSH-"):
                said[address] = text
    for sock in waiting:
        sock.close()
    return said


def _resolver() -> str:
    """Return the nameservers that a node can use as well: those of a stub on loopback are asked for."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        lines = [
            line.strip() for line in _text(path).splitlines() if line.startswith(("nameserver", "search", "options"))
        ]
        servers = re.findall(r"^nameserver\s+(\S+)", "\n".join(lines), re.MULTILINE)
        usable = [s for s in servers if not s.startswith("127.") and s != "::1"]
        if usable:
            rest = [line for line in lines if not line.startswith("nameserver")]
            return "".join(f"{line}\n" for line in (*(f"nameserver {s}" for s in usable), *rest))
    return ""

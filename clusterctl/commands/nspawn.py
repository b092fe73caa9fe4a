"""A whole systemd host in namespaces: `systemd-nspawn`, its mounts, its control groups, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.plan.command import Command, command, script

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEM_CALLS = "add_key keyctl bpf perf_event_open"
"""What dockerd calls beyond nspawn's list: keyrings for containers, BPF for their devices."""

FOLDER = "/run/systemd/nspawn"
"""Where nspawn keeps its locks and what it shares with its nodes."""

WRITABLE_NETWORK = ("env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network")
"""Of /proc/sys a node may write what belongs to its own network; dockerd turns forwarding on there."""

# "$1" the cached root, "$2" the node's folder. The upper folder's mode is the mode of the node's "/".
_MOUNT = """\
set -eu; umask 077
mkdir -p "$2"; cd "$2"; mkdir -p upper work root docker; chmod 0755 upper; chmod 0711 docker
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root\""""

# "$1" the group's name, "$2" the console's file; the rest is the command line.
# Each node gets control groups of its own: nspawn takes the groups it is started in as the node's root,
# so two nodes started in the same ones would share every service's and every container's group.
_START = """\
set -eu
umask 077; : > "$2"; umask 022
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -f "$tree/cgroup.procs" ] && [ ! -L "$tree" ] || continue
  mkdir -p "$tree/$1"
  for set in cpuset.cpus cpuset.mems; do
    [ ! -f "$tree/tasks" ] || [ ! -f "$tree/$set" ] || cat "$tree/$set" > "$tree/$1/$set"
  done
  echo $$ > "$tree/$1/cgroup.procs"
done
console=$2; shift 2
setsid "$@" < /dev/null > "$console" 2>&1 &"""

# "$1" the unit's name, "$2" the console's file. Started by systemd it outlives the login session.
_START_UNIT = """\
set -eu
umask 077; : > "$2"; umask 022
unit=$1; console=$2; shift 2
exec systemd-run -q --collect --unit="$unit" --slice=machine.slice -p Delegate=yes -p KillMode=mixed \\
  -p TasksMax=infinity -p StandardInput=null -p StandardOutput="append:$console" \\
  -p StandardError="append:$console" -- "$@\""""

# "$1" the machine's name, "$2" nspawn's process, the rest the node's init.
# With its init the node's whole process namespace goes; nspawn then cleans up and ends by itself.
_KILL = """\
set -u
alive() { grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>/dev/null; }
name=$1; nspawn=$2; shift 2
# A process in the node's groups that has lost its nspawn belongs to the node all the same.
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -d "$tree/$name" ] || continue
  for p in $(find "$tree/$name" -name cgroup.procs -exec cat {} +); do
    [ "$p" = "$nspawn" ] || case " $* " in *" $p "*) ;; *) set -- "$@" "$p" ;; esac
  done
done
for p; do kill -9 "$p" 2>/dev/null; done
n=0
while :; do
  left=; for p in "$@" $nspawn; do if alive "$p"; then left="$left $p"; fi; done
  [ -n "$left" ] || break
  n=$((n + 1)); [ $n != 100 ] || kill -9 $nspawn 2>/dev/null
  [ $n -lt 1000 ] || { echo "still alive:$left" >&2; exit 1; }
  sleep 0.01
done
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -d "$tree/$name" ] || continue
  n=0
  while ! find "$tree/$name" -depth -type d -exec rmdir {} + 2>/dev/null && [ -d "$tree/$name" ]; do
    # A process leaves its group a moment after its end.
    n=$((n + 1)); [ $n -lt 300 ] || { echo "control group left: $tree/$name" >&2; exit 1; }
    sleep 0.01
  done
done
d=/run/systemd/nspawn; rm -rf "$d/propagate/$name" "$d/unix-export/$name\""""


# A node that was killed with its nspawn leaves the lock on its root, named after device and inode.
_UNMOUNT = """\
for p; do
  lock="/run/systemd/nspawn/locks/inode-$(stat -c %d:%i "$p" 2>/dev/null)"
  umount "$p" 2>/dev/null || ! mountpoint -q "$p" || umount -l "$p" || exit
  rm -f "$lock"
done"""


def mount(lower: str, folder: str) -> Command:
    """Mount the cached root with the node's own layer over it."""
    return script(_MOUNT, lower, folder)


def unmount(*points: str) -> Command:
    """Unmount, the deepest first as given; a mount that is gone is no error."""
    return script(_UNMOUNT, *points)


def argv(name: str, folder: str, *, legacy_cgroups: bool = False) -> tuple[str, ...]:
    """Return nspawn's command line for the node in `folder`.

    legacy_cgroups: the node's systemd is too new to accept control groups v1 without being told to.
    """
    line = (
        *WRITABLE_NETWORK, "systemd-nspawn", "-q", "-D", f"{folder}/root", "-b",
        "--register=no", "--keep-unit",
        # The node's own files: a time zone bound over would make an upgrade of tzdata fail in it.
        "--timezone=off", "--resolv-conf=off",
        f"--network-namespace-path=/run/netns/{name}", "--capability=all",
        f"--system-call-filter={SYSTEM_CALLS}", f"--bind={folder}/docker:/var/lib/docker",
        f"--machine={name}",
    )  # fmt: skip
    return (*line, "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1") if legacy_cgroups else line


def start(name: str, folder: str, line: Sequence[str], *, by_systemd: bool) -> Command:
    """Start the node detached from this session, its console in a file."""
    console = f"{folder}/console.log"
    return script(_START_UNIT if by_systemd else _START, name, console, *line)


def kill(name: str, nspawn: int, leaders: Sequence[int]) -> Command:
    """End the node at once and wait until nothing of it runs; remove its control groups."""
    return script(_KILL, name, str(nspawn or ""), *(str(p) for p in leaders))


def remove_own_folder() -> Command:
    """Remove what the first nspawn on a machine makes for itself, where no other node uses it."""
    return script('rmdir "$1"/* "$1" 2>/dev/null; :', FOLDER)


def remove_folder(*paths: str) -> Command:
    """Remove folders with all that is in them, but never what is mounted there."""
    return command("rm", "-rf", "--one-file-system", "--", *paths)

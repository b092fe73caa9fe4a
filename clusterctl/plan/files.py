"""Writing, recording and putting back files on a host."""

from __future__ import annotations

import shlex

from clusterctl.plan.command import Command, command, script

STATE = "/var/lib/clusterctl"
"""Where clusterctl keeps what belongs to it on a host."""

WAS = f"{STATE}/was"
"""What a host had before it was changed: values as files here, whole files under `WAS/files`."""

# A link stays one: what it leads to is written. The trap is set before there is anything to remove.
# "$1" path, "$2" mode, "$3" owner, "$4" where its first state is recorded ("" when it is not).
_WRITE = """\
set -eu; [ ! -L "$1" ] || set -- "$(readlink -f -- "$1")" "$2" "$3" "$4"
mkdir -p "$(dirname "$1")"; umask 077
if [ -n "$4" ] && [ ! -e "$4" ] && [ ! -e "$4.absent" ]; then
  mkdir -p "$(dirname "$4")"
  if [ -e "$1" ]; then cp -p "$1" "$4.part"; mv "$4.part" "$4"; else : > "$4.absent"; fi
fi
t=$(mktemp -u "$1.clusterctl.XXXXXX"); trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; set -C
cat > "$t"; set +C; chown "$3" "$t"; chmod "$2" "$t"
if ! mv -fT "$t" "$1" 2>/dev/null; then cat "$t" > "$1"; fi"""

# "$1" the record's path, "$2" its value: the first word stays.
_RECORD = """\
set -eu; umask 077; [ -e "$1" ] && exit 0
mkdir -p "$(dirname "$1")"; printf '%s' "$2" > "$1.part"; mv "$1.part" "$1\""""

_PUT_BACK = """\
set -eu; [ ! -L "$1" ] || set -- "$(readlink -f -- "$1")" "$2"
if [ -e "$2" ]; then cp -p "$2" "$1.part"; mv -f "$1.part" "$1" 2>/dev/null || { cat "$2" > "$1"; rm -f "$1.part"; }
elif [ -e "$2.absent" ]; then rm -f "$1"; fi
rm -f "$2" "$2.absent\""""


def write(path: str, content: bytes, mode: int, owner: str, *, record: bool) -> Command:
    """Write a file atomically, its content on standard input. `owner` is "user:group"."""
    return script(_WRITE, path, f"{mode:04o}", owner, f"{WAS}/files{path}" if record else "", input=content)


def record(name: str, value: str) -> Command:
    """Write down a value as it was before the first change; later calls leave the first one alone."""
    path = f"{WAS}/{name}"
    folder = path.rpartition("/")[0]
    typed = f"install -d -m 0700 {folder}; printf %s {shlex.quote(value)} > {path}"
    return script(_RECORD, path, value, typed=typed)


def keep(path: str, *, there: bool) -> str:
    """Return what a person would type to record a file as it is, or that it is not there."""
    place = shlex.quote(f"{WAS}/files{path}")
    folder = shlex.quote(f"{WAS}/files{path}".rpartition("/")[0])
    copy = f"cp -p {shlex.quote(path)} {place}" if there else f"touch {place}.absent"
    return f"install -d -m 0700 {folder}; {copy}"


def put_back(path: str, *, there: bool) -> Command:
    """Put a recorded file back exactly as it was, or remove it when there was none; forget the record.

    there: whether there was one, for what a person would type.
    """
    kept = f"{WAS}/files{path}"
    typed = ("mv", kept, path) if there else ("rm", path, f"{kept}.absent")
    return script(_PUT_BACK, path, kept, typed=shlex.join(typed))


def date(path: str, modified: float) -> Command:
    """Set when a file was last changed, in epoch seconds."""
    return command("touch", "-m", "-d", f"@{modified:.9f}", path)


def here_document(path: str, body: str, mode: int, owner: str) -> str:
    """Return what a person would type to write the file."""
    user, _, group = owner.partition(":")
    return f"install -D -m {mode:04o} -o {user} -g {group} /dev/stdin {shlex.quote(path)} {_here(body)}"


def append(path: str, body: str) -> str:
    """Return what a person would type to add lines to a file."""
    return f"cat >> {shlex.quote(path)} {_here(body)}"


def _here(body: str) -> str:
    end = "EOF"
    while end in body.split("\n"):
        end += "_"
    return f"<<'{end}'\n{body}\n{end}"

"""Vagrant's command line for one project, and reading what it prints."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from clusterctl.plan.command import Command, command, script

HOSTS = "CLUSTERCTL_VM_HOSTS"
"""Tells the project's Vagrantfile the hosts' names and addresses."""

LOOK = 120.0
"""Seconds for a question to Vagrant: it loads all its plugins first."""

CREATE = 1800.0
"""Seconds to make or start a machine, its box's download in it."""

DESTROY = 600.0

# "$1" the mark, "$2" what it says.
_MARK = 'set -eu; mkdir -p "$(dirname "$1")"; printf "%s\\n" "$2" > "$1.part"; mv "$1.part" "$1"'


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a Vagrantfile, and what Vagrant finds in its environment there.

    dotfile: where Vagrant keeps what it knows of its machines.
    """

    folder: str
    env: tuple[tuple[str, str], ...] = ()
    dotfile: str = ""

    def _vagrant(self, *words: str, within: float) -> Command:
        env = (("VAGRANT_CWD", self.folder), *self.env)
        return command("env", *(f"{k}={v}" for k, v in env), "vagrant", *words, within=within)

    def status(self) -> Command:
        """Ask how all machines are."""
        return self._vagrant("status", "--machine-readable", within=LOOK)

    def ssh_config(self, *hosts: str) -> Command:
        """Ask how SSH reaches machines; it stops at the first that does not run."""
        return self._vagrant("ssh-config", *hosts, within=LOOK)

    def up(self, host: str) -> Command:
        """Make a machine, or start it where it is there."""
        return self._vagrant("up", "--no-parallel", host, within=CREATE)

    def destroy(self, *hosts: str) -> Command:
        """Remove machines with their disks."""
        return self._vagrant("destroy", "-f", *hosts, within=DESTROY)

    def host_keys(self, host: str) -> Command:
        """Print a machine's public host keys, over Vagrant's own connection."""
        return self._vagrant("ssh", host, "-c", "cat /etc/ssh/ssh_host_*_key.pub", within=LOOK)

    def addresses(self, host: str) -> Command:
        """Print a machine's default route, then its addresses."""
        told = "ip -4 -o route show default; ip -4 -o addr show scope global"
        return self._vagrant("ssh", host, "-c", told, within=LOOK)

    def line(self, *words: str) -> str:
        """Return a command line for hints, short: from within the folder."""
        return f"cd {shlex.quote(self.folder)} && vagrant {shlex.join(words)}"

    def mark(self, host: str) -> str:
        """Return the path of the file that says which lab made a machine; beside what Vagrant knows of it."""
        return f"{self.dotfile}/clusterctl/{host}"

    def write_mark(self, host: str, text: str) -> Command:
        """Write it whole or not at all."""
        return script(_MARK, self.mark(host), text)

    def remove_marks(self, *hosts: str) -> Command:
        """Remove marks, and their folder once it is empty."""
        folder = f"{self.dotfile}/clusterctl"
        return script('d=$1; shift; rm -f -- "$@"; rmdir "$d" 2>/dev/null; :', folder, *map(self.mark, hosts))


def scan_host_keys(address: str, port: int) -> Command:
    """Ask an SSH server for its host keys."""
    return command("ssh-keyscan", "-T", "20", "-t", "ed25519,ecdsa,rsa", "-p", str(port), address, within=90)


@dataclass(frozen=True, slots=True)
class Way:
    """How Vagrant's ssh-config says that a machine is reached."""

    address: str
    port: int = 22
    user: str = "vagrant"
    keys: tuple[str, ...] = ()
    proxy: str = ""


def parse_status(text: str) -> dict[str, tuple[str, str]]:
    """Return each machine's state and provider from `vagrant status --machine-readable`."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        words = line.split(",")
        if len(words) >= 4 and words[1] and words[2] in {"state", "provider-name"}:
            found.setdefault(words[1], {})[words[2]] = words[3]
    return {name: (f["state"], f.get("provider-name", "")) for name, f in found.items() if "state" in f}


def parse_ways(text: str) -> dict[str, Way]:
    """Return how each machine is reached from `vagrant ssh-config`."""
    found: dict[str, dict[str, list[str]]] = {}
    host: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        value = value.strip().strip('"')
        if key == "Host":
            host = found.setdefault(value, {})
        elif value:
            host.setdefault(key.lower(), []).append(value)
    return {
        name: Way(
            h["hostname"][0],
            int(h.get("port", ["22"])[0]),
            h.get("user", ["vagrant"])[0],
            tuple(h.get("identityfile", ())),
            h.get("proxycommand", [""])[0],
        )
        for name, h in found.items()
        if "hostname" in h
    }


def parse_address(text: str) -> str:
    """Return a machine's address for its peers: not that of the default route, which is Vagrant's own, if it can be."""
    lines = [line.split() for line in text.splitlines()]
    outside = {w[w.index("dev") + 1] for w in lines if w[:1] == ["default"] and "dev" in w[:-1]}
    found = [(w[1], w[3].partition("/")[0]) for w in lines if w[2:3] == ["inet"] and len(w) > 3]
    found.sort(key=lambda f: f[0] in outside)
    return found[0][1] if found else ""


def parse_host_key(text: str) -> str:
    """Return the best of the host keys that were printed, as its type and the key; "" where there is none."""
    words = [line.split() for line in text.splitlines() if not line.startswith("#")]
    for kind in ("ssh-ed25519", "ecdsa-sha2-", "ssh-rsa"):
        for line in words:
            at = next((i for i, word in enumerate(line[:-1]) if word.startswith(kind)), None)
            if at is not None:
                return f"{line[at]} {line[at + 1]}"
    return ""


def complaint(text: str) -> str:
    """Return Vagrant's own words for what went wrong: the end of what it printed, in machine-readable form too."""
    lines = []
    for line in text.splitlines():
        words = line.split(",", 4)
        plain = words[4] if len(words) == 5 and words[2] == "ui" else line
        if len(words) >= 5 and words[2] == "error-exit":
            plain = words[4]
        elif words[0].isdigit() and len(words) >= 4 and words[2] != "ui":
            continue
        lines += plain.replace("\\n", "\n").replace("%!(VAGRANT_COMMA)", ",").splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.startswith("==>")]
    return " ".join(told[-8:])[-600:]

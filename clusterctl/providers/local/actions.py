"""What the local provider does: deeds on this machine that know the machine's facts after them."""

from __future__ import annotations

import io
import shlex
import tarfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clusterctl.model.errors import HostError
from clusterctl.plan import files
from clusterctl.plan.action import MACHINE, Action, WriteFile
from clusterctl.plan.command import command
from clusterctl.providers.local import keys
from clusterctl.providers.local.facts import MachineFacts
from clusterctl.providers.local.read import banners, nspawns

if TYPE_CHECKING:
    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.plan.command import Command
    from clusterctl.plan.door import Door
    from clusterctl.providers.local.names import Names

After = Callable[[MachineFacts], MachineFacts]

PENDING = "ssh-ed25519 made-by-this-plan"
"""Stands for a public key in a plan that is only shown."""


def same(machine: MachineFacts) -> MachineFacts:
    """Return the machine as it is."""
    return machine


@dataclass(frozen=True, kw_only=True)
class MachineAction(Action):
    """A deed on this machine, for one host or for all.

    after: the machine's facts after it. makes, takes: the host that is there, or no longer, after it.
    """

    door: str = MACHINE
    after: After = field(default=same, repr=False, compare=False)
    makes: HostFacts | None = field(default=None, repr=False)
    takes: str = ""

    def predict(self, facts: Facts) -> Facts:
        """Return the facts with the machine, and the host it makes or takes, as they will be."""
        facts = replace(facts, machine=self.after(facts.machine))
        if self.makes:
            facts = facts.with_host(self.makes)
        if self.takes:
            facts = replace(facts, hosts={k: v for k, v in facts.hosts.items() if k != self.takes})
        return facts


@dataclass(frozen=True, kw_only=True)
class Deed(MachineAction):
    """Run a command on this machine."""

    command: Command
    hint: str = ""

    def shell(self) -> str:
        """Return the command line."""
        return self.command.line()

    def perform(self, door: Door) -> str:
        """Run it; an unexpected exit code is an error."""
        return door.run(self.command).expect(self.title, self.hint).tail()


@dataclass(frozen=True, kw_only=True)
class MachineFile(MachineAction, WriteFile):
    """Write a file on this machine."""

    def diff(self, facts: Facts) -> str:
        """Return no diff: the file is no host's."""
        return ""

    def predict(self, facts: Facts) -> Facts:
        """Return the facts with the machine as it will be."""
        return MachineAction.predict(self, facts)


@dataclass(frozen=True, kw_only=True)
class MakeKey(MachineAction):
    """Make the lab's client key: private half 0600, in the lab's folder on the controller."""

    path: str

    def shell(self) -> str:
        """Return how a person would make it."""
        return f"ssh-keygen -q -t ed25519 -N '' -C {keys.COMMENT} -f {shlex.quote(self.path)}"

    def perform(self, door: Door) -> str:
        """Write both halves on standard input; the public one last, as it is the one that is looked for."""
        pair = keys.generate()
        folder = self.path.rpartition("/")[0]
        door.run(command("mkdir", "-p", "-m", "0700", "--", folder)).expect(self.title)
        halves = ((self.path, pair.private, 0o600), (f"{self.path}.pub", pair.public, 0o644))
        for path, content, mode in halves:
            door.run(files.write(path, content.encode(), mode, "root:root", record=False)).expect(self.title)
        return f"{self.path}.pub: {pair.public.strip()}"


@dataclass(frozen=True, kw_only=True)
class Prepare(MachineAction):
    """Give a node what makes it one: its name, its keys, its resolver.

    root: the node's mounted root. units: further files, by path, such as a systemd unit; "->" makes a link.
    """

    root: str
    authorized: str
    resolver: str
    units: tuple[tuple[str, str], ...] = ()

    def shell(self) -> str:
        """Return what a person would type, the host's key made on the spot."""
        key = f"{self.root}/etc/ssh/ssh_host_ed25519_key"
        lines = [f"ssh-keygen -q -t ed25519 -N '' -f {shlex.quote(key)}"]
        lines.append(f"tr -d - < /proc/sys/kernel/random/uuid > {shlex.quote(self.root + '/etc/machine-id')}")
        for path, content, mode in self._texts():
            if content.startswith("->"):
                lines.append(f"ln -s {shlex.quote(content[2:])} {shlex.quote(self.root + path)}")
            else:
                lines.append(files.here_document(self.root + path, content.rstrip("\n"), mode, "root:root"))
        return "\n".join(lines)

    def _texts(self) -> tuple[tuple[str, str, int], ...]:
        return (
            ("/etc/hostname", "debian\n", 0o644),
            ("/etc/hosts", "127.0.0.1 localhost\n", 0o644),
            ("/etc/resolv.conf", self.resolver, 0o644),
            ("/root/.ssh/authorized_keys", self.authorized, 0o600),
            *((path, content, 0o644) for path, content in self.units),
        )

    def archive(self, pair: keys.Pair, machine_id: str) -> bytes:
        """Return the files as a tar. The host's public key comes last: where it is, all the rest is."""
        key = "/etc/ssh/ssh_host_ed25519_key"
        entries = (
            *self._texts(),
            ("/etc/machine-id", f"{machine_id}\n", 0o444),
            (key, pair.private, 0o600),
            (f"{key}.pub", pair.public, 0o644),
        )
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            ssh = tarfile.TarInfo("root/.ssh")
            ssh.type, ssh.mode, ssh.mtime = tarfile.DIRTYPE, 0o700, int(time.time())
            tar.addfile(ssh)
            for path, content, mode in entries:
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.mode, entry.mtime = mode, int(time.time())
                if content.startswith("->"):
                    entry.type, entry.linkname = tarfile.SYMTYPE, content[2:]
                    tar.addfile(entry)
                else:
                    data = content.encode()
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    def perform(self, door: Door) -> str:
        """Unpack the files into the node's root in one go, the key on standard input."""
        pair = keys.generate()
        archive = self.archive(pair, uuid.uuid4().hex)
        unpack = command("tar", "-C", self.root, "--no-overwrite-dir", "-xpf", "-", input=archive)
        door.run(unpack).expect(self.title)
        return f"host key {pair.public.strip()}"


@dataclass(frozen=True, kw_only=True)
class AwaitSsh(MachineAction):
    """Wait until a node's sshd answers; a node that ended meanwhile is an error at once.

    within: seconds.
    """

    names: Names
    address: str
    ssh_config: str
    within: float = 60.0

    def shell(self) -> str:
        """Return how a person would look."""
        return f"ssh -F {shlex.quote(self.ssh_config)} {self.host} true"

    def perform(self, door: Door) -> str:
        """Look every 10 ms: the boot takes less than a second, and each pause would be the user's."""
        start = time.monotonic()
        look_at_process = start + 0.5
        while True:
            said = banners((self.address,), 0.5).get(self.address, "")
            if said:
                return said
            now = time.monotonic()
            ended = False
            if now >= look_at_process:
                ended = self.host not in nspawns(self.names)
                look_at_process = now + 0.25
            if ended or now - start >= self.within:
                console = f"{self.names.place(self.host)}/console.log"
                tail = door.run(command("tail", "-n", "5", console)).stdout.strip().replace("\n", " | ")
                what = "the node ended" if ended else f"no answer from its sshd within {self.within:g} s"
                seen = f"{what}; its console: {tail or '(empty)'}"
                raise HostError(self.host, seen, hint=f"less {console}")
            time.sleep(0.01)

"""A command line as a value, and what came back from it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from clusterctl.model.errors import CommandFailed


@dataclass(frozen=True, slots=True)
class Command:
    """One command for one host. Nothing in it has reached a shell yet; `line` quotes it once.

    argv: the program and its arguments, unquoted.
    input: what it reads on standard input; the place for anything secret, never argv.
    root: whether it must run as root (through sudo where the login user is another).
    within: seconds after which it is ended, on the host as well.
    ok: exit codes that are answers rather than failures.
    typed: what a person types who does the same by hand with less care; the command itself unless given.
    """

    argv: tuple[str, ...]
    input: bytes = field(default=b"", repr=False)
    root: bool = True
    within: float = 60.0
    ok: tuple[int, ...] = (0,)
    typed: str = ""

    def line(self) -> str:
        """Return the command as a person would type it."""
        if self.argv[:2] == ("sh", "-c"):
            script, params = self.argv[2], self.argv[4:]
            if not params:
                return script.strip()
        return shlex.join(self.argv)

    def __str__(self) -> str:
        return self.line()


def command(
    *argv: str, input: bytes = b"", root: bool = True, within: float = 60.0, ok: tuple[int, ...] = (0,)
) -> Command:
    """Build a Command from its words: `command("systemctl", "start", unit)`."""
    return Command(argv, input, root, within, ok)


def script(
    text: str,
    *args: str,
    input: bytes = b"",
    root: bool = True,
    within: float = 60.0,
    ok: tuple[int, ...] = (0,),
    typed: str = "",
) -> Command:
    """Build a Command that runs a POSIX shell script; values go in as "$1", "$2", … and need no quoting."""
    tail = ("sh", *args) if args else ()
    return Command(("sh", "-c", text, *tail), input, root, within, ok, typed)


@dataclass(frozen=True, slots=True)
class Result:
    """What a command on a host ended with. `seconds` is wall time as the controller saw it."""

    host: str
    command: Command
    exit_code: int
    stdout: str
    stderr: str
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the exit code is one that the command declares as an answer."""
        return self.exit_code in self.command.ok

    def tail(self, lines: int = 4) -> str:
        """Return the last lines of what it printed, stderr first choice, on one line.

        Where apt or dpkg marked errors with "E: ", the first of those: the last ones only follow from them.
        """
        said = (self.stderr.strip() or self.stdout.strip()).splitlines()
        marked = [line for line in said if line.startswith("E: ")]
        line = " | ".join(line.strip() for line in (marked[:lines] or said[-lines:]))
        # It goes to terminals and files, where control characters would be more than text.
        return "".join(c if c.isprintable() else " " for c in line)

    def expect(self, doing: str = "", hint: str = "") -> Result:
        """Return self, or raise CommandFailed when the exit code is not an expected one."""
        if not self.ok:
            raise CommandFailed(self, doing=doing, hint=hint)
        return self

"""The program: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import re
import signal
import sys
from typing import Any, NoReturn

import typer

from clusterctl import __version__
from clusterctl.model.errors import ClusterctlError, InputError, Refused
from clusterctl.plan import patience

COMMANDS = {
    "init": "Write a commented starter inventory; “-i -” prints it instead.",
    "validate": "Check the inventory and the playbook, alone and together; every problem with its file, line and key.",
    "check": "See whether the hosts can carry the cluster: kernel, clock, ports, firewall, and what passes between "
    "each two.",
    "up": "Make the hosts, the cluster, its networks and containers, and verify them; only what is missing is done.",
    "verify": "Prove what the playbook expects: names, pings, forwarding, the packet on the wire. Leaves all as it is.",
    "status": "Show every layer, bottom up: hosts, etcd, Docker, networks, forwarding, containers. Changes nothing.",
    "doctor": "Find the lowest broken layer, from the hosts up to what containers reach, and say the cause and the "
    "remedy.",
    "down": "Take it all away: containers, network, store, etcd, names; then the hosts that were made for the lab.",
    "lessons": "List the lessons: what one learns in each, and the hosts that it needs.",
    "lesson": "Walk through a lesson: each command before it is carried out, each check with its reason. Waits for a "
    "key.",
    "net": "What joins containers and hosts, as it is there right now.",
    "path": "Show the hops of a packet between two containers, each with the command that proves it, or where it "
    "breaks.",
    "capture": "Ping from one container to another while every link on the way listens, and show the packet at each "
    "hop.",
    "graph": "Draw the lab as it is right now: hosts, containers with addresses, bridges, VXLAN tunnels, network "
    "cards.",
    "report": "Write the picture, the checks, the path of each pair, a capture and the transcript onto one HTML page.",
    "guide": "Print the lab as a by-hand manual in Markdown: each command, on which host, in order, and why. Asks no "
    "host.",
    "compare": "Make each kind of Docker network on two hosts, measure it, and take it away again.",
    "hosts": "The hosts alone: list them, make them, take them away.",
    "etcd": "The cluster store: its members, and what Docker keeps in it.",
    "clean": "Clear the environment: ALL containers, images and networks on the hosts, also those that clusterctl did "
    "not make.",
    "ssh": "Log in to a host with OpenSSH; the lab's keys and host keys are used, and no others.",
    "exec": "Run a command on the hosts, side by side; each line is prefixed with its host. Exits with the highest "
    "code.",
    "schema": "Print the JSON Schema (2020-12) of an inventory or a playbook.",
}
"""The commands in the order of the help, each with how its own help begins."""

MODULES = {"exec": "execute"}
"""The modules of `clusterctl.cli` that are named otherwise than their command."""


def program(argv: list[str]) -> typer.Typer:
    """Return the program with the command that is asked for: making all of them takes longer than some run."""
    app = typer.Typer(
        name="clusterctl",
        help="Turn machines into a working multi-host Docker cluster, prove it, and take it away.",
        epilog="Exit codes: 0 all holds · 1 a check does not hold · 2 wrong usage or input · "
        "3 refused, nothing changed · 4 carried out in part, run it again · 5 another run holds the lab · "
        "130 interrupted",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    if COMPLETING not in os.environ and COMMANDS.keys().isdisjoint(argv):
        for name, line in COMMANDS.items():
            app.command(name, help=line)(_listed)
        return app
    for name in (argv[0],) if argv and argv[0] in COMMANDS else COMMANDS:
        importlib.import_module(f"clusterctl.cli.{MODULES.get(name, name)}").register(app)
    return app


COMPLETING = "_CLUSTERCTL_COMPLETE"
"""The variable that typer's completion of a shell sets."""


def _listed() -> NoReturn:
    raise AssertionError("a command that is only listed was run")


def _version(show: bool) -> None:
    if show:
        print(f"clusterctl {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    patient: float = typer.Option(
        1.0,
        "--patience",
        min=1,
        max=100,
        metavar="<times>",
        envvar="CLUSTERCTL_PATIENCE",
        help="Wait so many times as long for answers: for hosts that are slow (emulated, overloaded), not broken.",
    ),
) -> None:
    patience.have(patient)


def wants_json(argv: list[str]) -> bool:
    """Whether the command line asks for JSON, even one that could not be parsed."""
    said = re.findall(r"(?:^|\s)(?:-o[ =]?|--output[ =])(\S+)", " ".join(argv))
    return (said[-1] if said else os.environ.get("CLUSTERCTL_OUTPUT")) == "json"


def complain(error: ClusterctlError) -> None:
    """Show an error: on stderr for people, as the one document on stdout where JSON is wanted."""
    for line in error.lines():
        print(line, file=sys.stderr)
    transcript = error.transcript
    if transcript:
        print(f"transcript: {transcript}", file=sys.stderr)
    if wants_json(sys.argv[1:]):
        from clusterctl.cli.render import document

        problems = [str(p) for p in error.problems] if isinstance(error, InputError) else []
        document(
            error={
                "kind": type(error).__name__,
                "exit_code": error.exit_code,
                "message": error.message,
                "hint": error.hint,
                "problems": problems,
                "transcript": str(transcript) if transcript else None,
            }
        )


def _interrupted(number: int, frame: object) -> NoReturn:
    """End a command that only reads; those that change something have a handler of their own."""
    os.write(2, b"\nclusterctl: interrupted\n")
    os._exit(130)


USAGE: Any = typer.BadParameter.__mro__[1]
"""What typer raises when a command line cannot be parsed; it has no public name for it."""


def _run() -> int:
    """Run the command; what typer and the system raise becomes an error of ours."""
    try:
        return program(sys.argv[1:])(standalone_mode=False) or 0
    except BrokenPipeError:
        raise
    except OSError as error:
        if not error.filename:
            raise
        raise ClusterctlError(f"{error.filename}: {error.strerror}") from error
    except typer.Abort:
        no = ClusterctlError("not without consent; nothing was changed")
        no.exit_code = Refused.exit_code
        raise no from None
    except USAGE as error:
        if not sys.argv[1:]:
            error.show()
            return InputError.exit_code
        context = error.ctx
        raise InputError(error.format_message(), hint=f"{context.command_path} -h" if context else "") from None


def main() -> NoReturn:
    """Run the program."""
    # A run is short: looking for garbage while everything is imported finds none.
    gc.set_threshold(20_000)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        code = _run()
        sys.stdout.flush()
    except ClusterctlError as error:
        complain(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(code)


def run() -> NoReturn:
    """Run the program and end the process at once: to take the objects of a whole run apart takes 0.15 s."""
    try:
        main()
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)

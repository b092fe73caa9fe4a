"""The program: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import copy
import gc
import os
import re
import signal
import sys
from typing import Any, NoReturn

import typer

from clusterctl import __version__
from clusterctl.cli import (
    capture,
    check,
    clean,
    compare,
    doctor,
    down,
    etcd,
    execute,
    graph,
    guide,
    hosts,
    init,
    lesson,
    lessons,
    net,
    path,
    report,
    schema,
    ssh,
    status,
    up,
    validate,
    verify,
)
from clusterctl.model.errors import ClusterctlError, InputError, Refused

app = typer.Typer(
    name="clusterctl",
    help="Turn machines into a working multi-host Docker cluster, prove it, and take it away.",
    epilog="Exit codes: 0 all holds · 1 a check does not hold · 2 wrong usage or input · 3 refused, nothing changed · "
    "4 carried out in part, run it again · 5 another run holds the lab · 130 interrupted",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    init,
    validate,
    check,
    up,
    verify,
    status,
    doctor,
    down,
    lessons,
    lesson,
    net,
    path,
    capture,
    graph,
    report,
    guide,
    compare,
    hosts,
    etcd,
    clean,
    ssh,
    execute,
    schema,
)
"""In the order of the help."""
for module in COMMANDS:
    module.register(app)


def _version(show: bool) -> None:
    if show:
        print(f"clusterctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


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


def narrowed(argv: list[str]) -> typer.Typer:
    """Return the program with the one command that is asked for: making all of them takes longer than some run."""
    name = argv[0] if argv else ""
    one = copy.copy(app)
    one.registered_commands = [c for c in app.registered_commands if c.name == name]
    one.registered_groups = [g for g in app.registered_groups if g.name == name]
    return one if one.registered_commands or one.registered_groups else app


def _run() -> int:
    """Run the command; what typer and the system raise becomes an error of ours."""
    try:
        return narrowed(sys.argv[1:])(standalone_mode=False) or 0
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

"""systemctl and hostnamectl, as command lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.plan.command import command, script

if TYPE_CHECKING:
    from clusterctl.plan.command import Command


def restart(unit: str, within: float = 120) -> Command:
    """Restart a unit after systemd has read its files anew; a unit that gave up is tried again."""
    text = 'systemctl daemon-reload; systemctl reset-failed "$1" 2>/dev/null; exec systemctl restart "$1"'
    return script(text, unit, within=within, typed=f"systemctl daemon-reload\nsystemctl restart {unit}")


def start(unit: str, within: float = 120) -> Command:
    """Start a unit; one that gave up is tried again."""
    text = 'systemctl reset-failed "$1" 2>/dev/null; exec systemctl start "$1"'
    return script(text, unit, within=within, typed=f"systemctl start {unit}")


def stop(*units: str, within: float = 120) -> Command:
    """Stop units; those that are not loaded are no failure."""
    return command("systemctl", "stop", *units, within=within, ok=(0, 5))


def enable_and_restart(unit: str, within: float = 120) -> Command:
    """Enable a unit for the next boots and start it now, with its files read anew."""
    text = 'systemctl enable -q "$1" && { systemctl reset-failed "$1" 2>/dev/null; exec systemctl restart "$1"; }'
    # By hand one host comes after the other, and a unit that waits for its peers must not keep a person waiting.
    return script(text, unit, within=within, typed=f"systemctl enable {unit}\nsystemctl restart --no-block {unit}")


def disable_and_kill(unit: str) -> Command:
    """End a unit whose data goes as well, and take it out of the boot.

    Without a farewell: an etcd member that stops politely first looks for a successor, for up to 7 s.
    """
    text = (
        'systemctl stop --no-block "$1"; systemctl kill --signal=KILL "$1" 2>/dev/null; '
        'systemctl stop "$1" && exec systemctl disable -q "$1"'
    )
    return script(text, unit, typed=f"systemctl kill --signal=KILL {unit}\nsystemctl disable --now {unit}")


def reload_units() -> Command:
    """Make systemd read its files anew."""
    return command("systemctl", "daemon-reload")


def forget(unit: str) -> Command:
    """Make systemd forget a unit whose files are gone: also that it was killed, which it lists as a failure."""
    text = 'systemctl daemon-reload; systemctl reset-failed "$1" 2>/dev/null || true'
    return script(text, unit, typed=f"systemctl daemon-reload\nsystemctl reset-failed {unit} || true")


def set_hostname(name: str, *, lasts: bool = True) -> Command:
    """Set the static hostname, which sets the kernel's as well; or the kernel's alone, which ends with the boot."""
    return command("hostnamectl", "set-hostname", *(() if lasts else ("--transient",)), name)


def how_it_runs(unit: str) -> Command:
    """Say in two words how a unit is, and the kernel's letter for its main process ("T": stopped)."""
    text = """a=$(systemctl is-active "$1"); p=$(systemctl show -p MainPID --value "$1")
t=$(sed 's/.*) //; s/ .*//' "/proc/$p/stat" 2>/dev/null); echo "$a" "${t:--}"
"""
    return script(text, unit, root=False, within=5)


def go_on(unit: str) -> Command:
    """Let a service's processes run on that somebody has stopped (SIGSTOP)."""
    return command("systemctl", "kill", "--signal=CONT", unit)

"""Why a capture on a host tells nothing: what every check that captures a ping of its own asks first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.check import Verdict, unknown
from clusterctl.checks.probe import last_line
from clusterctl.commands import tcpdump

if TYPE_CHECKING:
    from clusterctl.commands.tcpdump import Capture
    from clusterctl.plan.command import Result


def deaf(result: Result, host: str) -> Verdict | None:
    """Return why nothing was listened to on a host, None where tcpdump listened."""
    if result.exit_code == tcpdump.MISSING:
        return unknown(f"there is no tcpdump on {host}", "apt-get install tcpdump")
    if result.exit_code == tcpdump.DEAF:
        return unknown(f"tcpdump did not start on {host}: {result.tail()}")
    return None


def mute(capture: Capture, image: str) -> Verdict | None:
    """Return why no ping was sent, None where one was. Without one it says nothing, even if another's passed by."""
    if capture.made in (126, 127):
        return unknown(f"there is no ping in the image {image}", "give the container an image that has ping")
    if "packets transmitted" not in capture.maker:
        return unknown(f"no ping was sent: {last_line(capture.maker) or f'exit {capture.made}'}")
    return None

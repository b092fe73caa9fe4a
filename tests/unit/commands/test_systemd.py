from __future__ import annotations

import pytest
from clusterctl.commands import systemd

HOSTILE = "a'; touch gone; $(touch gone)\n-x"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (systemd.stop("docker.socket", "docker.service"), "systemctl stop docker.socket docker.service"),
        (systemd.reload_units(), "systemctl daemon-reload"),
        (systemd.set_hostname("docker1"), "hostnamectl set-hostname docker1"),
        (systemd.set_hostname("a b"), "hostnamectl set-hostname 'a b'"),
        (
            systemd.restart("docker.service"),
            'sh -c \'systemctl daemon-reload; systemctl reset-failed "$1" 2>/dev/null; '
            'exec systemctl restart "$1"\' sh docker.service',
        ),
        (
            systemd.forget("etcd.service"),
            "sh -c 'systemctl daemon-reload; systemctl reset-failed \"$1\" 2>/dev/null || true' sh etcd.service",
        ),
    ],
)
def test_a_deed_reads_as_one_would_type_it(found, line: str) -> None:
    assert str(found) == line


@pytest.mark.parametrize(
    "build",
    [
        systemd.restart,
        systemd.start,
        systemd.stop,
        systemd.enable_and_restart,
        systemd.disable_and_kill,
        systemd.forget,
        systemd.set_hostname,
    ],
)
def test_a_name_is_a_word_of_its_own_and_never_part_of_a_script(build) -> None:
    found = build(HOSTILE)
    assert found.argv[-1] == HOSTILE
    assert sum(HOSTILE in word for word in found.argv) == 1


def test_stopping_what_is_not_loaded_is_no_failure() -> None:
    assert systemd.stop("x").ok == (0, 5)

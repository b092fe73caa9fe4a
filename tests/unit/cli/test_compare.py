"""The table of a comparison, as people read it."""

from __future__ import annotations

from clusterctl.cli import compare, render
from clusterctl.model.compared import Cell, Compared, NearFar, Row


def both(near: object, far: object) -> NearFar:
    return NearFar(Cell(near), Cell(far))


def test_each_kind_is_one_line_of_a_terminal_of_100_columns(monkeypatch, capsys) -> None:
    monkeypatch.setattr(render, "WIDTH", 100)
    full = Row(
        Compared.USER_BRIDGE,
        name=both(True, True),
        address=both(True, False),
        by_host=Cell(True),
        by_outsider=Cell(False),
        mtu=Cell(65535),
        payload=Cell(1472),
        milliseconds=both(0.114, 12.5),
        megabits=both(12345, None),
    )
    compare._print([full, Row(Compared.IPVLAN, missing="docker1: its kernel has no ipvlan devices")])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "user-bridge yes / yes yes / no yes no 65535 1472 0.11 / 12.50 12345 / -" in lines
    assert "ipvlan: not here: docker1: its kernel has no ipvlan devices" in lines

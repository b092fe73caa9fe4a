from __future__ import annotations

from clusterctl.phases.records import ForgetRecords
from clusterctl.plan import files
from example import both, decide, finished, fresh, lab, reasons, titles


def test_notes_go_last_and_take_their_folder_along() -> None:
    steps = decide(ForgetRecords(), lab(), finished())
    assert titles(steps) == both("remove our notes")
    assert steps[0].command.argv[-2:] == (files.WAS, files.STATE)


def test_a_host_without_notes_is_left_alone() -> None:
    assert reasons(decide(ForgetRecords(), lab(), fresh())) == both("no notes there")

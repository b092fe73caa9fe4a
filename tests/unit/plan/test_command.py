from __future__ import annotations

import pytest
from clusterctl.model.errors import CommandFailed
from clusterctl.plan.command import Result, command, script


def test_words_are_quoted_once() -> None:
    assert str(command("docker", "rm", "a b", "$(id)")) == "docker rm 'a b' '$(id)'"


def test_a_script_without_values_shows_itself_and_with_values_how_it_is_called() -> None:
    assert script("echo hi\n").line() == "echo hi"
    assert script('echo "$1"', "a b").line() == "sh -c 'echo \"$1\"' sh 'a b'"


def test_what_is_read_on_standard_input_never_shows() -> None:
    found = command("cat", input=b"SECRET")
    assert "SECRET" not in repr(found) + str(found)


def test_an_expected_exit_code_is_an_answer() -> None:
    assert Result("h", command("systemctl", "stop", "x", ok=(0, 5)), 5, "", "").expect().exit_code == 5


def test_a_failure_names_host_deed_exit_code_and_last_lines() -> None:
    result = Result("docker2", command("x"), 1, "out", "one\ntwo\nthree\nfour\nfive\n")
    with pytest.raises(CommandFailed) as caught:
        result.expect("restart docker", hint="journalctl")
    assert caught.value.lines() == (
        "docker2: restart docker: exit 1: two | three | four | five",
        "hint: journalctl",
    )


def test_a_hostile_last_line_cannot_steer_a_terminal() -> None:
    result = Result("h", command("x"), 1, "", "\x1b]0;owned\x07\x1b[2Jred\x9b31m")
    assert result.tail().isprintable()
    assert "red" in result.tail()

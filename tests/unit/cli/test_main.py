"""What every command promises: exit codes, one JSON document, help with an example, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clusterctl import __version__
from clusterctl.cli.main import COMMANDS, program, wants_json

WITH_OUTPUT = [["validate"], ["up", "--dry-run"], ["down", "--dry-run"], ["verify"], ["status"], ["down", "--yes"]]
BROKEN = "name: Lab!\nprovider: ssh\nhosts:\n  docker1: 192.0.2.300\n"


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.yml"
    path.write_text(BROKEN)
    return str(path)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_of_every_command_has_an_example(cli, command: str, flag: str) -> None:
    ended = cli(command, flag)
    assert ended.code == 0
    assert f"clusterctl {command}" in ended.out.split("Example")[1]


def test_the_help_lists_every_command_and_every_exit_code(cli) -> None:
    ended = cli("--help")
    assert ended.code == 0
    assert all(command in ended.out for command in COMMANDS)
    assert all(f"{code} " in ended.out.split("Exit codes:")[1] for code in (0, 1, 2, 3, 4, 5, 130))


def test_nothing_at_all_shows_the_help_and_is_wrong_usage(cli) -> None:
    ended = cli()
    assert ended.code == 2
    assert "Usage" in ended.out + ended.err


def test_the_version(cli) -> None:
    assert cli("--version") == (0, f"clusterctl {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["up", "--nonsense"], "No such option: --nonsense"),
        (["up", "--parallel", "0"], "Invalid value for '--parallel'"),
        (["validate", "-o", "xml"], "Invalid value for '-o'"),
        (["schema", "nonsense"], "Invalid value for 'which'"),
        (["schema"], "Missing argument"),
    ],
)
def test_wrong_usage_is_said_on_stderr_with_where_to_look(cli, words: list[str], message: str) -> None:
    ended = cli(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert message in ended.err
    assert "hint: clusterctl" in ended.err


def test_every_problem_of_a_file_is_listed_with_file_and_line(cli, broken: str) -> None:
    ended = cli("validate", "-i", broken)
    assert ended.code == 2
    assert f"{broken}:1: name:" in ended.err
    assert f"{broken}:4: hosts.docker1" in ended.err


@pytest.mark.parametrize("command", WITH_OUTPUT, ids=" ".join)
@pytest.mark.parametrize("flag", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]], ids=" ".join)
def test_a_failure_is_exactly_one_json_document_where_json_is_wanted(
    cli, broken: str, command: list[str], flag: list[str]
) -> None:
    ended = cli(*command, "-i", broken, *flag)
    assert ended.code == 2
    document = json.loads(ended.out)
    assert document["schema_version"] == 1
    assert document["error"]["kind"] == "InputError"
    assert document["error"]["exit_code"] == 2
    assert len(document["error"]["problems"]) >= 2


def test_wrong_usage_is_one_json_document_as_well(cli) -> None:
    ended = cli("up", "--nonsense", "-o", "json")
    assert ended.code == 2
    assert json.loads(ended.out)["error"]["message"] == "No such option: --nonsense"


def test_the_environment_may_ask_for_json(cli, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERCTL_OUTPUT", "json")
    assert json.loads(cli("validate", "-i", broken).out)["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("up -o json", True),
        ("up -ojson", True),
        ("up --output=json x", True),
        ("up -o table", False),
        ("up json", False),
        ("", False),
    ],
)
def test_whether_json_is_wanted_is_read_even_from_a_line_that_cannot_be_parsed(
    words: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTERCTL_OUTPUT", raising=False)
    assert wants_json(words.split()) is wanted


def test_a_file_that_is_not_there_says_which_and_what_to_do(cli) -> None:
    ended = cli("validate", "-i", "none.yml")
    assert ended.code == 2
    assert ended.err.startswith("inventory none.yml: No such file or directory\nhint: ")


def test_a_file_that_is_no_text_is_wrong_input(cli, tmp_path: Path) -> None:
    (tmp_path / "i.yml").write_bytes(b"\xff\xfe\x00")
    ended = cli("validate", "-i", str(tmp_path / "i.yml"))
    assert (ended.code, "it is not UTF-8 text" in ended.err) == (2, True)


@pytest.mark.parametrize("inventory", ["inventory/local.yml", "inventory/ssh.yml"])
def test_the_examples_are_valid(cli, inventory: str) -> None:
    ended = cli("validate", "playbooks/overlay.yml", "-i", inventory)
    assert ended.code == 0, ended.err
    assert ended.out.endswith(": all well\n")


def test_what_is_valid_is_one_json_document(cli) -> None:
    document = json.loads(cli("validate", "-i", "inventory/local.yml", "-o", "json").out)
    assert (document["schema_version"], document["valid"]) == (1, True)
    assert document["hosts"] == ["docker1", "docker2"]


@pytest.mark.parametrize("which", ["inventory", "playbook"])
def test_a_schema_is_json_schema(cli, which: str) -> None:
    ended = cli("schema", which)
    assert ended.code == 0
    assert json.loads(ended.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_reading_commands_leave_nothing_behind(cli, tmp_path: Path) -> None:
    cli("validate")
    cli("schema", "playbook")
    cli("down", "--dry-run")
    assert not (tmp_path / "state").exists()


def test_down_without_consent_and_without_a_terminal_names_what_would_go_and_does_nothing(cli, tmp_path: Path) -> None:
    ended = cli("down", "-i", "inventory/local.yml")
    assert ended.code == 2
    assert "docker1, docker2" in ended.err
    assert "DESTROY" in ended.err
    assert "add --yes" in ended.err
    assert not (tmp_path / "state").exists()


def test_down_of_hosts_that_are_kept_does_not_speak_of_destroying_them(cli) -> None:
    assert "DESTROY" not in cli("down", "-i", "inventory/local.yml", "--keep-hosts").err


def test_a_state_folder_that_cannot_be_is_refused_before_anything_is_changed(
    cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERCTL_STATE", "/proc/none")
    ended = cli("down", "--yes")
    assert ended.code == 3
    assert "Traceback" not in ended.err
    assert "/proc/none" in ended.err


def test_a_dry_run_with_hosts_that_do_not_answer_is_refused_with_the_reason(cli) -> None:
    ended = cli("up", "--dry-run", "-i", "inventory/ssh.yml")
    assert ended.code == 3
    assert "docker1: " in ended.err
    assert "docker2: " in ended.err


def test_only_the_command_that_is_asked_for_is_made() -> None:
    assert [c.name for c in program(["status", "-q"]).registered_commands] == ["status"]
    assert [g.name for g in program(["etcd", "keys"]).registered_groups] == ["etcd"]
    # Behind words that are no command one may still follow: it must be the real one.
    made = program(["--", "up"])
    assert {c.name for c in made.registered_commands} | {g.name for g in made.registered_groups} == COMMANDS.keys()


def test_completion_knows_the_options_of_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_CLUSTERCTL_COMPLETE", "complete_bash")
    assert {g.name for g in program([]).registered_groups} == {"net", "hosts", "etcd"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says_of_itself(cli, command: str) -> None:
    assert COMMANDS[command] in " ".join(cli(command, "--help").out.split())

from __future__ import annotations

import pytest
import yaml
from clusterctl.model.errors import InputError
from clusterctl.model.source import LARGEST, meant, parse


def test_values_come_with_their_lines() -> None:
    document = parse("a: 1\nb:\n  c: [x,\n      {d: true}]\n  on: ~\n", "f.yml")
    assert document.value == {"a": 1, "b": {"c": ["x", {"d": True}], "on": None}}
    assert document.lines["b", "c", 1, "d"] == 4
    assert document.lines["b", "on"] == 5
    document.finish()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("10.1.1.1", "10.1.1.1"),
        ("'12'", "12"),
        ('"on"', "on"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("a b: c".replace(": ", ":"), "a b:c"),
        ("'$(id)\"; | & < > * ?'", '$(id)"; | & < > * ?'),
        ("übung 容器", "übung 容器"),
    ],
)
def test_what_a_scalar_is(text: str, value: object) -> None:
    document = parse(f"a: {text}\n", "f.yml")
    document.finish()
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)


DISPUTED = """yes no on off Yes NO True FALSE 010 0x1F 0b1 0o17 1_000 1e3 1.5e3 .5 5. .inf .nan
12:30 12:30.5 2026-01-01 Null NULL = <<"""


# Each of these is text to one version of YAML and something else to the other, or to PyYAML.
@pytest.mark.parametrize("text", DISPUTED.split())
def test_words_that_readers_of_yaml_disagree_on_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r'write .*"'):
        parse(f"a: {text}\n", "f.yml").finish()
    assert parse(f"a: '{text}'\n", "f.yml").value == {"a": text}


def test_a_file_may_have_one_mebibyte_and_no_byte_more() -> None:
    start = "a: b\n#"
    parse(start + "x" * (LARGEST - len(start)), "f.yml").finish()
    with pytest.raises(InputError, match="larger than 1 MiB"):
        parse(start + "x" * (LARGEST - len(start) + 1), "f.yml")


def test_a_bomb_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(InputError) as caught:
        parse("\n".join(lines), "f.yml").finish()
    assert len(caught.value.problems) == 30 + 29 * 9


@pytest.mark.parametrize("text", ["a: [" * 5000, "- " * 5000, "? " * 5000, "{a: " * 5000])
def test_deep_nesting_ends_early(text: str) -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        parse(text, "f.yml")


@pytest.mark.parametrize(
    "text", ["a: \0", 'a: "\\U00110000"', 'a: "\\UFFFFFFFF"', "a: \ud800", f"%YAML {'9' * 5000}.1\n--- {{}}", "\x1b: a"]
)
def test_what_stands_for_no_character_is_an_error_with_a_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, "f.yml")
    assert str(caught.value).startswith("f.yml:1: ")
    assert str(caught.value).isprintable()


def test_every_problem_is_told_once_and_in_order() -> None:
    document = parse("a: on\nb: &x c\nd: *x\na: 1\n? [k]\n: v\n", "f.yml")
    document.add(("b", "new"), "later")
    with pytest.raises(InputError) as caught:
        document.finish()
    assert [(p.line, p.key) for p in caught.value.problems] == [
        (1, "a"),
        (2, "b"),
        (2, "b.new"),
        (3, "d"),
        (4, "a"),
        (5, ""),
    ]


def test_a_close_word_is_offered_and_a_far_one_is_not() -> None:
    assert meant("adress", ["address", "port"]) == "; did you mean 'address'?"
    assert meant("xyz", ["address", "port"]) == ""


def test_values_agree_with_yaml_where_there_is_no_problem() -> None:
    text = "a: {b: [1, 2.5, true, null, x], 'c': \"d\"}\ne: 'f'\n"
    assert parse(text, "f.yml").value == yaml.safe_load(text)

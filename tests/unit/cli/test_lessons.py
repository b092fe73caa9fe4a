from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clusterctl.checks import KINDS
from clusterctl.cli import playbooks
from clusterctl.cli.explain import explain
from clusterctl.model.errors import InputError
from clusterctl.model.finding import Finding, Severity
from clusterctl.model.lang import Lang
from clusterctl.model.playbook import load_playbook
from clusterctl.model.text import Text
from clusterctl.report.said import catalog, said

CHINESE = re.compile("[\u4e00-\u9fff]")
NAMES = [lesson.playbook.name for lesson in playbooks.lessons()]


def test_the_course_is_in_order_and_each_lesson_speaks_both_languages() -> None:
    found = [lesson.playbook for lesson in playbooks.lessons()]
    assert [p.name for p in found][:8] == [
        *("bridge", "link", "user-bridge", "isolation", "host", "none", "container", "overlay"),
    ]
    assert [p.chapter for p in found] == sorted(p.chapter for p in found)
    for playbook in found:
        texts = [playbook.lesson, playbook.about, *(e.why for e in playbook.expect)]
        assert all(t.en and CHINESE.search(t.zh) and not CHINESE.search(t.en) for t in texts), playbook.name


def test_a_text_that_is_folded_has_no_gap_in_chinese() -> None:
    text = Text(en="a b", zh="一台 主机， 两个 overlay 网络。 完")
    assert text.zh == "一台主机，两个 overlay 网络。完"
    assert (text.to(Lang.EN), text.to(Lang.ZH)) == ("a b", text.zh)
    assert Text(en="only").to(Lang.ZH) == "only"
    assert not Text()


def test_lessons_lists_them(cli) -> None:
    listed = cli("lessons")
    assert listed.code == 0
    assert all(name in listed.out for name in NAMES)
    assert "默认网桥" in cli("lessons", "--lang", "zh").out
    first, *_ = json.loads(cli("lessons", "-o", "json").out)["lessons"]
    assert (first["chapter"], first["name"], first["hosts"]) == (1, "bridge", ["docker1"])
    assert set(first["lesson"]) == {"en", "zh"}


def test_a_playbook_is_found_by_its_name_or_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = playbooks.find(Path("bridge"))
    assert shipped.is_file()
    assert playbooks.find(Path("playbooks/bridge.yml")) == shipped, "as the README names it"
    (tmp_path / "playbooks").mkdir()
    own = tmp_path / "playbooks/bridge.yml"
    own.write_text("name: bridge\n")
    assert playbooks.find(Path("bridge")).resolve() == own, "one's own folder comes first"
    assert playbooks.find(Path("-")) == Path("-")
    assert playbooks.find(Path("else/where.yml")) == Path("else/where.yml")
    with pytest.raises(InputError, match="no playbook brige; did you mean 'bridge'"):
        playbooks.find(Path("brige"))


def test_a_lesson_that_cannot_be_read_is_said_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/mine.yml").write_text("name: mine\nchapter: 1\nlessn: x\n")
    with pytest.raises(InputError, match=r"mine\.yml:3: lessn: is not a known key"):
        playbooks.lessons()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("up", "overlay-three"), "containers.qyt3.host: there is no host 'docker3': the playbook needs 3, the"),
        (("lesson", "bridge"), "a lesson waits for keys, and there is no terminal"),
        (("lesson", "nothing"), "there is no playbook nothing"),
        (("lesson", "bridge", "--lang", "fr"), "'fr' is not one of 'en', 'zh'"),
        (("down", "--keep-cluster"), "remove its containers, networks and images on docker1, docker2: not without"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(cli, words: tuple[str, ...], says: str) -> None:
    ended = cli(*words)
    assert ended.code == 2
    assert says in ended.err


def test_a_finding_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    why = Text(en="The switch is off.", zh="交换机关了。")
    one = Finding("ping", "a → b", Severity.OK, "b answers by name (b)", "10.0.0.2 answered in 0.1 ms", why=why)
    two = Finding(
        "ping", "b → a", Severity.FAILED, "a answers by name (a)", "1 sent to 10.0.0.1, 0 came back", "ip", why=why
    )
    explain([one, two], Lang.EN)
    english = capsys.readouterr().out
    assert english.count("The switch is off.") == 1, "a reason that both share stands once"
    assert "✗ FAILED  ping b → a" in english
    explain([one, two], Lang.ZH)
    chinese = capsys.readouterr().out
    assert "期望  按名字（b）能 ping 通 b" in chinese
    assert "看到  向 10.0.0.1 发出 1 个报文，回来 0 个" in chinese
    assert "原因  交换机关了。" in chinese


def test_a_sentence_without_a_translation_stays_as_it_is() -> None:
    assert said("nothing like it", Lang.ZH) == "nothing like it"
    assert said("b answers by name (b)", Lang.EN) == "b answers by name (b)"


def test_each_translation_has_the_names_of_its_sentence() -> None:
    for pattern, translated in catalog():
        assert set(re.findall(r"\{(\w+)\}", translated)) == set(pattern.groupindex), translated


def test_an_expectation_keeps_its_reason() -> None:
    text = """\
name: p
containers: {c1: {host: docker1, network_mode: bridge}}
expect:
  - gateway: {of: c1}
    why: {en: so, zh: 因此}
  - gateway: {of: c1}
"""
    first, second = load_playbook(text, "p.yml", KINDS).expect
    assert (first.why, second.why) == (Text(en="so", zh="因此"), Text())


def test_where_only_the_cluster_stands_there_is_no_playbook(cli, tmp_path: Path) -> None:
    from clusterctl.cli import wiring

    inventory = Path("inventory/local.yml")
    assert cli("validate").code == 0
    kept = tmp_path / "state/lab" / wiring.PLAYBOOK
    wiring.write_private(kept, "")
    assert wiring.load_standing(inventory, None).playbook.name == "none"
    assert wiring.load(inventory, None).playbook.name == "overlay", "what `up` takes"
    assert "no playbook stands on this cluster" in cli("verify").err
    wiring.write_private(kept, Path("playbooks/bridge.yml").read_text())
    assert wiring.load_standing(inventory, None).playbook.name == "bridge"

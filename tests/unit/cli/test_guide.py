"""The guide asks no host, hides every secret, says the same commands in every language, and has words for each."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clusterctl.report.guide import words
from example import ROOT

BLOCK = re.compile(r"^(`{3,})sh ?(\S*)\n(.*?)^\1$", re.M | re.S)
PLAYBOOKS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "playbooks").glob("*.yml"))
HOSTS = "name: ut\nprovider: {provider}\nhosts:\n  docker1: 10.9.9.1\n  docker2: 10.9.9.2\n  docker3: 10.9.9.3\n{more}"
LOCAL = "local: {subnet: 10.9.9.0/24, bare: true}\n"
SUM = "a" * 64
TARBALLS = f"cluster: {{etcd: {{file: /tmp/e.tgz, sha256: {SUM}}}, docker: {{url: https://x/d.tgz, sha256: {SUM}}}}}\n"


def blocks(text: str) -> list[tuple[str, str]]:
    return [(host, lines) for _, host, lines in BLOCK.findall(text)]


@pytest.fixture
def inventory(tmp_path: Path):
    def write(provider: str, more: str = "") -> str:
        path = tmp_path / "i.yml"
        path.write_text(HOSTS.format(provider=provider, more=more))
        return str(path)

    return write


@pytest.fixture(params=[("local", LOCAL), ("ssh", ""), ("ssh", TARBALLS), ("vagrant", "")], ids=str)
def hosts(request, inventory) -> str:
    return inventory(*request.param)


def chapters(cli, playbook: str, inventory: str, lang: str) -> list[dict[str, Any]]:
    ended = cli("guide", playbook, "-i", inventory, "--lang", lang, "-o", "json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)["guide"]["chapters"]


def worded(english: list[dict[str, Any]], chinese: list[dict[str, Any]]) -> None:
    """Hold two guides to the same commands, and every title to words of its own in each language."""
    for one, other in zip(english, chinese, strict=True):
        steps = [[(p["host"], s) for p in chapter["parts"] for s in p["steps"]] for chapter in (one, other)]
        for (host, step), (there, translated) in zip(*steps, strict=True):
            assert (host, step["shell"]) == (there, translated["shell"])
            assert words.find(step["title"]), f"report/guide/words.yml has no {step['title']!r}"
            assert re.search(r"[\u4e00-\u9fff]", translated["title"])
        assert words.find(one["title"]), f"report/guide/words.yml has no {one['title']!r}"
        assert one["why"]
        assert other["why"]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_lesson_has_words_and_the_same_commands_in_both_languages(cli, inventory, playbook: str) -> None:
    hosts = inventory("local", LOCAL)
    worded(*(chapters(cli, playbook, hosts, lang) for lang in ("en", "zh")))


def test_so_has_every_kind_of_host(cli, hosts: str) -> None:
    worded(*(chapters(cli, "playbooks/overlay.yml", hosts, lang) for lang in ("en", "zh")))


def test_both_languages_are_written_with_the_same_commands(cli) -> None:
    en, zh = (cli("guide", "playbooks/overlay.yml", "--lang", lang).out for lang in ("en", "zh"))
    assert blocks(en) == blocks(zh)
    assert len(blocks(en)) > 20
    assert "主机" in zh
    assert "主机" not in en


def test_a_why_is_said_once(cli) -> None:
    out = cli("guide", "playbooks/overlay.yml").out
    assert out.count("The settings are read at the start only.") == 1


def test_every_word_is_in_both_languages() -> None:
    for title, entry in words.entries().items():
        assert entry.why.keys() == {"en", "zh"}, title
        assert bool(entry.why["en"]) == bool(entry.why["zh"]), title
        names = re.findall(r"\{(\w+)\}", title)
        assert sorted(names) == sorted(re.findall(r"\{(\w+)\}", entry.titles["zh"])), title


def test_it_holds_no_secret_and_asks_no_host(cli, hosts: str, tmp_path: Path) -> None:
    out = cli("guide", "playbooks/overlay.yml", "-i", hosts).out
    assert "PRIVATE KEY" not in out
    assert "secret bytes" not in out
    assert "BEGIN CERTIFICATE" not in out
    assert "openssl req" in out
    assert not (tmp_path / "state").exists()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_every_block_is_shell(cli, hosts: str) -> None:
    for _, lines in blocks(cli("guide", "playbooks/overlay.yml", "-i", hosts).out):
        done = subprocess.run(["bash", "-n"], input=lines, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (lines, done.stderr)


def test_who_waits_comes_after_those_that_are_waited_for(cli) -> None:
    typed = [(host, lines.splitlines()[0]) for host, lines in blocks(cli("guide", "playbooks/overlay.yml").out)]
    starts = [i for i, (_, line) in enumerate(typed) if line == "systemctl enable clusterctl-etcd.service"]
    waits = [i for i, (_, line) in enumerate(typed) if line.startswith("until curl")]
    assert len(starts) == 2
    assert max(starts) < min(waits)


def test_bare_hosts_are_told_from_ready_ones(cli, inventory) -> None:
    assert "neither Docker nor etcd" in cli("guide", "playbooks/overlay.yml", "-i", inventory("ssh")).out
    ready = cli("guide", "playbooks/overlay.yml").out
    assert "etcd 3.4.23" in ready
    assert "apt-get install -y --no-install-recommends etcd-server" not in ready


def test_what_comes_from_this_machine_is_brought_over_from_it(cli, inventory, tmp_path: Path) -> None:
    out = cli("guide", "playbooks/overlay.yml", "-i", inventory("ssh", TARBALLS)).out
    here = [line for host, typed in blocks(out) for line in typed.splitlines() if not host]
    config = tmp_path / "state/ut/ssh_config"
    assert f"scp -F {config} /tmp/e.tgz docker1:/tmp/" in here


def test_hosts_that_cannot_carry_the_lab_are_refused(cli, inventory) -> None:
    ended = cli(
        "guide", "playbooks/overlay.yml", "-i", inventory("local", LOCAL.replace("bare", "suite: trixie, bare"))
    )
    assert ended.code == 3
    assert "no package of Debian GNU/Linux 13 (trixie) fits" in ended.err


def test_a_playbook_s_own_text_stays_text(cli, tmp_path: Path) -> None:
    path = tmp_path / "p.yml"
    path.write_text((ROOT / "playbooks/overlay.yml").read_text().replace("one network\n", "`x` <b>*y*</b>\n", 1))
    assert r"\`x\` \<b\>\*y\*\</b\>" in cli("guide", str(path)).out


def test_it_is_written_where_it_is_wanted(cli, tmp_path: Path) -> None:
    path = tmp_path / "g.md"
    ended = cli("guide", "playbooks/overlay.yml", "--write", str(path))
    assert re.fullmatch(rf"{re.escape(str(path))}: 17 chapters, \d+ steps\n", ended.out)
    assert path.read_text().startswith("# The lab “lab” by hand: overlay\n")
    assert cli("guide", "--write", str(tmp_path / "no/g.md")).code != 0

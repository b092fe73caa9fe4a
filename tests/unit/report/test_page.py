"""The page stands alone, says everything in both languages, and a real browser shows it as it is meant."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from clusterctl.model.finding import Finding, Severity
from clusterctl.model.lab import Lab
from clusterctl.model.lang import Lang
from clusterctl.model.report import Report
from clusterctl.model.text import Text
from clusterctl.plan.command import Result, command
from clusterctl.report.page.page import FOLDER, LONGEST, Findings, document, page
from clusterctl.topology.capture import Point, Sighting
from clusterctl.topology.listen import Seen
from clusterctl.topology.packets import Headers, Packet
from clusterctl.topology.trace import end, trace
from example import finished, lab

sys.path.insert(0, str(Path(__file__).parents[1] / "topology"))
from recorded_hosts import topology

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = (
    """</pre></script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">&"'{{7*7}}"""
)
INNER = Headers(("02:03", "02:02"), 0, ("10.10.10.3", "10.10.10.2"), 64, "ICMP echo request, seq 1")
OUTER = Headers(("0a:01", "0a:02"), 0, ("10.1.1.1", "10.1.1.2"), 64, "UDP 5 → 4789, VXLAN VNI 256")


def found(words: str = "a word", severity: Severity = Severity.OK) -> Findings:
    """Return something of everything that a page shows; `words` stand wherever users or hosts have a say."""
    there = topology()
    ends = [end(there, name) for name in ("qyt1", "qyt2", "m1")]
    paths = [(trace(there, a, b), trace(there, b, a)) for a, b in ((ends[0], ends[1]), (ends[0], ends[2]))]
    paths = [(replace(a, warnings=(words,), broken=words), b) for a, b in paths[:1]] + paths
    packet = Packet(1.0, 148, INNER, OUTER, 256, "request", 1)
    saw = (Sighting(Point("docker1", words, "", "eth0", ""), packet), Sighting(Point("docker2", "", "", words, "")))
    seen = Seen(paths[0][0], saw, {}, Result("docker1", command("ping"), 0, "", ""))
    why = Text(en=words, zh=words)
    finding = Finding("ping", words, severity, words, words, words, (words,), why)
    ours: Lab = lab()
    return Findings(
        lab=replace(
            ours, playbook=ours.playbook.model_copy(update={"name": words, "lesson": Text(en=words, zh=words)})
        ),
        facts=finished(),
        report=Report("ut", (finding, replace(finding, severity=Severity.OK)), words, 1.0),
        topology=there,
        pairs=tuple(paths),
        seen=seen,
        why_not="",
        transcript=("20260101-up.log", f"== {words}\n" * 3),
        when="2026-01-01 12:00 UTC",
        version="1",
    )


class Elements(HTMLParser):
    """Notes every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("words", ["a word", HOSTILE])
def test_nothing_comes_from_elsewhere_and_nothing_runs(words: str, lang: Lang) -> None:
    text = page(found(words), lang)
    elements = Elements(text).seen
    assert not {tag for tag, _ in elements} & {"script", "img", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in elements:
        assert not [a for a in attributes if a.startswith("on")], tag
        for name in ("src", "href", "srcset", "data", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "url(" not in text
    assert "@import" not in text
    assert words != HOSTILE or "{{7*7}}" in text, "and no word is a template"


def test_it_says_everything() -> None:
    text = page(found(), Lang.EN)
    for part in ("picture", "hosts", "checks", "paths", "capture", "transcript"):
        assert f'<section id="{part}">' in text
        assert f'href="#{part}"' in text
    for said in ("2 checks, all hold", "docker 20.10.24", "VNI 256", "UDP 5 → 4789", "✗ not seen", "20260101-up.log"):
        assert said in text
    assert "nsenter" in text


def test_what_does_not_hold_is_said_with_its_commands() -> None:
    text = page(found(severity=Severity.FAILED), Lang.EN)
    assert "1 of 2 checks do not hold" in text
    assert "✗ FAILED" in text
    assert "$ a word" in text
    assert "next to type: a word" in text


def test_every_word_is_in_both_languages() -> None:
    import yaml

    words = yaml.safe_load((FOLDER / "words.yml").read_text())
    for key, both in words.items():
        assert both.keys() == {"en", "zh"}, key
        names = [sorted(re.findall(r"\{(\w+)\}", text)) for text in both.values()]
        assert names[0] == names[1], key
    used = set(re.findall(r"word\('(\w+)'", (FOLDER / "page.html.j2").read_text()))
    used |= {str(s) for s in Severity} | {"picture", "hosts", "checks", "paths", "capture", "transcript"}
    assert used == set(words)
    assert 'lang="zh-CN"' in page(found(), Lang.ZH)


def test_what_is_missing_is_said() -> None:
    bare = replace(found(), pairs=(), seen=None, why_not="no tcpdump", transcript=("", ""), report=Report("ut", ()))
    text = page(bare, Lang.EN)
    for said in ("fewer than two containers", "Nothing was captured: no tcpdump", "has left a transcript", "no checks"):
        assert said in text


def test_of_a_long_transcript_the_end_is_shown() -> None:
    long = replace(found(), transcript=("x.log", "begin\n" + "x\n" * LONGEST + "end of it\n"))
    text = page(long, Lang.EN)
    assert "end of it" in text
    assert "begin\n" not in text


def test_the_document_says_the_same() -> None:
    said = json.loads(json.dumps(document(found())))
    assert said["report"]["holds"]
    assert len(said["paths"]) == 3
    assert said["capture"]["points"][0]["request"]["vni"] == 256


@pytest.fixture
def browse(tmp_path: Path):
    """Show a page in a browser. Where a run must count, a missing browser is a failure and not a skip."""
    if not CHROMIUM:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("chromium is not installed: apt-get install chromium")

    def run(text: str, *flags: str) -> str:
        path = tmp_path / "page.html"
        path.write_text(text)
        own = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        own += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
        line = [str(CHROMIUM), *own, f"--user-data-dir={tmp_path / 'profile'}", *flags, path.as_uri()]
        return subprocess.run(line, capture_output=True, text=True, timeout=90, check=True).stdout

    return run


MEASURE = """<script>
const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') &&
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
const colours = [...document.querySelectorAll('main *, header *')].filter(e => !e.closest('svg') && e.innerText);
const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => (x /= 255) <= 0.04045 ? x / 12.92 :
  ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2] };
const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!c.endsWith(', 0)')) return c } return 'rgb(255, 255, 255)' };
const pale = colours.filter(e => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5 });
const svg = document.querySelector('svg').getBoundingClientRect();
document.title = JSON.stringify({wide: wide.map(e => e.tagName), pale: pale.map(e => e.outerHTML.slice(0, 80)),
  picture: svg.width > 500 && svg.height > 300, scripts: document.scripts.length});
</script>"""


def measured(browse, text: str, *flags: str) -> dict[str, object]:
    """Return what a page looks like, by a script that is added to a copy of it."""
    free = re.sub(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", text)
    dom = browse(free.replace("</body>", f"{MEASURE}</body>"), "--dump-dom", *flags)
    title = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert title, dom[:500]
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.parametrize(("lang", "size"), [(Lang.EN, "1440,900"), (Lang.ZH, "1440,900"), (Lang.EN, "800,700")])
def test_a_browser_shows_it_whole_and_readable(browse, lang: Lang, size: str) -> None:
    seen = measured(browse, page(found(severity=Severity.FAILED), lang), f"--window-size={size}")
    assert seen == {"wide": [], "pale": [], "picture": True, "scripts": 1}


def test_no_word_of_others_runs_in_a_browser_even_without_its_policy(browse) -> None:
    """The script that measures is the only one, and the title that it wrote was not written by another."""
    assert measured(browse, page(found(HOSTILE), Lang.EN))["scripts"] == 1


def test_the_browser_obeys_the_policy_of_the_page(browse) -> None:
    dom = browse(page(found(), Lang.EN).replace("</body>", f"{MEASURE}</body>"), "--dump-dom")
    assert "<title>Lab ut: a word</title>" in dom, "no script runs in it, ours neither"


def test_it_goes_onto_paper_and_into_an_image(browse, tmp_path: Path) -> None:
    text = page(found(), Lang.EN)
    browse(text, f"--print-to-pdf={tmp_path / 'a.pdf'}")
    pages = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "a.pdf").read_bytes()))
    assert 2 <= pages <= 6
    browse(text, "--window-size=1440,900", f"--screenshot={tmp_path / 'a.png'}")
    assert (tmp_path / "a.png").stat().st_size > 30_000, "it is no blank page"

"""report.html: one file that needs nothing else, and in which text from outside is never anything but text."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import fake_run
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from al_cxr.report import write_report
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.model_figures import history

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "br", "hr"}


class Reader(HTMLParser):
    """Elements with their attributes and headings with their text; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> inside {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if any(re.fullmatch("h[1-6]", tag) for tag in self.open):
            tag, text = self.headings[-1]
            self.headings[-1] = tag, text + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def render(folder: Path, fill: object = None, title: str = "title") -> str:
    page = Page(folder, title)
    if callable(fill):
        fill(page)
    return page.write().with_name("report.html").read_text()


def table(**cells: list[object]) -> Table:
    columns = tuple(Column(name, name) for name in cells)
    return Table("t", "A table", pd.DataFrame(cells), columns)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The whole page of a run in which everything that comes from outside is hostile."""
    root = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_run, "CLASSES", (EVIL, 'b"c|<b>', "tuberculosis"))
        arms = {name: fake_run.ARMS[name] for name in ("ce+random", "ce+mc_entropy")}
        notes = (EVIL, "[x](javascript:alert(1)) ![y](//e.org/z)")
        run = fake_run.fake_run(root / "run", arms, seeds=(0,), rounds=1, notes=notes)
        named = replace(fake_run.radiographs(), names=lambda index: [f"{EVIL}{i}.png" for i in index])
        page = write_report(run, root / "results", named)
    return page.with_name("report.html").read_text()


def test_hostile_text_stays_text(hostile: str) -> None:
    page = Reader(hostile)
    assert len(page.all("script")) == 1 and EVIL not in hostile
    assert hostile.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 5
    assert not page.all("b"), "a class name opened a tag"
    assert not [a for a in page.all("a") if not str(a["href"]).startswith("#")]
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on") or name == "style"]


def test_the_page_needs_nothing_else(hostile: str) -> None:
    page = Reader(hostile)
    images = page.all("img")
    assert len(images) > 8 and all(str(i["src"]).startswith("data:image/") and i["alt"] for i in images)
    assert not page.all("link") and not page.all("iframe") and not page.all("object")
    assert not re.search(r"url\(|@import", hostile.split("</style>")[0])
    assert len(hostile) < 5_000_000


def test_only_its_own_script_and_style_may_run(hostile: str) -> None:
    policy = next(m["content"] for m in Reader(hostile).all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy and "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", hostile, re.S)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_contents_and_headings_are_in_order(hostile: str) -> None:
    page = Reader(hostile)
    ids = [str(attrs["id"]) for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.all("a")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.headings[1] == ("h2", "Warnings")
    assert page.all("html")[0]["lang"] == "en"
    assert all(th.get("scope") for th in page.all("th"))


def test_all_settings_and_the_environment_are_inside(hostile: str) -> None:
    for said in ("al-cxr run experiments/fake.yaml", "abc1234", "query_of: number", "&#34;fingerprint&#34;"):
        assert said in hostile
    for tables in ("Every arm, seed and round", "Classes acquired", "Training history"):
        assert tables in hostile, "what README.md links is inside, behind its title"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    def fill(page: Page) -> None:
        page.add("## One", "text")
        page.figure(history([], 0, "title"), "f", "caption")

    assert render(tmp_path / "a", fill) == render(tmp_path / "b", fill)
    assert render(tmp_path / "a", fill).count("data:image/webp") == 1


def test_markdown_and_html_say_the_same(tmp_path: Path) -> None:
    def fill(page: Page) -> None:
        page.add("## A *b* `c`", "- one\n- two", "### Deeper", "| x | y |\n| - | -: |\n| 1 | 2 |")
        page.facts({"who": "a|b <i>"})
        page.listing("All", Path("deep/all.yaml"), "a: <b>\n")
        page.table(table(name=["x"], value=[escape("y")]))

    html = render(tmp_path, fill, "Title *and* more")
    page = Reader(html)
    assert page.headings == [("h1", "Title and more"), ("h2", "A b c"), ("h3", "Deeper"), ("h3", "A table")]
    assert "<title>Title and more</title>" in html
    assert "<dt>who</dt><dd>a|b &lt;i&gt;</dd>" in html and "a: &lt;b&gt;\n" in html
    assert (tmp_path / "deep/all.yaml").read_text() == "a: <b>\n"
    markdown = (tmp_path / "README.md").read_text()
    assert "- who: a\\|b \\<i>" in markdown and "[All](deep/all.yaml)" in markdown


def test_links_and_images_of_markdown(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    for path in (folder / "in side.png", tmp_path / "outside.png"):
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)

    def fill(page: Page) -> None:
        page.add(
            "[other](x/README.md) [file](tables/a.csv) [*web*](https://example.org/a) [here](#start)",
            "![inside](in%20side.png) ![outside](../outside.png) ![missing](no.png) ![net](https://example.org/x.png)",
        )

    html = render(folder, fill)
    page = Reader(html)
    targets = [a["href"] for a in page.all("a") if a["href"] != "#content"]
    assert targets == ["x/report.html", "https://example.org/a", "#start"]
    assert [i["alt"] for i in page.all("img")] == ["inside"]
    assert all(word in html for word in (" file ", "outside", "missing", "net"))


def test_numbers_stand_to_the_right_whatever_kind_they_are(tmp_path: Path) -> None:
    columns = {
        "text": ["a", "b"],
        "number": ["0.56", "—"],
        "interval": ["+0.3 (−2.1 to +3.1)", "> 921 (794 to > 921)"],
        "seeds": ["3 of 5 †", "5"],
        "name": ["00012.png", "7"],
        "nothing": ["—", ""],
    }
    html = render(tmp_path, lambda page: page.table(table(**columns)))
    right = [re.sub("<.*?>", "", th) for th in re.findall(r'<th scope="col" class="n">(.*?)</th>', html)]
    assert right == ["number", "interval", "seeds"]


def test_a_heading_without_words_has_a_name(tmp_path: Path) -> None:
    made = Table("t", "A table", pd.DataFrame({"best": ["x"]}), (Column("", "best"),))
    assert '<span class="unseen">best</span></th>' in render(tmp_path, lambda page: page.table(made))

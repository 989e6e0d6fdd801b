"""The page in a real browser: desktop and phone, light and dark, tables that sort, nothing fetched, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fake_run
import pytest
from chromium import chromium, luminance
from playwright.sync_api import Browser, Page

from al_cxr.report import write_report

EVIL = "<script>document.title='evil'</script><img src=x onerror=alert(1)>"
DESKTOP, PHONE, SMALL = (1280, 900), (390, 844), (360, 740)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("page")
    arms = {name: fake_run.ARMS[name] for name in ("ce+random", "ce+mc_entropy", "focal+random")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_run, "CLASSES", (EVIL, "pneumonia", "tuberculosis"))
        run = fake_run.fake_run(root / "run", arms, seeds=(0, 1), rounds=2, notes=(EVIL,))
        page = write_report(run, root / "results", fake_run.radiographs())
    return page.with_name("report.html").as_uri()


def opened(browser: Browser, address: str, size: tuple[int, int], scheme: str = "light") -> tuple[Page, list[str]]:
    """The page, and everything that a clean page does not do: messages, errors, requests."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(("data:", address)) else None)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    return page, wrong


@pytest.mark.parametrize("size", [DESKTOP, PHONE, SMALL])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_clean_and_fits(browser: Browser, address: str, size: tuple[int, int], scheme: str) -> None:
    page, wrong = opened(browser, address, size, scheme)
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "the page scrolls sideways"
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"), "a broken image"
    box = page.locator("#warnings").bounding_box()
    assert box is not None and box["y"] < size[1], "warnings are not on the first screen"
    assert "evil" not in page.title() and wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, address: str, scheme: str) -> None:
    page, _ = opened(browser, address, DESKTOP, scheme)
    paper = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert paper > 0.9 if scheme == "light" else paper < 0.02
    for selector in ("p", "nav a", "h2", "td", ".stamp", ".notes", "dt", "summary", "#warnings h2", "figcaption"):
        ink = luminance(page.evaluate("s => getComputedStyle(document.querySelector(s)).color", selector))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, f"{selector}: contrast {contrast:.1f}"
    # A figure is drawn in dark ink, so it stands on white whatever the page is.
    assert (
        page.evaluate("getComputedStyle(document.querySelector('figure img')).backgroundColor") == "rgb(255, 255, 255)"
    )


def column(page: Page, heading: str) -> list[str]:
    """What stands in a column of the first table, from top to bottom."""
    return page.evaluate(
        """heading => {
            const table = document.querySelector('table');
            const names = [...table.tHead.rows[0].cells].map(c => c.textContent.trim().replaceAll('\\u00a0', ' '));
            return [...table.tBodies[0].rows].map(r => r.cells[names.indexOf(heading)].textContent.trim());
        }""",
        heading,
    )


def test_a_click_on_a_heading_sorts_the_rows(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, DESKTOP)
    original = column(page, "arm")
    heading = page.locator("table").first.locator("th", has_text="accuracy, %")
    assert heading.get_attribute("aria-sort") == "none"

    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    up = [float(text.split("±")[0]) for text in column(page, "accuracy, %")]
    assert up == sorted(up) and len(set(up)) > 2 and column(page, "arm") != original
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text.split("±")[0]) for text in column(page, "accuracy, %")] == sorted(up, reverse=True)
    heading.get_by_role("button").press("Space")
    assert column(page, "arm") == original and heading.get_attribute("aria-sort") == "none"

    # Signed differences sort as numbers, and what is missing is last both ways.
    gain = page.locator("table").first.locator("th", has_text="gain over baseline").get_by_role("button")
    for order in (1, -1):
        gain.click()
        values = column(page, "gain over baseline, points")
        known = [float(v.split("±")[0].replace("−", "-")) for v in values if v != "—"]
        assert 1 < len(known) < len(values) and values[len(known) :] == ["—"] * (len(values) - len(known))
        assert known == sorted(known, reverse=order < 0)
    assert heading.get_attribute("aria-sort") == "none" and wrong == []


def test_details_open_and_show_every_setting(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address, PHONE)
    settings = page.locator("details", has_text="settings.yaml").first
    assert not settings.locator("pre").is_visible()
    settings.locator("summary").click()
    assert settings.locator("pre").is_visible() and "query_of: number" in settings.locator("pre").inner_text()
    table = page.locator("details", has_text="Every arm, seed and round").first
    table.locator("summary").click()
    assert table.locator("table").is_visible() and wrong == []


def test_wide_tables_scroll_in_their_own_box(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address, SMALL)
    box = page.locator(".scroll").first
    assert box.evaluate("e => e.scrollWidth > e.clientWidth"), "the first table is not wide, so nothing is tested"
    box.evaluate("e => { e.scrollLeft = 1000; }")
    assert box.evaluate("e => e.scrollLeft") > 0 and page.evaluate("document.documentElement.scrollLeft") == 0


def test_paper_shows_what_was_closed(browser: Browser, address: str, tmp_path: Path) -> None:
    page, wrong = opened(browser, address, DESKTOP)
    page.pdf(path=tmp_path / "page.pdf")
    assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF") and wrong == []

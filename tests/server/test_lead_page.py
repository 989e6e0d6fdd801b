"""The page of whoever leads a project in a browser: figures in words and as bands, light and dark, on a phone too."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import chromium, luminance
from playwright.sync_api import Browser, Page
from pretended import Pretended

EVIL = "<img src=x onerror=document.title='evil'>"
LAPTOP, PHONE = (1280, 900), (390, 844)


def figure(value: float | None, low: float | None, high: float | None, n: int, why: str = "") -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "anytime": True, "why": why}


STATUS: dict[str, Any] = {
    "images": 2_000, "present": 1_996, "features": 1_996, "target": "tuberculosis",
    "goal": {"figure": "sensitivity", "at_least": 0.9},
    "labelled": {"normal": 402, "pneumonia": 96, "tuberculosis": 131},
    "other": {"unsure": 12, "skipped": 5, "unreadable": 3, "not_frontal_chest": 2},
    "streams": {"acquisition": 410, "audit": 160, "second": 54, "repeat": 27},
    "disagreed": 4, "model": "head-0063", "trained_on": 459, "audited": 158, "not_audited": {"unsure": 2}, "aside": 420,
    "figures": {
        "accuracy": figure(0.918, 0.86, 0.96, 158), "prevalence": figure(0.21, 0.14, 0.29, 158),
        "sensitivity": figure(0.879, 0.7, 0.97, 33), "specificity": figure(0.952, 0.89, 0.99, 125),
        "auc": figure(0.957, 0.88, 1.0, 158), "elusion": figure(None, None, None, 0, "no image is predicted so"),
    },
    "weighted": {"accuracy": figure(0.931, 0.9, 0.96, 459), "sensitivity": figure(0.88, 0.79, 0.95, 131)},
    "prevalence": figure(0.204, 0.171, 0.237, 1996), "chosen_less_random": figure(0.031, -0.012, 0.074, 158),
    "agreement": {
        "observed": figure(0.93, 0.82, 0.99, 54), "kappa": figure(0.78, 0.61, 0.92, 54),
        "ac1": figure(0.9, 0.8, 0.97, 54),
    },
    "repeats": {"observed": figure(1.0, None, None, 27)}, "ceiling": figure(0.964, 0.91, 0.99, 54),
    "readers": {
        "ann": {"outcomes": {"answered": 380, "unsure": 8, "skipped": 5}, "median_seconds": 11.4, "can_undo": 3},
        EVIL: {"outcomes": {"answered": 249}, "median_seconds": None, "can_undo": 0},
    },
    "sittings": {"ann": [
        {"first": 25 * i, "median": 13.5 - 1.1 * i, "low": 9.5 - i, "high": 18.0 - i, "n": 60} for i in range(5)
    ], EVIL: []},
    "certified": None, "exams": [60, 120], "until_certified": 71,
    "curve": [
        {"labels": 40 * i + 20, "value": 0.9 - 0.5 / (i + 1.5), "low": 0.72 - 0.5 / (i + 1.5),
         "high": 0.97 - 0.2 / (i + 1)}
        for i in range(11)
    ],
    "needed": {"value": 640.0, "low": 480.0, "high": None, "why": ""},
    "hours": {"value": 0.9, "low": 0.4, "high": None, "why": ""}, "stable": False,
}  # fmt: skip
EMPTY: dict[str, Any] = {
    **copy.deepcopy(STATUS), "labelled": {"normal": 0, "tuberculosis": 0}, "other": {}, "streams": {}, "disagreed": 0,
    "model": "", "trained_on": 0, "audited": 0, "not_audited": {}, "figures": {}, "weighted": {}, "prevalence": None,
    "chosen_less_random": None, "agreement": {}, "repeats": {}, "ceiling": None, "readers": {}, "sittings": {},
    "exams": [], "until_certified": None, "curve": [], "needed": None, "hours": None, "stable": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


def shown(browser: Browser, status: dict[str, Any], size: tuple[int, int] = LAPTOP, scheme: str = "light") -> Page:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
    server = Pretended([], lead=status)
    page = server.visit(context, "/lead")
    page.wait_for_selector("#status section")
    assert server.wrong == [] and set(server.calls) >= {"/lead", "/api/lead/status"}
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "the page scrolls sideways"
    return page


@pytest.mark.parametrize(("size", "scheme"), [(LAPTOP, "light"), (PHONE, "dark")])
def test_figures_stand_in_words_beside_their_bands(browser: Browser, size: tuple[int, int], scheme: str) -> None:
    page = shown(browser, STATUS, size, scheme)
    text = page.locator("main").inner_text()
    for words in (
        "Go on: sensitivity of 90.0 % or more is not certified",
        "The next exam is at 60 audited images",
        "Hint: the learning curve reaches it at about 640 labels to learn from (480 to many more); there are 459.",
        "87.9 % (70.0 to 97.0 %), 33 images",
        "not known: no image is predicted so",
        "+3.1 % (-1.2 to +7.4 %), 158 images",
        "0.78 (0.61 to 0.92), 54 images",
        "100.0 %, 27 images, without an interval",
        "4 images are no longer there",
    ):
        assert words in text, words
    assert page.locator(".curve").count() == 2 and page.locator(".curve polygon").count() == 2
    band = page.locator(".figure:has-text('sensitivity (tuberculosis)') .band")
    assert (band.get_attribute("x1"), band.get_attribute("x2")) == ("70.00%", "97.00%")
    goal = page.locator(".figure .goal")
    assert goal.count() == 1 and goal.get_attribute("x1") == "90.00%"
    assert EVIL in text and "evil" not in page.title()
    paper = luminance(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
    assert paper > 0.9 if scheme == "light" else paper < 0.02
    for selector in ("h2", ".soft", ".note", ".legend li", ".figure .value", "td", "a", "code"):
        ink = luminance(page.evaluate("s => getComputedStyle(document.querySelector(s)).color", selector))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, selector
    page.context.close()


def test_a_project_without_answers_says_what_is_missing(browser: Browser) -> None:
    page = shown(browser, EMPTY)
    text = page.locator("main").inner_text()
    for words in (
        "No labels yet.",
        "Nothing is measured yet",
        "There is no model yet",
        "Nobody has read yet.",
        "No image was read twice yet.",
    ):
        assert words in text, words
    page.context.close()


def test_a_certified_project_says_that_one_may_stop(browser: Browser) -> None:
    certified = {"model": "head-0060", "size": 60, "low": 0.907, "passed": True}
    page = shown(browser, {**STATUS, "certified": certified})
    text = page.locator(".advice.done").inner_text()
    assert "You may stop: sensitivity of 90.0 % or more is reached" in text
    assert (
        "model head-0060 by an exam on 60 audited images: at least 90.7 %. Newer models have not been examined" in text
    )
    page.context.close()

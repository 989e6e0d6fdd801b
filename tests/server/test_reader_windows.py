"""The viewer paints what numpy computes: windows of the file, by hand, inverted, turned, mirrored, of tall pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from chromium import chromium
from playwright.sync_api import Browser, Page
from pretended import Pretended, deep

from al_cxr.data.picture import Window

IMAGE_HW = deep(90, 70, 1)
SEEN = """() => {
  const canvas = document.getElementById("image");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const levels = Array.from(data.filter((_, at) => at % 4 === 0), (level) => String.fromCharCode(level));
  return [canvas.width, canvas.height, levels.join("")];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def server() -> Pretended:
    return Pretended([IMAGE_HW, IMAGE_HW[::-1]])


@pytest.fixture
def page(browser: Browser, server: Pretended) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 401, "height": 501})
    opened = server.visit(context)
    opened.wait_for_selector('#image[data-bits="full"]')
    opened.keyboard.press("o")
    yield opened
    context.close()
    assert server.wrong == []


def seen(page: Page) -> np.ndarray:
    """The whole canvas after the next frame, uint8 (height, width)."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    width, height, text = page.evaluate(SEEN)
    return np.frombuffer(text.encode("latin-1"), np.uint8).reshape(height, width)


def image_of(page: Page, height: int, width: int) -> np.ndarray:
    """What lies in the middle; all around is black."""
    all_HW = seen(page)
    top, left = (all_HW.shape[0] - height + 1) // 2, (all_HW.shape[1] - width + 1) // 2
    inside = all_HW[top : top + height, left : left + width]
    assert inside.sum() == all_HW.sum() > 0, "something was painted beside the image, or nothing at all"
    return inside


def levels(window: Window, inverted: bool = False) -> np.ndarray:
    grey_HW = window.grey(IMAGE_HW)
    return np.floor(255 * (1 - grey_HW if inverted else grey_HW) + 0.5).astype(np.uint8)


def windows(server: Pretended) -> list[Window]:
    return [Window(**{**one, "levels": tuple(one.get("levels", ()))}) for one in server.meta(IMAGE_HW)["windows"]]


def test_each_window_of_the_file_is_painted_as_numpy_computes_it(page: Page, server: Pretended) -> None:
    for window in windows(server):
        page.locator("#readout", has_text=window.name).wait_for()  # painted with the next frame
        apart_HW = np.abs(image_of(page, 90, 70).astype(int) - levels(window))
        assert apart_HW.max() <= (0 if window.function == "LINEAR_EXACT" else 1) and apart_HW.mean() < 0.01, window.name
        page.keyboard.press("w")
    page.locator("#readout", has_text=windows(server)[0].name).wait_for()  # after the last comes the first


def test_percentiles_full_range_and_invert_have_a_key(page: Page, server: Pretended) -> None:
    *_, percentiles, full = windows(server)
    page.keyboard.press("p")
    assert np.array_equal(image_of(page, 90, 70), levels(percentiles))
    page.keyboard.press("a")
    assert np.array_equal(image_of(page, 90, 70), levels(full))
    page.keyboard.press("i")
    assert np.array_equal(image_of(page, 90, 70), levels(full, inverted=True))


def test_a_drag_changes_the_window_and_is_kept_with_the_answer(page: Page, server: Pretended) -> None:
    page.mouse.move(200, 250)
    page.mouse.down()
    page.mouse.move(170, 270, steps=3)
    page.mouse.up()
    seen(page)
    page.keyboard.press("1")
    page.wait_for_selector('#answered:text-is("1 answered")')
    view = server.answers[server.question(0)]["view"]
    assert view["window"] == "by hand" and view["width"] < 4095 and view["center"] > 2047.5
    page.keyboard.press("u")
    page.wait_for_selector(f'#image[data-question="{server.question(0)}"][data-bits="full"]')


@pytest.mark.parametrize(
    ("keys", "turned"),
    [
        ("r", np.rot90(IMAGE_HW, -1)),
        ("l", np.rot90(IMAGE_HW)),
        ("rr", np.rot90(IMAGE_HW, 2)),
        ("m", IMAGE_HW[:, ::-1]),
        ("v", IMAGE_HW[::-1]),
        ("mr", np.rot90(IMAGE_HW[:, ::-1], -1)),
        ("rm", np.rot90(IMAGE_HW, -1)[:, ::-1]),
        ("rv", np.rot90(IMAGE_HW, -1)[::-1]),
        ("mvrrm", IMAGE_HW[:, ::-1]),
    ],
)
def test_turns_and_mirrors_follow_what_is_seen(page: Page, server: Pretended, keys: str, turned: np.ndarray) -> None:
    for key in keys:
        page.keyboard.press(key)
    grey_HW = windows(server)[0].grey(turned)
    assert np.array_equal(image_of(page, *turned.shape), np.floor(255 * grey_HW + 0.5).astype(np.uint8))


def test_zoom_keeps_what_is_under_the_pointer(page: Page) -> None:
    page.keyboard.press("f")
    box = page.locator("#image").bounding_box()
    assert box is not None
    x, y = round(box["width"] / 2 + 30), round(box["height"] / 2 - 40)
    before_HW = seen(page)
    before = before_HW[y - 3 : y + 3, x - 3 : x + 3].mean()
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.wheel(0, -200)
    after_HW = seen(page)
    assert abs(after_HW[y - 3 : y + 3, x - 3 : x + 3].mean() - before) < 6
    assert (after_HW > 0).sum() > (before_HW > 0).sum(), "it is larger"
    page.keyboard.press(" ")
    page.locator("#readout", has_text="normal").wait_for()


def test_tall_pixels_are_drawn_tall(browser: Browser) -> None:
    server = Pretended([np.full((60, 60), 4095, np.uint16)], aspect=2.0)
    context = browser.new_context(viewport={"width": 401, "height": 501})
    page = server.visit(context)
    page.wait_for_selector('#image[data-bits="full"]')
    page.keyboard.press("o")
    bright = seen(page) > 128
    assert (bright.any(axis=1).sum(), bright.any(axis=0).sum()) == (120, 60)
    context.close()

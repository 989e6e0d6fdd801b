"""The reader's page in a browser: one image, one key, the next image; nothing lost, nothing that hints, all bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from chromium import chromium
from playwright.sync_api import Browser, Page
from pretended import Pretended, deep

LAPTOP, PHONE = (1280, 800), (390, 844)
EVIL = "<img src=x onerror=document.title='evil'>"
Opened = Callable[..., tuple[Page, Pretended]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """A page of a pretended server, the first image painted; in the end, nothing went to another host."""
    made: list[Pretended] = []

    def make(server: Pretended, size: tuple[int, int] = LAPTOP, **options: object) -> tuple[Page, Pretended]:
        made.append(server)
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)  # type: ignore[arg-type]
        page = server.visit(context)
        return page, server

    yield make
    for context in browser.contexts:
        context.close()
    assert [one.wrong for one in made] == [[]] * len(made)


def painted(page: Page, number: int, bits: str = "full") -> None:
    page.wait_for_selector(f'#image[data-question="q{number:07}"][data-bits="{bits}"]')


def some(count: int = 12) -> Pretended:
    return Pretended([deep(48, 40, seed) for seed in range(count)])


def all_there(page: Page, server: Pretended) -> None:
    """The first image is painted, and the five after it are loaded."""
    painted(page, 0)
    while server.calls.count("/api/images/q0000005/pixels") == 0:
        page.wait_for_timeout(20)
    page.wait_for_timeout(50)


def told(server: Pretended) -> list[tuple[str, str]]:
    return [(question, body["answer"]) for question, body in server.answers.items()]


def saved(page: Page, count: int) -> None:
    page.wait_for_selector(f'#answered:text-is("{count} answered")')
    page.wait_for_selector('#saved[data-waiting="0"]')


def test_one_key_answers_and_the_next_image_is_there(opened: Opened) -> None:
    page, server = opened(some())
    for number, keys in enumerate(["1", "2", "3", "?", "s", "xx", "xn", "9z"]):
        painted(page, number)
        for key in keys:
            page.keyboard.press(key)
    saved(page, 7)
    words = ["normal", "pneumonia", "tuberculosis", "unsure", "skip", "unreadable", "not-frontal"]
    assert told(server) == [(server.question(n), word) for n, word in enumerate(words)], "9 and z are no keys"
    first = server.answers[server.question(0)]
    assert first["view"]["bits"] == "full" and first["view"]["window"] == "normal" and first["milliseconds"] >= 0
    assert server.calls.count("/api/shown") == 8


def test_a_key_that_is_held_down_answers_one_image(opened: Opened) -> None:
    page, _ = opened(some())
    painted(page, 0)
    for _ in range(5):
        page.keyboard.down("1")
    page.keyboard.up("1")
    saved(page, 1)
    painted(page, 1)


def test_the_next_five_are_loaded_ahead_small_pictures_first_and_no_more(opened: Opened) -> None:
    page, server = opened(some())
    all_there(page, server)
    loaded = [call.removeprefix("/api/images/") for call in server.calls if call.startswith("/api/images/")]
    assert loaded.index("q0000005/preview") < loaded.index("q0000001/pixels")
    assert sorted(one for one in loaded if one.endswith("pixels")) == [f"q000000{n}/pixels" for n in range(6)]
    with page.expect_response("**/q0000006/pixels"):
        page.keyboard.press("1")
    assert len(server.calls) == len(set(server.calls)) + 2, "next and shown twice; no image is loaded twice"


def test_undo_brings_the_image_back_one_after_another(opened: Opened) -> None:
    page, server = opened(some())
    for number in range(3):
        painted(page, number)
        page.keyboard.press("1")
    saved(page, 3)
    for number in (2, 1):
        page.keyboard.press("u")
        painted(page, number)
    assert told(server) == [(server.question(0), "normal")]
    page.keyboard.press("2")
    painted(page, 2)
    page.keyboard.press("3")
    saved(page, 3)
    assert [word for _, word in told(server)] == ["normal", "pneumonia", "tuberculosis"]
    painted(page, 3)


def test_undo_without_an_answer_says_so(opened: Opened) -> None:
    page, _ = opened(some())
    painted(page, 0)
    page.keyboard.press("u")
    page.wait_for_selector("#said:text('no answer to take back')")


def test_a_lost_connection_is_said_and_loses_no_answer(opened: Opened) -> None:
    page, server = opened(some())
    all_there(page, server)
    server.away = True
    for number, key in enumerate("1232"):
        painted(page, number)
        page.keyboard.press(key)
    page.wait_for_selector("#alarm:text('4 answers not saved yet')")
    page.keyboard.press("u")  # the last one was never sent, so it comes back without the server
    painted(page, 3)
    page.keyboard.press("1")
    assert server.answers == {}
    server.away = False
    saved(page, 4)
    assert told(server) == [
        (server.question(n), w) for n, w in enumerate(["normal", "pneumonia", "tuberculosis", "normal"])
    ]
    assert page.locator("#alarm").is_hidden()


def test_an_answer_whose_acknowledgement_is_lost_is_sent_again(opened: Opened) -> None:
    page, server = opened(some())
    painted(page, 0)
    server.deaf_once = True
    page.keyboard.press("3")
    saved(page, 1)
    assert server.calls.count("/api/answer") == 2 and told(server) == [(server.question(0), "tuberculosis")]


def test_an_image_that_cannot_be_read_says_so_and_can_be_answered(opened: Opened) -> None:
    server = some()
    server.broken = {server.question(0)}
    page, _ = opened(server)
    page.wait_for_selector("#note:text('cannot be read')")
    page.keyboard.press("x")
    page.keyboard.press("x")
    painted(page, 1)
    saved(page, 1)
    assert told(server) == [(server.question(0), "unreadable")]


def test_an_image_that_is_not_there_yet_cannot_be_answered(opened: Opened) -> None:
    page, server = opened(some())
    page.wait_for_selector("#classes button")
    all_there(page, server)
    server.away = True
    for number in range(6):
        painted(page, number)
        page.keyboard.press("1")
    page.keyboard.press("1")
    server.away = False
    saved(page, 6)


def test_nothing_left_is_said(opened: Opened) -> None:
    page, _ = opened(some(1))
    painted(page, 0)
    page.keyboard.press("1")
    page.wait_for_selector("#note:text('Nothing is left to read')")
    saved(page, 1)


def test_active_time_stands_still_while_nobody_is_there(opened: Opened) -> None:
    page, server = opened(some())
    painted(page, 0)
    page.clock.install()
    page.reload()
    painted(page, 0)
    hide = "on => { Object.defineProperty(document, 'hidden', {value: on, configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange')); }"
    for number, wait in enumerate((20, 600, 0)):
        painted(page, number)
        page.clock.fast_forward(1000 * wait)
        if wait == 0:
            page.evaluate(hide, True)
            page.clock.fast_forward(30_000)
            page.evaluate(hide, False)
        page.keyboard.press("1")
    saved(page, 3)
    seconds = [body["milliseconds"] / 1000 for body in server.answers.values()]
    assert 20 <= seconds[0] < 30 and 60 <= seconds[1] < 70 and seconds[2] < 30


def test_a_comment_goes_with_its_image(opened: Opened) -> None:
    page, server = opened(some())
    painted(page, 0)
    page.keyboard.press("c")
    page.keyboard.type("1 pacemaker, x")
    with page.expect_request("**/api/comment") as sent:
        page.keyboard.press("Enter")
    assert sent.value.post_data_json == {"question": server.question(0), "comment": "1 pacemaker, x"}
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    assert server.answers == {} and server.calls.count("/api/comment") == 1


def test_a_class_name_is_text(opened: Opened) -> None:
    server = some()
    server.classes = ["normal", EVIL]
    page, _ = opened(server)
    painted(page, 0)
    assert page.locator("#classes button").nth(1).inner_text().endswith(EVIL) and "evil" not in page.title()
    page.keyboard.press("2")
    page.wait_for_function("word => document.getElementById('said').textContent.startsWith(word)", arg=EVIL)
    saved(page, 1)

"""Galleries: what stands above and below an image, and whose map of which images lies below it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_run import ARMS, fake_run, labels, pixels

from al_cxr.comparison.finished import Finished, load
from al_cxr.core.predictions import read_predictions
from al_cxr.report.acquired_gallery import add_acquired
from al_cxr.report.fits import Radiographs, add_fit, right_and_wrong
from al_cxr.report.gallery import ACROSS, Maps, Tile, sheet, used
from al_cxr.report.kit.figures import add_stamp, save
from al_cxr.report.kit.page import Page
from al_cxr.report.overlay import overlay

GREEN, RED = "#00704F", "#B3261E"
SIDE = 32


def tiles(count: int) -> list[Tile]:
    return [Tile(image, f"true: x\n{i}", f"says {i}", i % 2 == 0) for i, image in enumerate(pixels(np.arange(count)))]


def maps(count: int) -> Maps:
    return Maps(np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE), np.uint8), "Grad-CAM")


def test_answers_are_green_where_right_and_red_where_wrong() -> None:
    figure = sheet([tiles(3)], None, "t")
    titles = [(axes.get_title(), axes.title.get_color(), axes.get_xlabel()) for axes in figure.axes]
    assert titles == [(f"says {i}", RED if i == 1 else GREEN, f"true: x\n{i}") for i in range(3)]
    assert all(axes.images[0].get_array().shape == (SIDE, SIDE) for axes in figure.axes)


def test_below_each_image_lies_its_own_map() -> None:
    rows, shown = [tiles(4), tiles(3)], maps(7)
    figure = sheet(rows, shown, "t")
    drawn = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(drawn) == 7 and shown.values_NSS is not None
    for image, tile, values in zip(drawn, [*rows[0], *rows[1]], shown.values_NSS, strict=True):
        np.testing.assert_array_equal(image[:SIDE], np.repeat(tile.image_SS[..., None], 3, axis=2))
        np.testing.assert_array_equal(image[-SIDE:], overlay(tile.image_SS, values / 255))
    assert "Grad-CAM" in used(shown) and "not where a finding is" in used(shown)


def test_a_model_without_maps_says_so() -> None:
    none = Maps(None, "MLP has no map to show")
    figure = sheet([tiles(2)], none, "t")
    assert used(none) == " · MLP has no map to show" and used(None) == ""
    assert all(axes.images[0].get_array().shape == (SIDE, SIDE) for axes in figure.axes)


def test_hostile_names_and_empty_sheets_can_be_drawn(tmp_path: Path) -> None:
    figure = sheet([[Tile(np.zeros((SIDE, SIDE), np.uint8), "a", "b")]], maps(1), "$x^$ " * 30)
    add_stamp(figure, "$\\bad$ " * 40)
    save(figure, tmp_path / "a.png")
    save(sheet([], None, "t"), tmp_path / "b.png")


def test_some_right_and_some_wrong_answers_are_shown() -> None:
    right_N = np.random.default_rng(1).random(100) < 0.8
    right, wrong = right_and_wrong(right_N)
    assert right_N[right].all() and not right_N[wrong].any()
    assert len(set(right)) == len(set(wrong)) == ACROSS and list(right) == sorted(right)
    none, few = right_and_wrong(np.array([False, False]))
    assert len(none) == 0 and list(few) == [0, 1]


class Asked:
    """An explainer that notes whose maps of what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int], list[int] | None]] = []

    def __call__(self, folder: Path, index_N: np.ndarray, classes_N: np.ndarray | None) -> Maps:
        self.calls.append((folder.name, index_N.tolist(), None if classes_N is None else classes_N.tolist()))
        return maps(len(index_N))


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    return load(fake_run(tmp_path / "run", {n: ARMS[n] for n in ("ce+random", "ce+mc_entropy")}, (0,), rounds=2))


def test_what_was_acquired_is_explained_by_the_model_that_asked(finished: Finished, tmp_path: Path) -> None:
    asked = Asked()
    radiographs = Radiographs(labels(), pixels, lambda index: ["x"] * len(index), asked)
    queries = finished.queries["ce+mc_entropy", 0]
    queries[1] = queries[1].model_copy(update={"predicted": [2, 0]})
    add_acquired(Page(tmp_path / "out", "t"), finished, "ce+mc_entropy", radiographs)
    fits = [record.fit for record in finished.rounds["ce+mc_entropy", 0]]
    assert asked.calls == [(fits[0], [1, 2], None), (fits[1], [1, 2], [2, 0])]


def test_samples_are_explained_by_the_model_that_answered(finished: Finished, tmp_path: Path) -> None:
    asked = Asked()
    radiographs = Radiographs(labels(), pixels, lambda index: ["x"] * len(index), asked)
    key = finished.baselines[0].fit
    add_fit(Page(tmp_path / "out", "t"), finished, key, "m", "m", 0, radiographs)
    ((folder, shown, answers),) = asked.calls
    index_N, probs_NC = read_predictions(finished.fit_folder(key), "test")
    answers_N = probs_NC.argmax(axis=1)
    assert folder == key and answers == [int(answers_N[index_N == i][0]) for i in shown]
    right = [answer == labels()[i] for i, answer in zip(shown, answers or [], strict=True)]
    assert right == [True] * ACROSS + [False] * ACROSS

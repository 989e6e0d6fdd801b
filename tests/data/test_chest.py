"""The chest is found wherever it lies and however it was exposed."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from real_data import shared

from al_cxr.data import chest
from al_cxr.data.phantom import radiographs as phantom
from al_cxr.data.polarity import GREY, NEGATIVE, likeness
from al_cxr.models.crops import chests


@pytest.fixture(scope="module")
def standing() -> list[np.ndarray]:
    return phantom.standing(24)


def placed(pixels: np.ndarray, left: int, top: int, width: int, height: int, canvas: int = 200) -> np.ndarray:
    """A picture somewhere on a black canvas."""
    out = np.zeros((canvas, canvas), np.uint8)
    out[top : top + height, left : left + width] = np.asarray(Image.fromarray(pixels).resize((width, height)))
    return out


def corners(box: chest.Box) -> np.ndarray:
    return np.array(astuple(box)[:4])


def test_a_negative_is_told_from_a_radiograph(standing: list[np.ndarray]) -> None:
    for pixels in standing:
        assert likeness(pixels) > 0.2 and likeness(255 - pixels) < NEGATIVE
    assert likeness(np.full((64, 64), 7, np.uint8)) == 0
    bright = (standing[0] * 0.5 + 100).astype(np.uint8)
    assert likeness(bright) == pytest.approx(likeness(standing[0]), abs=0.01), "exposure cancels"


def test_the_template_is_what_its_function_draws() -> None:
    stored = np.load(chest.TEMPLATE, allow_pickle=False)
    np.testing.assert_allclose(stored, chest.draw_template(), atol=0.01)
    np.testing.assert_allclose(np.load(GREY, allow_pickle=False), chest.draw_grey(), atol=0.01)


@pytest.mark.parametrize(
    "left, top, width, height", [(0, 0, 200, 200), (20, 30, 150, 140), (50, 10, 140, 180), (40, 60, 120, 120)]
)
def test_a_phantom_is_found_where_it_was_put(
    standing: list[np.ndarray], left: int, top: int, width: int, height: int
) -> None:
    margin = (1 - chest.MARGIN) / 2
    right, bottom = left + width, top + height
    inside = [left + margin * width, top + margin * height, right - margin * width, bottom - margin * height]
    expected = np.array(inside) / 200
    found = np.array([corners(chest.find(placed(p, left, top, width, height))) for p in standing])
    assert np.abs(np.median(found, axis=0) - expected).max() < 0.05
    assert (np.abs(found - expected).max(axis=1) < 0.12).mean() > 0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 23), st.floats(0.75, 1.3), st.floats(0.3, 1.0), st.floats(0, 0.3))
def test_exposure_moves_no_box(number: int, gamma: float, contrast: float, brightness: float) -> None:
    pixels = phantom.standing(24)[number]
    exposed = (pixels / 255) ** gamma * contrast * (1 - brightness) + brightness
    found = chest.find(np.rint(255 * exposed).astype(np.uint8))
    assert np.abs(corners(found) - corners(chest.find(pixels))).max() < 0.2


def test_what_is_no_chest_is_kept_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    ramp = np.tile(np.arange(128, dtype=np.uint8), (128, 1))
    for pixels in (np.zeros((64, 64), np.uint8), np.full((300, 200), 255, np.uint8), noise, ramp):
        assert chest.find(pixels) == chest.WHOLE


def test_a_real_radiograph_in_another_frame_is_cut_to_the_same_picture() -> None:
    root = shared("data", "cxr")
    table = pd.read_csv(root / "shenzhen.csv").iloc[::17]
    alike, as_it_comes = [], []
    for name in table["path"]:
        pixels = np.asarray(Image.open(root / name))
        framed = placed(pixels, 30, 20, 160, 190, 224)
        framed[25:40, 195:215] = 255  # a burnt-in mark
        both = torch.from_numpy(np.stack([pixels, framed]))[:, None].float() / 255
        alike.append(np.corrcoef(*chests(both).flatten(1).numpy())[0, 1])
        as_it_comes.append(np.corrcoef(*both.flatten(1).numpy())[0, 1])
    assert len(alike) > 30 and np.median(alike) > 0.8
    assert np.mean(np.array(alike) > as_it_comes) > 0.95

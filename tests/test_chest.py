"""The chest is found wherever it lies and however it was exposed; what a model saw in training it sees ever after."""

from __future__ import annotations

from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import shared
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import write_tiny

from al_cxr.bundles.bundle import open_bundle
from al_cxr.bundles.predict import answerer, serving_runtime
from al_cxr.cli import main
from al_cxr.config import DataSettings
from al_cxr.data import chest, decode, phantom, sources
from al_cxr.fits import ModelCard
from al_cxr.records import read


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


def test_the_template_is_what_its_function_draws() -> None:
    stored = np.load(chest.TEMPLATE, allow_pickle=False)
    np.testing.assert_allclose(stored, chest.draw_template(), atol=0.01)


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
@given(st.integers(0, 23), st.floats(0.6, 1.6), st.floats(0.3, 1.0), st.floats(0, 0.3))
def test_exposure_moves_no_box(number: int, gamma: float, contrast: float, brightness: float) -> None:
    pixels = phantom.standing(24)[number]
    exposed = (pixels / 255) ** gamma * contrast * (1 - brightness) + brightness
    found = chest.find(np.rint(255 * exposed).astype(np.uint8))
    assert np.abs(corners(found) - corners(chest.find(pixels))).max() < 0.1


def test_what_is_no_chest_is_kept_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    ramp = np.tile(np.arange(128, dtype=np.uint8), (128, 1))
    for pixels in (np.zeros((64, 64), np.uint8), np.full((300, 200), 255, np.uint8), noise, ramp):
        assert chest.find(pixels) == chest.WHOLE


def test_a_cut_is_a_part_of_the_image_and_black_beyond() -> None:
    pixels = np.random.default_rng(1).integers(1, 256, (40, 60), dtype=np.uint8)
    assert (chest.cut(pixels, chest.WHOLE, 30) == np.asarray(Image.fromarray(pixels).resize((30, 30), 1))).all()
    quarter = chest.cut(np.repeat(np.repeat(pixels, 2, 0), 2, 1)[:80, :80], chest.Box(0, 0, 0.5, 0.5, 1), 40)
    assert quarter.shape == (40, 40)
    assert (quarter == np.repeat(np.repeat(pixels, 2, 0), 2, 1)[:40, :40]).all()
    beyond = chest.cut(np.full((20, 20), 200, np.uint8), chest.Box(-0.5, 0.0, 0.5, 1.0, 1), 20)
    assert (beyond[:, :9] == 0).all() and (beyond[:, 11:] == 200).all()


def test_a_real_radiograph_in_another_frame_is_cut_to_the_same_picture() -> None:
    root = shared("data", "cxr")
    table = pd.read_csv(root / "shenzhen.csv").iloc[::17]
    alike, as_it_comes = [], []
    for name in table["path"]:
        pixels = np.asarray(Image.open(root / name))
        framed = placed(pixels, 30, 20, 160, 190, 224)
        framed[25:40, 195:215] = 255  # a burnt-in mark
        one, other = (chest.cut(p, chest.find(p), 64).astype(float) for p in (pixels, framed))
        alike.append(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        squashed = (chest.cut(p, chest.WHOLE, 64).astype(float) for p in (pixels, framed))
        as_it_comes.append(np.corrcoef(*(image.ravel() for image in squashed))[0, 1])
    assert len(alike) > 30 and np.median(alike) > 0.85
    assert np.mean(np.array(alike) > as_it_comes) > 0.95


def test_the_crop_is_part_of_an_image() -> None:
    given_source = sources.parse("phantom:30")
    plain = sources.load(DataSettings(sources=[given_source]))
    cut = sources.load(DataSettings(sources=[given_source], crop="chest"))
    assert plain.images.key != cut.images.key and plain.images.name(3) == cut.images.name(3)
    (pixels, digest), (whole, origin) = cut.images.read(3, 64), plain.images.read(3, 128)
    assert digest != origin
    assert (pixels == chest.cut(whole, chest.find(whole), 64)).all()
    seen = sources.load_for_evaluation(given_source, cut.classes, "chest")
    assert (seen.images.read(0, 64)[0] == cut.images.read(int(cut.indices("test")[0]), 64)[0]).all()


def test_a_model_sees_the_chest_in_training_and_in_every_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = write_tiny(tmp_path)
    assert main(["baseline", "--arch", "cnn", str(experiment), "--set", "data.crop=chest", "--name", "cut"]) == 0
    fit = next((tmp_path / "runs" / "baseline-cut" / "cnn" / "fits").iterdir())
    assert read(fit / "model.json", ModelCard).crop == "chest"
    assert main(["bundle", str(fit), "model"]) == 0
    assert "cut to the chest" in (tmp_path / "model" / "README.md").read_text()

    folder = tmp_path / "images"
    folder.mkdir()
    dataset = sources.load(DataSettings(sources=[sources.parse("phantom:60")]))
    for index in range(4):
        Image.fromarray(dataset.images.read(index, 256)[0]).save(folder / f"{index}.png")
    assert main(["predict", "model", str(folder), "--out", "answers.csv"]) == 0
    answers = pd.read_csv(tmp_path / "answers.csv")
    bundle = open_bundle(tmp_path / "model")
    answer = answerer(bundle, serving_runtime())
    whole = [partial(decode.decode, folder / f"{index}.png") for index in range(4)]
    column = f"p_{bundle.record.target}"
    for crop, same in (("chest", True), ("none", False)):
        pixels = np.stack([chest.view(read_at, bundle.record.image_size, crop) for read_at in whole])
        probs = answer(pixels).probs_NC[:, bundle.record.classes.index(bundle.record.target)]
        assert np.allclose(answers[column], probs, atol=1e-6) == same

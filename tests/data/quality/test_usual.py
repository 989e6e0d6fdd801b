"""What radiographs usually look like: numbers that agree with their definitions, and a file that is checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from al_cxr.core.checkpoint import load_tensors, save_tensors
from al_cxr.core.errors import UserError
from al_cxr.data.quality import usual as usual_module
from al_cxr.data.quality.usual import FEATURES, Usual, brightness, features, fit, read_usual, write_usual


def images(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random blobs on a common gradient."""
    rng = np.random.default_rng(seed)
    base = np.linspace(60, 160, 64)[:, None] + 30 * np.sin(np.linspace(0, 6, 64))[None]
    fields = np.kron(rng.normal(0, 15, (count, 8, 8)), np.ones((8, 8)))
    return (base + fields + rng.normal(0, 4, (count, 64, 64))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def usual() -> Usual:
    found = fit(features(images(200)), features(images(100, seed=1)))
    assert found is not None
    return found


def test_unlikeness_is_uniform_for_images_of_the_same_kind_and_one_for_others(usual: Usual) -> None:
    same = usual.unlike(features(images(400, seed=2)))
    for quantile in (0.1, 0.5, 0.9):
        assert np.quantile(same, quantile) == pytest.approx(quantile, abs=0.12)
    assert (usual.unlike(features(255 - images(50, seed=3))) == 1).all()
    assert (usual.unlike(features(np.zeros((1, 64, 64), np.uint8))) == 1).all()


def test_an_image_alone_is_as_unlike_as_among_others(usual: Usual) -> None:
    some = images(30, seed=4)
    whole = usual.unlike(features(some))
    assert [usual.unlike(features(some[i : i + 1]))[0] for i in range(30)] == whole.tolist()


def test_the_distance_is_that_of_mahalanobis(usual: Usual) -> None:
    x_NK = features(images(5, seed=5))
    inverse = usual.precision_KK / np.outer(usual.scale_K, usual.scale_K)
    expected = [np.sqrt((x - usual.mean_K) @ inverse @ (x - usual.mean_K)) for x in x_NK]
    ranks = [np.mean(usual.distances_M < d) for d in expected]
    np.testing.assert_allclose(usual.unlike(x_NK), ranks, atol=1e-9)


def test_likeness_knows_how_an_image_lies(usual: Usual) -> None:
    some = images(20, seed=6)
    for quarter in range(4):
        turned = np.rot90(some, quarter, axes=(1, 2))
        assert (usual.likeness(features(turned)).argmax(axis=1) == quarter).all()
    assert (usual.likeness(features(255 - some))[:, 0] < -0.2).all()


def test_fields_are_means_and_brightness_has_its_percentiles() -> None:
    some = images(3, seed=7)
    found = features(some)
    assert found.shape == (3, FEATURES)
    np.testing.assert_allclose(found[:, 0], some[:, :8, :8].mean(axis=(1, 2)) / 255)
    np.testing.assert_allclose(found[:, 63], some[:, 56:, 56:].mean(axis=(1, 2)) / 255)
    np.testing.assert_allclose(brightness(some)[:, 4], np.median(some.reshape(3, -1), axis=1))
    assert features(np.zeros((0, 28, 28), np.uint8)).shape == (0, FEATURES)


def test_of_few_images_there_is_no_summary() -> None:
    x_NK = features(images(30, seed=8))
    assert fit(x_NK[:19], x_NK) is None and fit(x_NK, x_NK[:9]) is None and fit(x_NK[:20], x_NK[:10]) is not None


def test_a_summary_is_read_as_it_was_written_and_what_is_none_is_refused(usual: Usual, tmp_path: Path) -> None:
    path = tmp_path / "usual.safetensors"
    write_usual(path, usual)
    first = path.read_bytes()
    assert read_usual(path).identity() == usual.identity()
    write_usual(path, usual)
    assert path.read_bytes() == first and len(first) < 100_000
    whole, _ = load_tensors(path)
    for name, wrong in (
        ("mean_K", torch.zeros(3)),
        ("scale_K", torch.zeros(FEATURES)),
        ("precision_KK", torch.full((FEATURES, FEATURES), torch.nan)),
        ("distances_M", torch.tensor([2.0, 1.0])),
        ("distances_M", torch.zeros(0)),
        ("more", torch.zeros(1)),
    ):
        save_tensors(path, {**whole, name: wrong})
        with pytest.raises(UserError, match="refused"):
            read_usual(path)


def test_images_described_some_at_a_time_have_the_numbers_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    some = images(50)
    at_once = features(some)
    monkeypatch.setattr(usual_module, "BATCH", 7)
    assert np.array_equal(features(some), at_once) and features(some[:0]).shape == (0, FEATURES)

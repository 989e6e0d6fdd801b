"""How many more labels: exact curves are found, intervals hold the truth, and what cannot be known is not said."""

from __future__ import annotations

import numpy as np
import pytest

from al_cxr.evaluation.learning_curve import fit, labels_needed

SIZES = np.array([20, 40, 80, 120, 160, 240, 320])


def audited(sizes: np.ndarray, images: int, seed: int, a: float = 0.95, b: float = 1.5, c: float = 0.6) -> np.ndarray:
    """Right answers (V, T): an image that is easy enough for a model stays so for a better one."""
    easy = np.random.default_rng(seed).random(images)
    right: np.ndarray = easy < (a - b * sizes[:, None] ** -c)
    return right.astype(float)


def test_an_exact_curve_is_found_again() -> None:
    a, b, c = fit(SIZES, (0.93 - 0.8 * SIZES**-0.5)[None])
    assert (a[0], c[0]) == (pytest.approx(0.93, abs=0.003), pytest.approx(0.5, abs=0.02))
    assert a[0] - b[0] * 1000.0 ** -c[0] == pytest.approx(0.93 - 0.8 * 1000**-0.5, abs=0.002)


def test_a_curve_never_promises_more_than_all_nor_that_labels_harm() -> None:
    a, b, _ = fit(SIZES, np.stack([0.5 + 0.07 * np.arange(7), 0.9 - 0.02 * np.arange(7)]))
    assert (a <= 1).all() and (b >= 0).all() and b[1] == 0


def test_the_interval_holds_the_labels_that_are_truly_needed() -> None:
    truth, held, widths = (1.5 / (0.95 - 0.90)) ** (1 / 0.6), [], []
    for run in range(40):
        found = labels_needed(SIZES, audited(SIZES, 1500, run), 0.90, draws=150)
        if np.isfinite(found.value):
            held.append(found.low <= truth <= found.high)
            widths.append(found.high / found.low)
    assert len(held) > 30 and np.mean(held) > 0.8 and np.median(widths) < 6


@pytest.mark.parametrize(
    ("sizes", "images", "target", "why"),
    [
        (SIZES[:4], 500, 0.9, "4 models have been measured"),
        (np.arange(100, 160, 10), 500, 0.9, "from 100 to 150 labels"),
        (SIZES, 19, 0.9, "on 19 audit images"),
        (SIZES, 4000, 0.999, "levels off"),
        (SIZES, 4000, 0.944, "beyond 960 labels"),
    ],
)
def test_what_the_data_cannot_say_is_not_said(sizes: np.ndarray, images: int, target: float, why: str) -> None:
    found = labels_needed(sizes, audited(sizes, images, 0), target, draws=100)
    assert np.isnan([found.value, found.low, found.high]).all() and why in found.why


def test_an_audit_that_is_small_leaves_the_upper_end_open() -> None:
    found = labels_needed(SIZES, audited(SIZES, 150, 3), 0.90, draws=200)
    assert np.isinf(found.high) and found.low < 400


def test_images_that_an_older_model_was_not_asked_are_left_out_of_its_figure() -> None:
    right = audited(SIZES, 3000, 1)
    late = right.copy()
    late[:3, 1500:] = np.nan
    whole, part = (labels_needed(SIZES, values, 0.9, draws=50) for values in (right, late))
    assert part.value == pytest.approx(whole.value, rel=0.25) and part.value != whole.value


def test_models_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        labels_needed(SIZES[::-1], audited(SIZES, 100, 0), 0.9)

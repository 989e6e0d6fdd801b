"""Agreement of readers: published tables, scikit-learn's kappa, who is paired with whom, and what cannot be said."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from al_cxr.evaluation.agreement import agreement, all_pairs, reader_pairs


def table(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings of a 2 x 2 table: both say ill, the first alone, the second alone, neither."""
    counts = [both, first, second, neither]
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


@pytest.mark.parametrize(
    ("cells", "observed", "kappa", "positive", "negative"),
    [
        # Feinstein, Cicchetti 1990, J Clin Epidemiol 43, tables 1 and 2; Cicchetti, Feinstein 1990, same volume.
        ((40, 9, 6, 45), 0.85, 0.70, 0.84, 0.86),
        ((80, 10, 5, 5), 0.85, 0.32, 0.91, 0.40),
    ],
)
def test_high_agreement_with_a_low_kappa_as_published(
    cells: tuple[int, int, int, int], observed: float, kappa: float, positive: float, negative: float
) -> None:
    found = agreement(*table(*cells), classes=2, target=1)
    for name, value in (("observed", observed), ("kappa", kappa), ("positive", positive), ("negative", negative)):
        assert found[name].value == pytest.approx(value, abs=0.006)
        assert found[name].low < found[name].value < found[name].high and not found[name].anytime


def test_gwets_example_of_125_subjects() -> None:
    """Gwet 2002, Statistical Methods for Inter-Rater Reliability Assessment 1: kappa -0.0234, AC1 0.9408."""
    found = agreement(*table(118, 5, 2, 0), classes=2, target=1)
    assert found["kappa"].value == pytest.approx(-0.0234, abs=5e-5)
    assert found["ac1"].value == pytest.approx(0.9408, abs=5e-5)


def test_kappa_of_several_classes_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    first = draw.integers(0, 4, 200)
    second = np.where(draw.random(200) < 0.6, first, draw.integers(0, 4, 200))
    found = agreement(first, second, classes=4, target=2)
    assert found["kappa"].value == pytest.approx(cohen_kappa_score(first, second))
    assert found["observed"].value == (first == second).mean()
    mean = np.array([((first == c).mean() + (second == c).mean()) / 2 for c in range(4)])
    by_chance = (mean * (1 - mean)).sum() / 3
    assert found["ac1"].value == pytest.approx((found["observed"].value - by_chance) / (1 - by_chance))


def test_the_interval_of_kappa_holds_it_as_often_as_it_says() -> None:
    truth, held = agreement(*table(200, 100, 100, 600), classes=2, target=1)["kappa"].value, []
    for run in range(150):
        cells = np.random.default_rng(run).multinomial(120, [0.2, 0.1, 0.1, 0.6])
        found = agreement(*table(*cells), classes=2, target=1)["kappa"]
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) > 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 150)


def test_images_of_one_patient_are_drawn_together() -> None:
    first, second = (np.repeat(readings, 4) for readings in table(8, 4, 4, 24))
    alone = agreement(first, second, 2, 1)["observed"]
    together = agreement(first, second, 2, 1, [f"p{i // 4}" for i in range(160)])["observed"]
    assert together.value == alone.value and together.high - together.low > 1.6 * (alone.high - alone.low)


def test_readers_who_always_agree_have_an_exact_bound_and_no_invented_interval_of_kappa() -> None:
    readings = np.repeat([1, 0], [10, 20])
    found = agreement(readings, readings, 2, 1)
    assert found["observed"].low == pytest.approx(0.025 ** (1 / 30)) and found["observed"].high == 1
    assert found["kappa"].value == 1 and np.isnan(found["kappa"].low) and "alike" in found["kappa"].why
    one = agreement(np.zeros(30, int), np.zeros(30, int), 2, 1)
    assert np.isnan(one["kappa"].value) and "one class" in one["kappa"].why and one["ac1"].value == 1
    assert np.isnan(one["positive"].value) and one["negative"].value == 1


def test_pairs_are_of_images_that_both_read() -> None:
    answers = {"ben": {"x": 1, "y": 0}, "ann": {"x": 1, "z": 0}, "cem": {"y": 1, "x": 0}}
    assert reader_pairs(answers) == {("ann", "ben"): ["x"], ("ann", "cem"): ["x"], ("ben", "cem"): ["x", "y"]}


def test_all_pairs_together_count_an_image_once_a_pair_and_a_patient_once() -> None:
    draw = np.random.default_rng(2)
    truth = draw.integers(0, 2, 60)
    answers = {
        name: {f"i{i}": int(t) if draw.random() < 0.85 else int(1 - t) for i, t in enumerate(truth)} for name in "abc"
    }
    found = all_pairs(answers, 2, 1)
    pairs = [
        agreement(*(np.array(list(answers[n].values())) for n in pair), 2, 1)["observed"] for pair in ("ab", "ac", "bc")
    ]
    assert found["observed"].n == 180
    assert found["observed"].value == pytest.approx(np.mean([pair.value for pair in pairs]))
    one_image_each = agreement(*table(20, 20, 20, 120), 2, 1)["observed"]
    assert found["observed"].high - found["observed"].low > 1.1 * (one_image_each.high - one_image_each.low)


def test_too_few_second_reads_say_so() -> None:
    assert "4 images were read twice" in agreement(np.zeros(4, int), np.ones(4, int), 2, 1)["kappa"].why
    assert np.isnan(all_pairs({"ann": {"x": 1}}, 2, 1)["observed"].value)
    with pytest.raises(ValueError, match="same images"):
        agreement(np.zeros(4, int), np.zeros(5, int), 2, 1)
    with pytest.raises(ValueError, match="classes -1 to 1"):
        agreement(np.array([-1, 0]), np.array([1, 0]), 2, 1)

"""Certificates: none too many is wrong when models change all the time, and a good model gets one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

from al_cxr.evaluation.audit import block_areas
from al_cxr.evaluation.certificate import chance, due, elusion_bound, exams, images_until_passed, sit


def test_the_first_exam_is_the_smallest_that_a_model_can_pass() -> None:
    for target in (0.7, 0.9, 0.97):
        plan = exams(target, most=800)
        first = plan.sizes[0]
        assert sit(plan, first, np.ones(first, bool)).passed and target ** (first - 1) > plan.error
        assert len(plan.sizes) * plan.error == pytest.approx(0.05) and plan.sizes[-1] == 800
        assert (np.diff(plan.sizes) > 0).all()


def test_no_exam_is_laid_down_that_nobody_could_pass() -> None:
    assert exams(0.99, most=100).sizes == ()
    with pytest.raises(ValueError, match="within"):
        exams(1.0, most=100)


def test_an_exam_is_due_once_and_of_several_the_largest() -> None:
    plan = exams(0.9, most=300)
    first, second, third = plan.sizes[:3]
    assert due(plan, first - 1) is None and due(plan, first) == first
    assert due(plan, second - 1, sat=first) is None and due(plan, third, sat=first) == third


def test_an_exam_looks_at_its_own_images_alone_with_the_exact_bound() -> None:
    plan = exams(0.9, most=300)
    size = plan.sizes[3]
    right = np.arange(300) >= 4
    found = sit(plan, size, right)
    assert found == sit(plan, size, right[:size])
    assert found.low == pytest.approx(beta.ppf(plan.error, size - 4, 5)) and found.value == (size - 4) / size
    with pytest.raises(ValueError, match="cannot sit"):
        sit(plan, size + 1, right)
    with pytest.raises(ValueError, match="cannot sit"):
        sit(plan, size, right[: size - 1])


def wrong_certificates(runs: int, kept: float) -> tuple[float, float]:
    """Shares of projects with any wrong certificate, by exams and by a 95 % bound looked at after every five images.
    Every five audit images there is a new model; each answers rightly just less often than the target, and a share
    `kept` of its answers is that of the model before."""
    target, most, wrong = 0.85, 400, []
    plan, looks = exams(target, most), np.arange(5, most + 1, 5)
    for run in range(runs):
        draw, sat, exam, hits = np.random.default_rng([3, run]), 0, False, []
        right = draw.random(most) < target - 1e-6
        for images in looks:
            right = np.where(draw.random(most) < kept, right, draw.random(most) < target - 1e-6)
            hits.append(right[:images].sum())
            if size := due(plan, images, sat):
                sat, exam = size, exam or sit(plan, size, right).passed
        # The exact one-sided 95 % bound of Clopper and Pearson.
        wrong.append((exam, (beta.ppf(0.05, hits, looks - hits + 1) >= target).any()))
    return tuple(np.mean(wrong, axis=0))


@pytest.mark.parametrize("kept", [0.0, 0.95])
def test_models_that_change_at_every_look_get_few_wrong_certificates_by_exams_and_many_without(kept: float) -> None:
    exam, naive = wrong_certificates(150, kept)
    assert exam <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150) and naive > 0.2


def test_the_plan_says_how_likely_a_good_model_has_passed_and_at_what_size() -> None:
    plan, passed = exams(0.8, most=500), []
    for run in range(150):
        right = np.random.default_rng(run).random(500) < 0.9
        passed.append(np.logical_or.accumulate([sit(plan, size, right).passed for size in plan.sizes]))
    likely = np.array(chance(plan, 0.9))
    assert (np.abs(np.mean(passed, axis=0) - likely) <= 4 * np.sqrt(likely * (1 - likely) / 150) + 1e-9).all()
    size = images_until_passed(plan, 0.9)
    at = plan.sizes.index(size)
    assert likely[at] >= 0.8 > likely[at - 1] and images_until_passed(plan, 0.81) is None
    assert chance(plan, 0.8)[-1] <= 0.05


def test_an_area_is_certified_on_blocks_if_it_is_large_enough_and_hardly_ever_if_not() -> None:
    plan, good, bad = exams(0.85, most=150), [], []
    for run in range(40):
        draw = np.random.default_rng([9, run])
        ill = draw.random(800) < 0.3
        for found, area in ((good, 0.95), (bad, 0.849)):
            blocks = block_areas(draw.normal(np.sqrt(2) * norm.ppf(area) * ill), ill)
            found.append(any(sit(plan, size, blocks).passed for size in plan.sizes))
    assert np.mean(good) > 0.9 and np.mean(bad) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


def test_of_no_ill_in_n_it_is_near_3_in_n() -> None:
    assert elusion_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300)) and elusion_bound(0, 300) < 3 / 300
    assert binom.cdf(2, 150, elusion_bound(2, 150)) == pytest.approx(0.05)

"""Confidence sequences: against the definition, by how often they are ever wrong, and what they cost in width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln, gammaln
from scipy.stats import beta, betabinom

from al_cxr.evaluation.sequences import ConfidenceSequence, bounded_mean, log_wealth, proportion_sequence

RUNS = 400
WORST = 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)
"""A share of wrong runs that a rate of 5 % exceeds once in 700 seeds; the seed here is fixed."""


def archive(size: int, share: float, asked: int, run: int) -> np.ndarray:
    hits: np.ndarray = np.random.default_rng([7, run]).permutation(size)[:asked] < round(share * size)
    return hits


def ever_wrong(bounds: ConfidenceSequence, truth: float) -> bool:
    return bool((bounds.low_T > truth).any() or (bounds.high_T < truth).any())


def test_without_replacement_it_is_the_prior_posterior_ratio_of_the_paper() -> None:
    hits, size, low, high = archive(300, 0.8, 80, 0), 300, 0, 300
    found = proportion_sequence(hits, size)
    for t in range(1, 81):
        s = int(hits[:t].sum())
        counts = np.arange(s, size - t + s + 1)
        posterior = betabinom.logpmf(counts - s, size - t, 0.5 + s, 0.5 + t - s)
        kept = counts[betabinom.logpmf(counts, size, 0.5, 0.5) - posterior < np.log(20)]
        low, high = max(low, kept[0]), min(high, kept[-1])
        assert (found.low_T[t - 1], found.high_T[t - 1]) == (low / size, high / size)


def test_with_replacement_it_is_the_ratio_of_beta_densities() -> None:
    hits = np.random.default_rng(0).random(150) < 0.9
    found, shares, kept = proportion_sequence(hits), np.linspace(0.0001, 0.9999, 9999), np.ones(9999, bool)
    for t in range(1, 151):
        s = int(hits[:t].sum())
        kept &= beta.logpdf(shares, 0.5, 0.5) - beta.logpdf(shares, 0.5 + s, 0.5 + t - s) < np.log(20)
    assert found.low == pytest.approx(shares[kept][0], abs=2e-4)
    assert found.high == pytest.approx(shares[kept][-1], abs=2e-4)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_looked_at_after_every_answer_it_is_wrong_in_at_most_5_percent_of_projects(share: float) -> None:
    runs = [proportion_sequence(archive(2000, share, 400, run), 2000) for run in range(RUNS)]
    assert np.mean([ever_wrong(found, share) for found in runs]) <= WORST


def test_a_fixed_interval_looked_at_after_every_answer_is_wrong_far_more_often() -> None:
    wrong = []
    for run in range(100):
        hits_L, looks_L = np.cumsum(archive(2000, 0.9, 300, run))[4::5], np.arange(5, 301, 5)
        # Clopper and Pearson's; the upper bound is 1 where all were hits, which NaN < 0.9 says.
        low_L, high_L = beta.ppf(0.025, hits_L, looks_L - hits_L + 1), beta.ppf(0.975, hits_L + 1, looks_L - hits_L)
        wrong.append((low_L > 0.9).any() or (high_L < 0.9).any())
    assert np.mean(wrong) > 0.12


def test_the_sequence_without_a_size_holds_for_a_part_of_the_archive_of_any_size() -> None:
    """Where it rejects a share, so does the sequence that knows the size, which cannot err too often."""
    for size in (5, 13, 40, 120):
        for count in range(1, size):
            t, s = (grid.ravel() for grid in np.meshgrid(np.arange(1, size + 1), np.arange(count + 1)))
            possible = (s <= t) & (t - s <= size - count)
            t, s = t[possible], s[possible]
            marginal = betaln(0.5 + s, 0.5 + t - s) - betaln(0.5, 0.5)
            replaced = s * np.log(count / size) + (t - s) * np.log1p(-count / size)
            known = gammaln(count + 1) - gammaln(count - s + 1) + gammaln(size - count + 1)
            known = known - gammaln(size - count - (t - s) + 1) - gammaln(size + 1) + gammaln(size - t + 1)
            rejects = marginal - replaced >= np.log(20)
            assert (marginal - known >= np.log(20) - 1e-9)[rejects].all()


def test_the_archive_read_to_its_end_is_known_exactly() -> None:
    found = proportion_sequence(archive(500, 0.3, 500, 1), 500)
    assert (found.low, found.high) == (0.3, 0.3)


def test_knowing_the_size_makes_it_narrower_and_before_the_first_answer_nothing_is_known() -> None:
    hits = archive(600, 0.7, 400, 2)
    known, unknown = proportion_sequence(hits, 600), proportion_sequence(hits)
    assert known.high - known.low < 0.8 * (unknown.high - unknown.low)
    for size in (None, 600):
        nothing = proportion_sequence(np.empty(0, bool), size)
        assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_it_never_grows_and_always_holds_what_was_seen() -> None:
    hits = archive(2000, 0.9, 600, 3)
    for found in (proportion_sequence(hits, 2000), proportion_sequence(hits)):
        assert (np.diff(found.low_T) >= 0).all() and (np.diff(found.high_T) <= 0).all()
        assert found.low < hits.mean() < found.high


def test_an_order_that_is_not_random_does_not_end_in_an_interval_upside_down() -> None:
    sorted_hits = np.arange(600) < 300
    for found in (proportion_sequence(sorted_hits, 600), proportion_sequence(sorted_hits)):
        assert (found.low_T <= found.high_T).all()
    assert bounded_mean(sorted_hits.astype(float)) == (0.0, 1.0)


def test_the_mean_of_bounded_values_is_ever_wrong_in_at_most_5_percent_of_projects() -> None:
    wrong = []
    for run in range(RUNS):
        values = np.random.default_rng([8, run]).choice([0.0, 0.5, 1.0], 300, p=[0.1, 0.1, 0.8])
        reached = max(log_wealth(values, 0.85).max(), log_wealth(1 - values, 0.15).max())
        wrong.append(reached >= np.log(2 / 0.05))
    assert np.mean(wrong) <= WORST


def test_bounds_of_a_mean_are_those_where_the_wealth_reaches_40() -> None:
    values = np.random.default_rng(4).beta(8, 2, 200)
    low, high = bounded_mean(values)
    assert log_wealth(values, low).max() == pytest.approx(np.log(40), abs=0.01)
    assert log_wealth(1 - values, 1 - high).max() == pytest.approx(np.log(40), abs=0.01)
    assert 0.05 < high - low < 0.10
    assert bounded_mean(np.empty(0)) == (0.0, 1.0)


def test_values_that_are_no_share_are_refused() -> None:
    with pytest.raises(ValueError, match="true or false"):
        proportion_sequence(np.array([0, 1]))
    with pytest.raises(ValueError, match="11 images cannot come from 10"):
        proportion_sequence(np.ones(11, bool), 10)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        bounded_mean(np.array([0.5, 1.5]))

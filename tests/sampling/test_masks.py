"""Masks: a pass is ordinary dropout, the T passes share the strata, and all of it follows from the key."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from al_cxr.sampling import masks as module
from al_cxr.sampling.masks import Masks, Site

SITE = Site(0, "", "aten.bernoulli_.float", 0.7, (1, 200, 200), 0)
UNITS = 40_000


def all_of(masks: Masks, site: Site, passes: int) -> np.ndarray:
    """(passes, units) in 0..1."""
    return np.stack([masks.of(site, t).float().numpy().ravel() for t in range(passes)])


def near(got: float, want: float, count: int = UNITS) -> bool:
    return abs(got - want) < 5 * math.sqrt(want * (1 - want) / count)


@pytest.mark.parametrize("stratified", [True, False])
def test_one_pass_is_ordinary_dropout(stratified: bool) -> None:
    for mask in all_of(Masks(0, stratified=stratified), SITE, 3):
        assert near(mask.mean(), 0.7)
        assert near((mask[1:] * mask[:-1]).mean(), 0.49), "units are independent"


def test_two_passes_are_independent_or_drawn_without_replacement() -> None:
    for stratified, want in ((False, 0.49), (True, 14 * 13 / (20 * 19))):
        masks = all_of(Masks(0, passes=20, stratified=stratified), SITE, 4)
        for a, b in ((0, 1), (0, 3), (2, 3)):
            assert near((masks[a] * masks[b]).mean(), want)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.floats(0.02, 0.98), st.integers(0, 2**63))
def test_over_all_passes_a_unit_is_kept_as_often_as_it_should(passes: int, keep: float, seed: int) -> None:
    site = Site(3, "", "", keep, (1, 50), 0)
    for block in (0, 1):
        masks = Masks(seed, 1, passes)
        kept = sum(masks.of(site, block * passes + t).numpy().ravel().astype(int) for t in range(passes))
        assert np.isin(kept, (math.floor(keep * passes), math.ceil(keep * passes))).all()


def test_the_means_of_many_blocks_are_right() -> None:
    """23 of 33 strata are kept for sure and a 24th sometimes: no bias from rounding."""
    assert near(all_of(Masks(0, passes=33), SITE, 33).mean(), 0.7, UNITS)


def test_numbers_instead_of_a_mask() -> None:
    site = Site(0, "", "", None, (1, 5000), 0)
    numbers = all_of(Masks(4, passes=10), site, 10)
    assert numbers.dtype == np.float32 and numbers.min() >= 0 and numbers.max() < 1
    assert (np.sort((numbers * 10).astype(int), axis=0) == np.arange(10)[:, None]).all()


def test_all_of_the_key_counts_and_nothing_else() -> None:
    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (2**32, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 20, 0), (0, 0, 0, 1)]
    drawn = [Masks(s, r).of(Site(p, "", "", 0.7, (64,), None), t).numpy().tobytes() for s, r, t, p in keys]
    assert len(set(drawn)) == len(keys), "seed, round, pass and site all count, to the last bit"
    for stratified in (True, False):
        forwards, backwards = Masks(0, stratified=stratified), Masks(np.int64(0), np.int64(0), stratified=stratified)
        ordered = [forwards.of(SITE, t) for t in range(25)]
        assert all(torch.equal(backwards.of(SITE, np.int64(t)), ordered[t]) for t in reversed(range(25)))
    few, many = (Masks(0, passes=t, stratified=False).of(SITE, 3) for t in (5, 50))
    assert torch.equal(few, many), "independent passes do not depend on how many there are"


def test_what_does_not_fit_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [Masks(0).of(SITE, t) for t in (0, 7)]
    monkeypatch.setattr(module, "BYTES", 0)
    monkeypatch.setattr(module, "AT_ONCE", 2**20)
    masks = Masks(0)
    assert all(torch.equal(masks.of(SITE, t), mask) for t, mask in zip((0, 7), kept, strict=True)) and not masks._kept

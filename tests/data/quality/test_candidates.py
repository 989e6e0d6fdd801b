"""The search for pairs: all of them among few images, hardly one missed among many, and no pair twice the other way."""

from __future__ import annotations

import numpy as np
import pytest

from al_cxr.data.quality import candidates as search
from al_cxr.data.quality import sketches

COPIES = 200


def drawn(n: int, noise: float) -> np.ndarray:
    """Random sketches, the last of which are the first again with some noise."""
    rng = np.random.default_rng(0)
    plain = sketches.unit(rng.normal(size=(n, 256)))
    plain[-COPIES:] = sketches.unit(plain[:COPIES] + noise * rng.normal(size=(COPIES, 256)) / 16)
    return plain.astype(np.float16)


def found(plain: np.ndarray) -> set[tuple[int, int, bool, bool]]:
    pairs = set()
    for block in search.candidates(plain, sketches.common(plain)):
        assert (block.i_P < block.j_P).all() and 0 <= block.done <= 1
        pairs |= {(i, j, block.mirrored, block.negative) for i, j in zip(block.i_P, block.j_P, strict=True)}
    return pairs


@pytest.mark.parametrize("n", [1000, 6000])
def test_copies_are_proposed_and_hardly_any_other_pair(n: int) -> None:
    plain = drawn(n, 0.4)  # a correlation of 0.93
    pairs = found(plain)
    copies = {(i, n - COPIES + i, False, False) for i in range(COPIES)}
    assert len(pairs & copies) >= 0.99 * COPIES and len(pairs - copies) == 0


def test_among_few_images_every_pair_within_the_distance_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = drawn(500, 0.6)
    words = search._words(plain, sketches.common(plain))
    bits = np.unpackbits(words.view(np.uint8), axis=1).astype(int)
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    expected = {(i, j) for i, j in np.argwhere(apart <= search.DISTANCE).tolist() if i < j}
    assert {(i, j) for i, j, mirrored, negative in found(plain) if not (mirrored or negative)} == expected
    monkeypatch.setattr(search, "EVERY", 100)
    sorted_lists = {(i, j) for i, j, mirrored, negative in found(plain) if not (mirrored or negative)}
    assert sorted_lists <= expected and len(sorted_lists) > 0.9 * len(expected) > 100


def test_mirrored_copies_and_negatives_are_proposed_as_such() -> None:
    plain = drawn(300, 0.0)
    plain[-2] = sketches.changed(plain[:1], mirrored=True, negative=False)[0]
    plain[-1] = sketches.changed(plain[1:2], mirrored=False, negative=True)[0]
    assert {(0, 298, True, False), (1, 299, False, True)} <= found(plain)


def test_empty_sketches_are_no_candidates() -> None:
    assert found(np.zeros((5000, 256), np.float16)) == set()
    assert found(np.zeros((0, 256), np.float16)) == set()

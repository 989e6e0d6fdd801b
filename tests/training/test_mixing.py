"""Mixup and cutmix by what they must conserve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from torch import Tensor

from al_cxr.training.mixing import mix


def examples(n: int = 8, size: int = 20) -> tuple[Tensor, Tensor]:
    """Images of one value each, 1..n, and a class of its own for each: what was mixed can be read off."""
    return torch.arange(1.0, n + 1).view(-1, 1, 1, 1).expand(n, 1, size, size).contiguous(), torch.eye(n)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


seeds = st.integers(0, 2**32)


@effort(max_examples=50, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.2, 1.0, 5.0]), st.sampled_from([0.0, 0.2, 1.0, 5.0]))
def test_mixing_conserves_labels_and_inputs(seed: int, mixup: float, cutmix: float) -> None:
    images, targets = examples()
    before = images.clone(), targets.clone()
    mixed, labels = mix(images, targets, mixup, cutmix, generator(seed))
    assert mixed.shape == images.shape and labels.shape == targets.shape
    torch.testing.assert_close(labels.sum(1), torch.ones(8))
    torch.testing.assert_close(labels.sum(0), torch.ones(8))  # partners are a permutation
    assert (labels >= 0).all()
    assert torch.equal(images, before[0]) and torch.equal(targets, before[1])
    # The mean of a mixed image is the mean of its labels' images: for both methods the share is that of the pixels.
    torch.testing.assert_close(mixed.mean((1, 2, 3)), labels @ torch.arange(1.0, 9), rtol=1e-4, atol=1e-4)


@effort(max_examples=30, deadline=None)
@given(seeds)
def test_mixup_is_one_convex_combination_a_batch(seed: int) -> None:
    images = torch.rand(6, 1, 9, 9, generator=generator(1))
    mixed, labels = mix(images, torch.eye(6), 1.0, 0.0, generator(seed))
    # The labels are the recipe: the images mixed by the same shares.
    torch.testing.assert_close(mixed, torch.einsum("ij,j...->i...", labels, images))
    shares = labels.diagonal()[labels.diagonal() != 1]
    assert (shares == shares[:1]).all()


@effort(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 33))
def test_cutmix_pastes_one_box_whose_area_is_the_label(seed: int, size: int) -> None:
    images, targets = examples(size=size)
    mixed, labels = mix(images, targets, 0.0, 1.0, generator(seed))
    boxes = set()
    for i in range(8):
        foreign = mixed[i, 0] != images[i, 0]
        assert labels[i, i].item() == pytest.approx(1 - foreign.float().mean().item(), abs=1e-6)
        if foreign.any():
            (partner,) = mixed[i, 0][foreign].unique().tolist()  # all from one other image
            assert labels[i, int(partner) - 1] > 0
            rows, columns = foreign.any(1).nonzero()[:, 0], foreign.any(0).nonzero()[:, 0]
            box = tuple(int(v) for v in (rows[0], rows[-1], columns[0], columns[-1]))
            assert foreign.sum() == (box[1] - box[0] + 1) * (box[3] - box[2] + 1)
            boxes.add(box)
    assert len(boxes) <= 1


def test_mixing_is_off_by_0_and_seeded() -> None:
    images, targets = examples()
    off = generator(0)
    state = off.get_state()
    assert mix(images, targets, 0, 0, off) == (images, targets)
    assert torch.equal(off.get_state(), state)
    first, again, other = (mix(images, targets, 0.4, 0.4, generator(s))[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_both_methods_get_half_of_the_batches() -> None:
    images, targets = examples(4, 8)
    g = generator(0)
    pasted = 0
    for _ in range(400):
        mixed = mix(images, targets, 1.0, 1.0, g)[0]
        pasted += int(bool((mixed == mixed.round()).all()))  # cutmix invents no values
    assert 150 < pasted < 250  # 5 sd


def test_the_share_follows_its_beta_distribution() -> None:
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1))."""
    images, targets = torch.zeros(2, 1, 1, 1), torch.eye(2)
    for alpha in (0.3, 2.0):
        g = generator(0)
        first = [mix(images, targets, alpha, 0.0, g)[1][0] for _ in range(3000)]
        shares = np.array([s[0].item() for s in first if 0 < s[0] < 1])  # where the partner is another image
        assert shares.mean() == pytest.approx(0.5, abs=0.05)
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_mixing_refuses_class_indices_and_negative_alpha() -> None:
    images, targets = examples()
    with pytest.raises(ValueError, match=r"float \(B, C\)"):
        mix(images, torch.arange(8), 1, 0, generator(0))
    with pytest.raises(ValueError, match="alpha"):
        mix(images, targets, -1, 0, generator(0))

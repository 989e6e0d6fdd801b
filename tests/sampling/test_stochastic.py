"""Where networks are random: every kind of site is found, and a pass samples it and nothing else."""

from __future__ import annotations

import pytest
import torch
from random_networks import NETWORKS, RNN, Native, Residual, Rows, Twice, assert_same_state, conv_with, encoder, state
from torch import Tensor, nn

from al_cxr.sampling.masks import Masks
from al_cxr.sampling.sites import find_sites
from al_cxr.sampling.stochastic import sampling


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_site(name: str, images: Tensor) -> None:
    torch.manual_seed(1)
    make, owners = NETWORKS[name]
    model = make()
    model.train()
    next(m for m in model.modules() if not list(m.children())).eval()  # an uneven state has to come back too
    before, random_state = state(model), torch.get_rng_state()

    sites = find_sites(model, images)
    assert [s.module for s in sites] == owners
    assert [s.position for s in sites] == list(range(len(sites)))
    assert_same_state(model, before)

    with sampling(model, sites, Masks(3, 1)) as sampler:
        owner_modules = [model.get_submodule(m) for m in owners]
        assert {m for m in model.modules() if m.training} == set(owner_modules)
        sampler.verify(images, 20)
        passes = [sampler.run(images, t) for t in range(6)]
        assert any(not torch.equal(passes[0], p) for p in passes[1:])
        assert torch.equal(passes[2], sampler.run(images, 2)), "a pass is a function of its number"
        alone = torch.cat([sampler.run(images[i : i + 1], 2) for i in range(len(images))])
        torch.testing.assert_close(alone, passes[2], rtol=1e-5, atol=1e-5)
        order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
        torch.testing.assert_close(sampler.run(images[order], 2), passes[2][order], rtol=1e-5, atol=1e-5)
    with sampling(model, sites, Masks(3, 1)) as sampler:
        assert torch.equal(sampler.run(images, 2), passes[2]), "and of the seed and the round alone"
    with sampling(model, sites, Masks(3, 2)) as sampler:
        assert any(not torch.equal(sampler.run(images, t), passes[t]) for t in range(6))
    assert_same_state(model, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_sites_tell_what_they_are(images: Tensor) -> None:
    (site,) = find_sites(conv_with(nn.Dropout2d(0.25)), images)
    assert (site.keep, site.shape, site.batch_dim) == (0.75, (1, 8, 1, 1), 0)
    assert str(site) == "3: aten.bernoulli_.float, keep 0.75, mask 1x8x1x1"
    time_major = find_sites(Rows(nn.LSTM(8, batch_first=True, **RNN), True), images)
    assert {(s.shape, s.batch_dim) for s in time_major} == {((8, 1, 12), 1)}
    (heads,) = find_sites(Rows(nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True), True), images)
    assert (heads.shape, heads.batch_dim) == ((2, 8, 8), 0)
    (shared,) = find_sites(Residual("batch"), images)
    assert shared.batch_dim is None
    a, b = find_sites(Twice(), images)
    assert (a.shape, b.shape) == ((1, 64), (1, 16))


def test_sites_of_one_example_image_and_of_an_inference_tensor(images: Tensor) -> None:
    model = conv_with(nn.Dropout(0.3))
    with torch.inference_mode():
        inference = images[:1].clone()
        assert find_sites(model, inference) == find_sites(model, images)
        with sampling(model, find_sites(model, inference), Masks(0)) as sampler:
            sampler.verify(inference, 5)


def test_fast_path_of_the_transformer_would_drop_the_dropout(images: Tensor) -> None:
    """The reason for all this: with every dropout on, two plain passes of an encoder in eval mode are equal."""
    model = encoder(False, True).eval()
    for m in model.modules():
        m.training = isinstance(m, nn.Dropout)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
    with sampling(model, find_sites(model, images), Masks(0)) as sampler:
        assert not torch.backends.mha.get_fastpath_enabled()
        assert not torch.equal(sampler.run(images, 0), sampler.run(images, 1))
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_pass_is_plain_dropout_with_one_mask_for_all(images: Tensor) -> None:
    model = Twice()
    first, second = find_sites(model, images)
    with sampling(model, (first, second), Masks(5, 2)) as sampler:
        got = sampler.run(images, 9)
    with torch.no_grad():
        hidden = model.a(images.flatten(1) * Masks(5, 2).of(first, 9) / 0.5)
        torch.testing.assert_close(got, model.b(hidden * Masks(5, 2).of(second, 9) / 0.5))


def test_the_operator_of_a_gpu_and_computed_probabilities(images: Tensor) -> None:
    model = Native()
    dropped, kept = find_sites(model, images)
    assert (dropped.op, kept.op, kept.keep) == ("aten.native_dropout.default", "aten.bernoulli.default", None)
    with sampling(model, (dropped, kept), Masks(5, 2)) as sampler:
        got = sampler.run(images, 9)
    want = images * Masks(5, 2).of(dropped, 9) / 0.7 * (Masks(5, 2).of(kept, 9) < 0.6)
    torch.testing.assert_close(got, want.flatten(1))


def test_passes_are_computed_without_tf32_and_the_setting_comes_back() -> None:
    products = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)
    seen: list[str] = []

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.dropout = nn.Linear(4, 2), nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            seen.extend(product.fp32_precision for product in products)
            return self.linear(self.dropout(x))

    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    before = [product.fp32_precision for product in products]
    try:
        find_sites(Noting(), torch.randn(2, 4))
        assert set(seen) == {"ieee"} and [product.fp32_precision for product in products] == before
        assert "tf32" in before and torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")

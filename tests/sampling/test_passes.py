"""Statistics of passes: closed forms, an independent reference, and no dependence on the batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_net import STATISTICS, Net, all_of, batches
from torch import Tensor

from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.masks import Masks
from al_cxr.sampling.moments import PassMoments
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import penultimate, predict
from al_cxr.sampling.sites import find_sites
from al_cxr.strategies.statistics import entropy


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net(torch.randn(64, 1, 8, 8))  # statistics of batch-norm that are neither 0 nor 1
    return net


@pytest.fixture
def images() -> Tensor:
    return torch.randn(70, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def accumulate(logits_TNC: np.ndarray, dtype: torch.dtype = torch.float32) -> dict[str, np.ndarray]:
    _, images, classes = logits_TNC.shape
    moments = PassMoments(images, classes)
    for logits_NC in logits_TNC:
        probs_NC = torch.softmax(torch.tensor(logits_NC, dtype=dtype).double(), dim=-1)
        moments.add(torch.arange(images), probs_NC[:, None])
    return moments.statistics()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_two_opposite_passes(dtype: torch.dtype) -> None:
    """Probabilities are averaged, not logits: those would average to (4, -4) and an entropy of 0.003 nats."""
    got = accumulate(np.array([[[10.0, -10.0]], [[-2.0, 2.0]]]), dtype)
    p = np.array([1 / (1 + math.exp(-20)), 1 / (1 + math.exp(4))])
    h = [-(q * math.log(q) + (1 - q) * math.log1p(-q)) for q in p]
    mean = p.mean()
    assert got["predictive_entropy_N"][0] == pytest.approx(-(mean * math.log(mean) + (1 - mean) * math.log(1 - mean)))
    assert got["predictive_entropy_N"][0] == pytest.approx(0.693, abs=5e-4)
    assert got["expected_entropy_N"][0] == pytest.approx(np.mean(h), rel=1e-7)
    assert got["mutual_information_N"][0] == pytest.approx(got["predictive_entropy_N"][0] - np.mean(h))
    assert got["variation_ratio_N"][0] == 0.5
    assert got["mean_std_N"][0] == pytest.approx((p[0] - p[1]) / 2)


def test_extremes() -> None:
    equal = accumulate(np.zeros((5, 1, 4)))
    assert equal["predictive_entropy_N"][0] == pytest.approx(math.log(4))
    assert equal["mutual_information_N"][0] == pytest.approx(0, abs=1e-15)
    certain = accumulate(np.array([[[1e4, -1e4, -np.inf]]] * 3))
    for name in STATISTICS[1:]:
        assert certain[name][0] == 0
    torn = accumulate(np.eye(4)[:, None] * 1e4)
    assert torn["mutual_information_N"][0] == pytest.approx(math.log(4))
    assert torn["variation_ratio_N"][0] == 0.75
    assert torn["mean_std_N"][0] == pytest.approx(math.sqrt(3) / 4)
    assert entropy(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])) == pytest.approx([math.log(2), 0.0])


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 7), st.integers(1, 5), st.integers(1, 5)),
        elements=st.floats(-60, 60, allow_subnormal=False),
    )
)
def test_against_a_float64_reference(logits_TNC: np.ndarray) -> None:
    logits_TNC = logits_TNC.astype(np.float32).astype(np.float64)
    shifted = logits_TNC - logits_TNC.max(axis=2, keepdims=True)
    probs = np.exp(shifted) / np.exp(shifted).sum(axis=2, keepdims=True)

    def h(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)

    got = accumulate(logits_TNC)
    want = {
        "mean_probs_NC": probs.mean(axis=0),
        "predictive_entropy_N": h(probs.mean(axis=0)),
        "expected_entropy_N": h(probs).mean(axis=0),
        "mutual_information_N": h(probs.mean(axis=0)) - h(probs).mean(axis=0),
        "mean_std_N": probs.std(axis=0).mean(axis=1),
    }
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, atol=1e-6, err_msg=name)
    votes = (probs.argmax(axis=2)[:, :, None] == np.arange(probs.shape[2])).sum(axis=0)
    np.testing.assert_allclose(got["variation_ratio_N"], 1 - votes.max(axis=1) / len(probs), atol=1e-12)
    assert (got["mutual_information_N"] >= 0).all()


def test_neither_batch_size_nor_order_nor_neighbours_matter(net: Net, images: Tensor) -> None:
    reference = monte_carlo(net, all_of(images, 64), Sampling(6, seed=1, round=2))
    shuffled = np.random.default_rng(0).permutation(len(images))
    for index_N, size in [(np.arange(70), 1), (np.arange(70), 7), (shuffled, 64), (shuffled[:9], 4)]:
        got = monte_carlo(net, batches(images, index_N, size), Sampling(6, seed=1, round=2))
        assert got.index_N.tolist() == index_N.tolist()
        for name in STATISTICS:
            np.testing.assert_allclose(getattr(got, name), getattr(reference, name)[index_N], atol=1e-6, err_msg=name)
    for other in [{"seed": 2, "round": 2}, {"seed": 1, "round": 3}]:
        got = monte_carlo(net, all_of(images), Sampling(6, **other))
        assert np.abs(got.predictive_entropy_N - reference.predictive_entropy_N).max() > 1e-3


def test_equal_to_a_plain_loop_with_the_same_masks(net: Net, images: Tensor) -> None:
    first, second = find_sites(net, images)
    got = monte_carlo(net, all_of(images), Sampling(5, seed=7, round=1), votes=True)
    with torch.no_grad():
        net.eval()
        probs, masks = [], Masks(7, 1, 5)
        for t in range(5):
            x = net.body[2](net.body[1](net.body[0](images))) * masks.of(first, t) / 0.6
            x = torch.relu(net.hidden(x.flatten(1))) * masks.of(second, t) / 0.6
            probs.append(torch.softmax(4 * net.head(x).double(), dim=1).numpy())
    probs_NTC = np.stack(probs, axis=1)
    np.testing.assert_allclose(got.pass_probs_NTC, probs_NTC, atol=1e-6)
    np.testing.assert_allclose(got.mean_probs_NC, probs_NTC.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(got.mean_std_N, probs_NTC.std(axis=1).mean(axis=1), atol=1e-6)
    assert got.pass_probs_NTC.dtype == np.float32
    assert monte_carlo(net, all_of(images), Sampling(5, seed=7, round=1)).pass_probs_NTC is None


def test_many_passes_agree_with_ordinary_dropout(net: Net, images: Tensor) -> None:
    passes, few = 400, images[:10]
    got = monte_carlo(net, all_of(few), Sampling(passes, seed=0, round=0))
    torch.manual_seed(5)
    net.eval()
    net.body[3].train()
    net.drop.train()
    with torch.no_grad():
        plain = torch.stack([net(few).double().softmax(dim=1) for _ in range(passes)]).numpy()
    error = plain.std(axis=0) * math.sqrt(2 / passes)
    assert (np.abs(got.mean_probs_NC - plain.mean(axis=0)) < 5 * error + 1e-3).all()
    np.testing.assert_allclose(got.mean_std_N, plain.std(axis=0).mean(axis=1), rtol=0.15)
    np.testing.assert_allclose(got.expected_entropy_N, entropy(plain).mean(axis=0), rtol=0.15, atol=0.01)


def test_the_network_is_left_alone(net: Net, images: Tensor) -> None:
    net.train()
    net.hidden.eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    flags, random_state = [m.training for m in net.modules()], torch.get_rng_state()
    for _ in (
        monte_carlo(net, all_of(images), Sampling(3, 0, 0)),
        predict(net, all_of(images)),
        penultimate(net, all_of(images)),
    ):
        pass
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert [m.training for m in net.modules()] == flags
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_what_a_run_reports(net: Net, images: Tensor) -> None:
    got = monte_carlo(net, all_of(images), Sampling(3, 0, 0))
    assert got.passes == 3
    assert got.sites == [
        "body.3: aten.bernoulli_.float, keep 0.6, mask 1x4x1x1",
        "drop: aten.bernoulli_.float, keep 0.6, mask 1x16",
    ]
    assert got.probs_NC is None and got.features_NK is None
    assert all(getattr(got, name).dtype == np.float64 for name in STATISTICS)

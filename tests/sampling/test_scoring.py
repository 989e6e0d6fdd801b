"""Statistics of passes: closed forms, an independent reference, and no dependence on the batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.sampling import passes
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.masks import Masks
from al_cxr.sampling.moments import PassMoments
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import penultimate, predict, score_images
from al_cxr.sampling.sites import find_sites
from al_cxr.strategies.statistics import PoolStatistics, entropy

STATISTICS = [
    "mean_probs_NC",
    "predictive_entropy_N",
    "expected_entropy_N",
    "mutual_information_N",
    "variation_ratio_N",
    "mean_std_N",
]


class Net(nn.Module):
    """Dropout after a convolution and in the head, batch-norm between."""

    def __init__(self, p: float = 0.4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(p), nn.Flatten())
        self.hidden, self.drop, self.head = nn.Linear(4 * 36, 16), nn.Dropout(p), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return 4 * self.head(self.drop(torch.relu(self.hidden(self.body(x)))))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny networks: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def batches(images: Tensor, index_N: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    for i in range(0, len(index_N), size):
        part = index_N[i : i + size]
        yield part, images[torch.from_numpy(part)]


def all_of(images: Tensor, size: int = 32) -> Iterator[tuple[np.ndarray, Tensor]]:
    return batches(images, np.arange(len(images)), size)


# --------------------------------------------------------------------------------------------------------- closed forms
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


# ------------------------------------------------------------------------------------------------------------ one score
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


# --------------------------------------------------------------------------------------------- predictions and features
def test_predict_is_the_softmax_in_eval_mode(net: Net, images: Tensor) -> None:
    net.train()
    got = predict(net, all_of(images, 13))
    with torch.no_grad():
        want = F.softmax(net.eval()(images).double(), dim=1).numpy()
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, want, atol=1e-6)
    with torch.inference_mode():
        np.testing.assert_allclose(predict(net, all_of(images.clone())), want, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_temperature_divides_logits_before_the_softmax(net: Net, images: Tensor, temperature: float) -> None:
    def loader(index_N: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        return batches(images, index_N, 16)

    pool, how = np.arange(70), Sampling(4, 0, 0)
    trained = score_images(net, pool, loader, {"probs", "votes"}, how)
    got = score_images(net, pool, loader, {"probs", "votes"}, dataclasses.replace(how, temperature=temperature))
    assert trained.probs_NC is not None and trained.pass_probs_NTC is not None
    assert got.probs_NC is not None and got.pass_probs_NTC is not None and got.mean_probs_NC is not None
    # a power of the probabilities, normalised, is the softmax of the divided logits
    np.testing.assert_allclose(got.probs_NC, _normalised(trained.probs_NC ** (1 / temperature)), rtol=1e-9)
    passes_NTC = _normalised(trained.pass_probs_NTC.astype(np.float64) ** (1 / temperature))
    np.testing.assert_allclose(got.pass_probs_NTC, passes_NTC, atol=1e-5)
    np.testing.assert_allclose(got.mean_probs_NC, passes_NTC.mean(axis=1), atol=1e-5)
    assert np.abs(got.mean_probs_NC - trained.mean_probs_NC).max() > 0.01


def _normalised(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=-1, keepdims=True)


def test_penultimate_features_feed_the_last_linear_layer(net: Net, images: Tensor) -> None:
    features = penultimate(net, all_of(images))
    assert features.shape == (70, 16) and features.dtype == np.float32
    logits = 4 * (features @ net.head.weight.detach().numpy().T + net.head.bias.detach().numpy())
    np.testing.assert_allclose(torch.softmax(torch.tensor(logits), 1), predict(net, all_of(images)), atol=1e-5)
    with pytest.raises(UserError, match="last linear layer gets to see"):
        penultimate(nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()), all_of(images))


def test_score_pool_computes_what_is_needed(net: Net, images: Tensor) -> None:
    asked: list[list[int]] = []

    def loader(index_N: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        asked.append(index_N.tolist())
        return batches(images, index_N, 16)

    pool = np.array([5, 2, 40])
    how = Sampling(4, 0, 0)
    nothing = score_images(net, pool, loader, frozenset(), how)
    assert asked == [] and nothing.index_N.tolist() == [5, 2, 40] and set(nothing.per_image()) == {"index_N"}
    probs = score_images(net, pool, loader, {"probs"}, how)
    assert set(probs.per_image()) == {"index_N", "probs_NC"}
    both = score_images(net, pool, loader, {"votes", "features"}, how, labelled_M=np.array([1, 3]))
    assert set(both.per_image()) == {"index_N", "features_NK", "pass_probs_NTC", *STATISTICS}
    assert both.labelled_features_MK is not None and both.labelled_features_MK.shape == (2, 16)
    assert asked[-1] == [1, 3]
    with pytest.raises(ValueError, match="in their order"):
        score_images(net, pool, lambda index: batches(images, index[::-1].copy(), 16), {"mc"}, how)


# ------------------------------------------------------------------------------------------------------------- refusals
def test_nothing_random_and_random_in_eval_mode(images: Tensor) -> None:
    still = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Dropout(0.0))
    with pytest.raises(NoRandomSite):
        monte_carlo(still, all_of(images), Sampling(3, 0, 0))

    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x.flatten(1), 0.5, training=True)

    with pytest.raises(SamplingError, match="no deterministic prediction"):
        predict(Always(), all_of(images))


def test_nan_is_counted(net: Net, images: Tensor) -> None:
    images[[3, 50, 51]] = torch.nan
    with pytest.raises(UserError, match="probabilities of 3 of 70 images are NaN"):
        monte_carlo(net, all_of(images), Sampling(3, 0, 0))
    with pytest.raises(UserError, match="probabilities of 3 of 70 images are NaN"):
        predict(net, all_of(images))
    with pytest.raises(UserError, match="features of 3 of 70 images are NaN"):
        penultimate(net, all_of(images))


def test_wrong_shapes_and_nothing_to_score(net: Net, images: Tensor) -> None:
    dense = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout(0.5))
    with pytest.raises(UserError, match=r"logits \(images, classes\) are expected"):
        monte_carlo(dense, all_of(images), Sampling(3, 0, 0))
    with pytest.raises(UserError, match=r"logits \(images, classes\) are expected"):
        predict(dense, all_of(images))
    for call in (
        lambda: predict(net, []),
        lambda: monte_carlo(net, [], Sampling(3, 0, 0)),
        lambda: penultimate(net, []),
    ):
        with pytest.raises(ValueError, match="no images to score"):
            call()
    with pytest.raises(ValueError, match="at least 2"):
        monte_carlo(net, all_of(images), Sampling(1, 0, 0))
    with pytest.raises(ValueError, match="3 rows for 2 images"):
        PoolStatistics(index_N=np.arange(2), probs_NC=np.ones((3, 1)))


def test_votes_are_bounded(net: Net, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "VOTES_BYTES", 40 * 3 * 3 * 4)
    with pytest.raises(UserError, match="do not fit"):
        monte_carlo(net, all_of(images), Sampling(3, 0, 0), votes=True)
    monte_carlo(net, all_of(images[:40]), Sampling(3, 0, 0), votes=True)


def test_one_image_is_a_pool(net: Net, images: Tensor) -> None:
    alone = monte_carlo(net, all_of(images[:1]), Sampling(4, 0, 0))
    together = monte_carlo(net, all_of(images), Sampling(4, 0, 0))
    np.testing.assert_allclose(alone.mean_probs_NC, together.mean_probs_NC[:1], atol=1e-6)


def test_statistics_can_be_rearranged(net: Net, images: Tensor) -> None:
    statistics = monte_carlo(net, all_of(images), Sampling(3, 0, 0))
    labelled = dataclasses.replace(statistics, labelled_features_MK=np.zeros((2, 4)))
    part = labelled.take(np.array([4, 1]))
    assert part.index_N.tolist() == [4, 1] and part.sites == statistics.sites
    assert part.labelled_features_MK is labelled.labelled_features_MK
    np.testing.assert_array_equal(part.mean_std_N, statistics.mean_std_N[[4, 1]])

"""Predictions, features and what a strategy needs of images; what cannot be scored is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_net import STATISTICS, Net, all_of, batches
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.sampling import passes
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import penultimate, predict, score_images
from al_cxr.strategies.statistics import PoolStatistics


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

"""Strategies that spread a batch over the features (the input of the last linear layer)."""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.basic import margins
from al_cxr.strategies.registry import Choice, strategy, top_n
from al_cxr.strategies.spread import Distance, euclidean, k_centre, k_means_seeds, nearest, squared
from al_cxr.strategies.statistics import PoolStatistics
from al_cxr.strategies.targeted import target_margins

CANDIDATES = 4
"""margin_diverse and target_diverse choose among this many times n images."""


@strategy("coreset", needs="features")
def coreset(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """k-centre greedy (Sener and Savarese 2018, https://arxiv.org/abs/1708.00489): always the image whose features are
    farthest from all labelled and chosen ones. The score is that Euclidean distance.

    Without labelled images it starts anywhere, and the first score is the distance of the image farthest from there.
    """
    features_NK = statistics.features_NK
    assert features_NK is not None
    distance = euclidean(features_NK)
    nearest_N = nearest(features_NK, statistics.labelled_features_MK)
    positions, radii = k_centre(distance, nearest_N, n, rng)
    if np.isinf(radii[0]):
        radii[0] = distance(int(positions[0])).max()
    return Choice(positions, np.sqrt(radii), "distance")


def gradients(probs_NC: np.ndarray, features_NK: np.ndarray) -> tuple[Distance, np.ndarray]:
    """Squared distances between gradient embeddings (p - onehot(argmax p)) (x) features, and their squared norms (N,).

    The product of two embeddings is the product of their factors' products, so N x (C K) numbers are never made.
    """
    errors_NC = probs_NC - np.eye(probs_NC.shape[1])[probs_NC.argmax(axis=1)]
    norms_N = np.einsum("nc,nc->n", errors_NC, errors_NC) * np.einsum("nk,nk->n", features_NK, features_NK)

    def distance(i: int) -> np.ndarray:
        return squared(norms_N, norms_N[i], (errors_NC @ errors_NC[i]) * (features_NK @ features_NK[i]))

    return distance, norms_N


@strategy("badge", needs={"probs", "features"})
def badge(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Seeds of k-means++ among gradient embeddings (BADGE, Ash et al. 2020, https://arxiv.org/abs/1906.03671).

    An embedding is the gradient of the last layer's weights if the predicted class were true: long where the network
    is uncertain. The first is the longest, as in the authors' code.
    """
    assert statistics.probs_NC is not None and statistics.features_NK is not None
    distance, norms_N = gradients(statistics.probs_NC, statistics.features_NK)
    first = int(top_n(norms_N, 1, rng)[0])
    return Choice(k_means_seeds(distance, first, n, rng), None, "")


def _uncertain_and_spread(statistics: PoolStatistics, scores_N: np.ndarray, n: int, rng: np.random.Generator) -> Choice:
    """Of the CANDIDATES * n largest scores: the largest, then k-means++ in features weighted by the score."""
    assert statistics.features_NK is not None
    candidates = top_n(scores_N, CANDIDATES * n, rng)
    distance = euclidean(statistics.features_NK[candidates])
    chosen = candidates[k_means_seeds(distance, 0, n, rng, scores_N[candidates])]
    chosen = chosen[np.argsort(-scores_N[chosen], kind="stable")]
    return Choice(chosen, scores_N[chosen], "1 - margin")


@strategy("margin_diverse", needs={"probs", "features"})
def margin_diverse(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Among the 4 n smallest softmax margins, n that are far apart.

    Uncertain first and diverse second, as in Cluster-Margin (Citovsky et al. 2021, https://arxiv.org/abs/2107.14263),
    with features weighted by uncertainty as in Zhdanov 2019 (https://arxiv.org/abs/1901.05954); their clusterings are
    replaced by the seeding of k-means++, O(n N). The factor 4 is this project's: a query of 10 % of the pool then
    looks at 40 % of it. The chosen ones stand in the order of their margin.
    """
    assert statistics.probs_NC is not None
    return _uncertain_and_spread(statistics, margins(statistics.probs_NC), n, rng)


@strategy("target_diverse", needs={"probs", "features"})
def target_diverse(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """The same for target_margin: among the 4 n images nearest to the boundary of the target class, n far apart."""
    return _uncertain_and_spread(statistics, target_margins(statistics), n, rng)

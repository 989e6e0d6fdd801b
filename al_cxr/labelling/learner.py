"""The head that is trained between answers, and what it says of the archive.

A multinomial logistic regression on standardised features of a frozen network, with an L2 penalty: it has one optimum,
whatever the order of the labels, and is found in a tenth of a second where 300 steps of the project's trainer take
seconds. Its weights are those of a `Head` (standardise, dropout, linear), so that Monte-Carlo passes and bundles take
it as any other. Dropout was not on while it was trained; its passes spread as those of a head whose penalty is the one
that dropout amounts to (Wager, Wang and Liang 2013, https://arxiv.org/abs/1307.1493).
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from dataclasses import dataclass

import numpy as np

from al_cxr.core.seeds import digest, digest_text, rng
from al_cxr.labelling.heads import HeadModel, torch_head
from al_cxr.strategies import Strategy
from al_cxr.strategies.statistics import PoolStatistics, member_statistics

MOMENTS = 2000
"""Images whose features say how they are standardised."""
MEMBERS = 5
"""Heads on bootstrap samples, for strategies that want an ensemble."""


@dataclass(frozen=True, eq=False)
class Learner:
    """Trains heads on the features of some images; `size` is their number of classes."""

    classes: int
    penalty: float
    """Weight of the squared weights beside the summed loss, as 1 / C of scikit-learn."""
    seed: int

    def fit(self, features_NK: np.ndarray, ready_N: np.ndarray, index_M: np.ndarray, labels_M: np.ndarray) -> HeadModel:
        """The head of some labelled images, which have their features. ValueError where they show one class only."""
        if len(np.unique(labels_M)) < 2:
            raise ValueError("a head is trained on images of two classes or more")
        mean_K, std_K = moments(features_NK, np.flatnonzero(ready_N)[:MOMENTS])
        weight_CK, bias_C = self._optimum((features_NK[index_M] - mean_K) / std_K, labels_M)
        facts = [self.classes, self.penalty, digest(np.asarray(index_M), np.asarray(labels_M), mean_K, std_K)]
        return HeadModel(digest_text(json.dumps(facts))[:16], mean_K, std_K, weight_CK, bias_C, len(labels_M))

    def members(self, model: HeadModel, features_MK: np.ndarray, labels_M: np.ndarray) -> list[HeadModel]:
        """Heads on bootstrap samples of the same images, each of at least two classes."""
        made = []
        for number in range(MEMBERS):
            drawn = rng(self.seed, "bootstrap", model.key, number)
            rows = drawn.integers(len(labels_M), size=len(labels_M))
            while len(np.unique(labels_M[rows])) < 2:
                rows = drawn.integers(len(labels_M), size=len(labels_M))
            weight_CK, bias_C = self._optimum((features_MK[rows] - model.mean_K) / model.std_K, labels_M[rows])
            made.append(dataclasses.replace(model, weight_CK=weight_CK, bias_C=bias_C))
        return made

    def _optimum(self, scaled_MK: np.ndarray, labels_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (C, K) and biases (C,); a class of which no image is labelled is never predicted."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = LogisticRegression(C=1 / self.penalty, max_iter=200).fit(scaled_MK, labels_M)
        weight_CK = np.zeros((self.classes, scaled_MK.shape[1]), np.float32)
        bias_C = np.full(self.classes, -30.0)
        if len(found.classes_) == 2:  # one row for two classes: the logit of the second
            weight_CK[found.classes_[1]], weight_CK[found.classes_[0]] = found.coef_[0] / 2, -found.coef_[0] / 2
            bias_C[found.classes_] = [-found.intercept_[0] / 2, found.intercept_[0] / 2]
        else:
            weight_CK[found.classes_], bias_C[found.classes_] = found.coef_, found.intercept_
        return weight_CK, bias_C


def moments(features_NK: np.ndarray, index_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature over some images, float32; a feature that never varies keeps its
    scale."""
    chosen_MK = features_NK[index_M].astype(np.float64)
    std_K = chosen_MK.std(axis=0)
    return chosen_MK.mean(axis=0).astype(np.float32), np.where(std_K > 1e-6, std_K, 1.0).astype(np.float32)


def statistics_of(
    strategy: Strategy,
    model: HeadModel,
    learner: Learner,
    features_NK: np.ndarray,
    pool_M: np.ndarray,
    labelled_M: np.ndarray,
    labels_M: np.ndarray,
    target: int,
    passes: int,
    dropout: float,
) -> PoolStatistics:
    """What a strategy needs to know of the images `pool_M`."""
    needs, statistics = strategy.needs, PoolStatistics(pool_M)
    if "ensemble" in needs:
        members = learner.members(model, features_NK[labelled_M], labels_M)
        statistics = member_statistics(pool_M, [member.probs(features_NK, pool_M) for member in members])
    elif needs & {"mc", "votes"}:
        statistics = _passes(model, pool_M, features_NK[pool_M], passes, dropout, learner.seed, "votes" in needs)
    scaled_MK = (features_NK[pool_M] - model.mean_K) / model.std_K if "features" in needs else None
    labelled_MK = (features_NK[labelled_M] - model.mean_K) / model.std_K if "features" in needs else None
    return dataclasses.replace(
        statistics,
        probs_NC=model.probs(features_NK, pool_M),
        features_NK=scaled_MK,
        labelled_features_MK=labelled_MK,
        labelled_labels_M=labels_M,
        target=target,
    )


def _passes(
    model: HeadModel, pool_M: np.ndarray, pool_MK: np.ndarray, passes: int, dropout: float, seed: int, votes: bool
) -> PoolStatistics:
    """Monte-Carlo dropout before the last layer."""
    from al_cxr.data.loader import FeatureLoader
    from al_cxr.sampling.engine import Sampling
    from al_cxr.sampling.passes import monte_carlo

    loader = FeatureLoader(pool_MK, "", "")
    head = torch_head(model, dropout).eval()
    sampled = monte_carlo(head, loader.batches(np.arange(len(pool_M)), 1024), Sampling(passes, seed, 0), votes=votes)
    return dataclasses.replace(sampled, index_N=pool_M)

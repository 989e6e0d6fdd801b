"""What strategies know of a pool: a few numbers an image. Arrays only, no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr


@dataclass(frozen=True, eq=False)
class PoolStatistics:
    """What strategies know of N unlabelled images; None where it was not asked for.

    Made by `al_cxr.score_pool`, by an experiment, or by hand from probabilities of any source. Entropies are in nats,
    statistics in float64; C are the classes, T the Monte-Carlo passes, K the features, M the labelled images.

    Raises
    ------
    ValueError
        If an array has another number of rows than there are images.

    Examples
    --------
    >>> pool = PoolStatistics(index_N=np.array([3, 8]), probs_NC=np.array([[0.9, 0.1], [0.4, 0.6]]))
    >>> len(pool), sorted(pool.per_image())
    (2, ['index_N', 'probs_NC'])
    """

    index_N: np.ndarray
    """Absolute indices, int64, each once."""
    probs_NC: np.ndarray | None = None
    """Softmax of the deterministic network (dropout off)."""
    mean_probs_NC: np.ndarray | None = None
    """Mean over passes of the class probabilities (not of the logits)."""
    predictive_entropy_N: np.ndarray | None = None
    """Entropy of the mean probabilities, 0..log C."""
    expected_entropy_N: np.ndarray | None = None
    """Mean over passes of the entropy, 0..predictive."""
    mutual_information_N: np.ndarray | None = None
    """Predictive minus expected entropy (BALD, Houlsby et al. 2011), >= 0."""
    variation_ratio_N: np.ndarray | None = None
    """Share of the passes that do not vote for the most voted class, 0..1 - 1/C."""
    mean_std_N: np.ndarray | None = None
    """Standard deviation over passes (divisor T) of a probability, mean over classes (Gal et al. 2017), 0..0.5."""
    pass_probs_NTC: np.ndarray | None = None
    """Probabilities of each single pass, float32; only for strategies that need votes."""
    features_NK: np.ndarray | None = None
    """Input of the last linear layer, float32."""
    labelled_features_MK: np.ndarray | None = None
    """The same for the M labelled images, for strategies that keep away from them."""
    labelled_labels_M: np.ndarray | None = None
    """Classes of the M labelled images, int64, in the order of `labelled_features_MK`."""
    target: int | None = None
    """The class whose F1 is followed, as a position in the classes."""
    round: int = 0
    """Number of the query, from 0."""
    rounds: int = 0
    """Queries in all."""
    passes: int = 0
    """T; where passes were raced for, the T of the settings."""
    passes_N: np.ndarray | None = None
    """Passes that each image had, where they were raced for."""
    sites: list[str] = field(default_factory=list)
    """The random sites that were sampled, described."""
    head_agreement: float | None = None
    """Where only the head was sampled: rank correlation with the entropies of all sites, on a part of the pool."""
    sampling: str = ""
    """How the passes were computed, in words."""
    temperatures: list[float] = field(default_factory=list)
    """What the logits of each network that was asked were divided by; empty where they were left as trained."""

    def __post_init__(self) -> None:
        for name, array in self.per_image().items():
            if len(array) != len(self.index_N):
                raise ValueError(f"{name} has {len(array)} rows for {len(self.index_N)} images")

    def __len__(self) -> int:
        return len(self.index_N)

    def per_image(self) -> dict[str, np.ndarray]:
        """The arrays that are there and have one row an image."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {n: v for n, v in values.items() if isinstance(v, np.ndarray) and not n.startswith("labelled_")}

    @classmethod
    def join(cls, parts: Sequence[PoolStatistics]) -> PoolStatistics:
        """The statistics of several groups of images as those of all, in that order; what is no image's, of the first.

        Raises ValueError where there are no parts or they do not hold the same arrays.
        """
        if len({tuple(part.per_image()) for part in parts}) != 1:
            raise ValueError("statistics can be joined where there are some and all hold the same arrays")
        names = parts[0].per_image()
        joined: dict[str, Any] = {name: np.concatenate([part.per_image()[name] for part in parts]) for name in names}
        return dataclasses.replace(parts[0], **joined)

    def take(self, positions: np.ndarray) -> PoolStatistics:
        """The same for the images at some positions, in that order."""
        return dataclasses.replace(self, **{name: array[positions] for name, array in self.per_image().items()})


def entropy(probs: np.ndarray) -> np.ndarray:
    """Entropy over the last axis in nats, 0 log 0 = 0: (..., C) -> (...)."""
    return sum_of_few(entr(np.asarray(probs, np.float64)))


def sum_of_few(values: np.ndarray) -> np.ndarray:
    """Sum over a short last axis, (..., C) -> (...): what numpy's gives, several times sooner."""
    if not 0 < values.shape[-1] < 8:  # from 8 on numpy adds in another order
        return np.asarray(values.sum(axis=-1))
    total = values[..., 0].copy()
    for c in range(1, values.shape[-1]):
        total += values[..., c]
    return np.asarray(total)


def member_statistics(index_N: np.ndarray, probs_KNC: Sequence[ArrayLike] | np.ndarray) -> PoolStatistics:
    """What several networks say of a pool, in the fields that Monte-Carlo passes fill, by the same formulas.

    Mutual information is here the disagreement of separately trained networks.

    Parameters
    ----------
    index_N : ndarray of int, shape (N,)
        Absolute indices of the images, each once.
    probs_KNC : array-like, shape (K, N, C)
        What each of K >= 2 members, or passes, says of each image; every row sums to 1.

    Returns
    -------
    PoolStatistics
        What strategies that need "mc" or "ensemble" read; entropies and mutual information in nats.

    Raises
    ------
    ValueError
        For fewer than two members, or where their arrays do not fit the images.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell (2017): Simple and scalable predictive uncertainty estimation using deep
    ensembles. NeurIPS.
    Beluch, Genewein, Nürnberger, Köhler (2018): The power of ensembles for active learning in image classification.
    CVPR.

    Examples
    --------
    >>> probs_KNC = [[[1.0, 0.0]], [[0.0, 1.0]]]
    >>> member_statistics(np.array([7]), probs_KNC).mutual_information_N.round(3)
    array([0.693])
    """
    p_KNC = np.stack([np.asarray(probs, np.float64) for probs in probs_KNC])
    if p_KNC.ndim != 3 or len(p_KNC) < 2 or p_KNC.shape[1] != len(index_N):
        raise ValueError(f"probabilities {p_KNC.shape} of {len(index_N)} images; (at least 2 members, images, classes)")
    members, _, classes = p_KNC.shape
    mean_NC = p_KNC.mean(axis=0)
    predictive_N, expected_N = entropy(mean_NC), entropy(p_KNC).mean(axis=0)
    votes_NC = (p_KNC.argmax(axis=2)[..., None] == np.arange(classes)).sum(axis=0)
    return PoolStatistics(
        index_N=np.asarray(index_N, np.int64),
        mean_probs_NC=mean_NC,
        predictive_entropy_N=predictive_N,
        expected_entropy_N=expected_N,
        mutual_information_N=np.maximum(predictive_N - expected_N, 0.0),
        variation_ratio_N=1 - votes_NC.max(axis=1) / members,
        mean_std_N=p_KNC.std(axis=0).mean(axis=1),
        passes=members,
    )

"""How sure a number is: exact intervals of counts, and one interval of means over models (seeds) and images.

A bootstrap sample is a row of counts: how often each image was drawn. A statistic takes many rows at once, and a row of
ones gives the estimate itself, so an estimate and its interval come from one formula.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binomtest, t

from al_cxr.core.seeds import rng

LEVEL = 0.95
DRAWS = 1000
CELLS = 4_000_000
"""Counts held at once, so that a test set of any size fits into memory."""
_NOTHING = 1e-24
"""A variance that is rounding."""

Statistics = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Counts (B, N), float64 -> values (B,) by name; NaN where a sample does not define one."""

Drawn = dict[str, np.ndarray]
"""Of one model by name: (1 + draws,), the estimate first and then the bootstrap samples."""


@dataclass(frozen=True)
class Estimate:
    """A mean over models (seeds) with its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float
    sd: float
    """Sample standard deviation over models; NaN of one."""
    models: int
    """How many the mean is over."""

    def columns(self, name: str) -> dict[str, float]:
        """As columns of a frame: NAME, NAME_low, NAME_high, NAME_sd."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high, f"{name}_sd": self.sd}


def columns(estimates: Mapping[str, Estimate], names: Iterable[str] | None = None) -> dict[str, float]:
    """All estimates, or those of some `names`, as columns of a frame."""
    cells: dict[str, float] = {}
    for name in estimates if names is None else names:
        cells |= estimates[name].columns(name)
    return cells


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a share.

    Parameters
    ----------
    successes, trials : int
        The share is `successes` of `trials`.
    level : float
        The least coverage, 0..1.

    Returns
    -------
    tuple of float
        Lower and upper bound, 0..1; (NaN, NaN) of no trials.

    Raises
    ------
    ValueError
        There are more successes than trials, or fewer than none.

    References
    ----------
    Clopper, Pearson (1934): The use of confidence or fiducial limits illustrated in the case of the binomial.
    Biometrika 26.

    Examples
    --------
    >>> low, high = clopper_pearson(45, 50)
    >>> round(low, 3), round(high, 3)
    (0.782, 0.967)
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    if trials == 0:
        return np.nan, np.nan
    found = binomtest(successes, trials).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def mean_interval(
    values_S: np.ndarray, means_B: np.ndarray, level: float = LEVEL, share: bool = False
) -> tuple[float, float]:
    """The interval of a mean over S models (seeds), for other seeds and other images of the same kind.

    The variance is that of `means_B` plus s^2 / S, with Student's t and Satterthwaite's degrees of freedom, because
    only the second part is estimated from few. One model has no spread over seeds: its interval is over images alone,
    with the normal quantile. benchmarks/coverage.py measures how often the interval holds.

    Parameters
    ----------
    values_S : array, shape (S,)
        The models' figures; NaN where one is not there.
    means_B : array, shape (B,)
        Their mean, of the same models, in B bootstrap samples of the images.
    level : float
        The coverage to aim at, 0..1.
    share : bool
        The figure lies in 0..1 and so does its interval, which is computed on the logit.

    Returns
    -------
    tuple of float
        Lower and upper bound; (NaN, NaN) where no model is there, and where nothing varies: of that no resampling can
        learn anything.

    References
    ----------
    Satterthwaite (1946): An approximate distribution of estimates of variance components. Biometrics Bulletin 2.

    Examples
    --------
    >>> low, high = mean_interval(np.array([0.80, 0.84, 0.82]), np.array([0.80, 0.82, 0.84]))
    >>> round(low, 3), round(high, 3)
    (0.773, 0.867)
    """
    values_S, means_B = values_S[np.isfinite(values_S)], means_B[np.isfinite(means_B)]
    if not len(values_S):
        return np.nan, np.nan
    value, of_seeds = float(values_S.mean()), 0.0
    if len(values_S) > 1:
        of_seeds = float(values_S.var(ddof=1)) / len(values_S)
    variance = of_seeds + (float(means_B.var(ddof=1)) if len(means_B) > 1 else 0.0)
    if variance <= _NOTHING:
        return np.nan, np.nan
    freedom = np.inf if of_seeds <= _NOTHING else variance**2 / (of_seeds**2 / (len(values_S) - 1))
    half = float(t.ppf((1 + level) / 2, freedom) * np.sqrt(variance))
    if not share:
        return float(value - half), float(value + half)
    if not 0 < value < 1:
        return np.nan, np.nan
    half /= value * (1 - value)
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def resamples(n: int, draws: int, clusters_N: np.ndarray | None = None, seed: int = 0) -> Iterator[np.ndarray]:
    """Counts (B, n), float64, of `draws` bootstrap samples in all, some rows at a time.

    With `clusters_N` (any labels, e.g. patients) whole clusters are drawn, because images of one patient are no
    independent evidence; a sample then holds n images on average.
    """
    inverse_N = np.arange(n) if clusters_N is None else np.unique(clusters_N, return_inverse=True)[1]
    size = int(inverse_N.max()) + 1
    generator = rng(seed, "bootstrap")
    step = max(1, CELLS // n)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = generator.integers(0, size, (rows, size)) + np.arange(rows)[:, None] * size
        counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        yield counts[:, inverse_N].astype(np.float64)


def clusters(names: Sequence[str]) -> np.ndarray | None:
    """Numbers (N,) of the patients (or other clusters) that images belong to, each unknown one ("") its own; None where
    no two images share one."""
    keys = [name or f"\n{i}" for i, name in enumerate(names)]
    numbers_N = np.unique(keys, return_inverse=True)[1] if keys else np.empty(0, np.int64)
    return numbers_N if len(np.unique(numbers_N)) < len(keys) else None


def draw(statistics: Statistics, n: int, clusters_N: np.ndarray | None = None, draws: int = DRAWS) -> Drawn:
    """One model's statistics of its n images and of bootstrap samples, which are the same for every model."""
    if n < 1:
        raise ValueError("no images have no estimate")
    parts = [statistics(counts_BN) for counts_BN in (np.ones((1, n)), *resamples(n, draws, clusters_N))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def combine(models: Sequence[Drawn], level: float = LEVEL, unbounded: Collection[str] = ()) -> dict[str, Estimate]:
    """Estimates of the mean over models (seeds), each statistic with its `mean_interval`; all but the `unbounded` lie
    in 0..1.

    All models are drawn on the same images. Samples that do not define a statistic (no image of the class) are left
    out; a statistic that a model lacks (NaN) has no mean.
    """
    if not models:
        raise ValueError("no models have no estimate")
    found = {}
    for name in models[0]:
        values_K = np.array([model[name][0] for model in models])
        mean_B = means_of_samples(models, name)
        value = float(values_K.mean())
        low = high = np.nan
        if len(mean_B) and np.isfinite(value):
            low, high = mean_interval(values_K, mean_B, level, share=name not in unbounded)
        sd = float(values_K.std(ddof=1)) if len(models) > 1 else np.nan
        found[name] = Estimate(value, low, high, sd, len(models))
    return found


def means_of_samples(models: Sequence[Drawn], name: str) -> np.ndarray:
    """A statistic's mean over models in each bootstrap sample that defines it."""
    mean_B = np.mean([model[name][1:] for model in models], axis=0)
    defined: np.ndarray = mean_B[np.isfinite(mean_B)]
    return defined


def bootstrap(
    models: Sequence[Statistics],
    n: int,
    clusters_N: np.ndarray | None = None,
    draws: int = DRAWS,
    unbounded: Collection[str] = (),
) -> dict[str, Estimate]:
    """`draw` for each of some models, and `combine`."""
    return combine([draw(statistics, n, clusters_N, draws) for statistics in models], unbounded=unbounded)

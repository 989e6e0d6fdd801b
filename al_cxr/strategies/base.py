"""What a strategy is made with, and the registry of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from al_cxr.core.options import checked, defaults, require_signature
from al_cxr.core.registry import Registry
from al_cxr.strategies.statistics import PoolStatistics

OF_SEVERAL = (
    "mean_probs_NC",
    "predictive_entropy_N",
    "expected_entropy_N",
    "mutual_information_N",
    "variation_ratio_N",
    "mean_std_N",
)
"""Statistics over several networks: those of Monte-Carlo passes, or the members of an ensemble."""

NEEDS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "probs": ("probs_NC",),
    "mc": OF_SEVERAL,
    "ensemble": OF_SEVERAL,
    "features": ("features_NK",),
    "votes": ("pass_probs_NTC",),
}
"""What a strategy may need -> the fields of PoolStatistics that hold it."""

ARGUMENTS = ("statistics", "n", "rng")

# Types of options that several strategies share.
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, eq=False)
class Choice:
    """What the function of a strategy returns: positions (n,) in the statistics it was given, best first."""

    positions: np.ndarray
    scores: np.ndarray | None
    """Of the chosen ones, higher = chosen sooner; None where a strategy has none."""
    unit: str
    """Of the scores, such as "nats"; empty where there are none."""


Function = Callable[..., Choice]
"""`(statistics, n, rng, *, options)`, called with statistics sorted by absolute index and 1 <= n <= N; all chance comes
from `rng`."""


@dataclass(frozen=True, eq=False)
class Strategy:
    """A way to choose what to label next: a function, what it needs to know of the pool, and its options."""

    name: str
    function: Function
    needs: frozenset[str]
    """Of "probs", "mc", "ensemble", "votes", "features"; empty where no pixel has to be read."""
    race: str | None = None
    """The statistic of which it takes the n largest, of al_cxr.sampling.scores: passes go to those that need them."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those that have another value than the function's default, or the same one said again."""

    def choose(self, statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
        """What the function says with these options."""
        return self.function(statistics, n, rng, **self.options)

    def with_options(self, given: Mapping[str, Any], where: str) -> Strategy:
        """The same strategy with some options; UserError `where.option: what is wrong` for a wrong name or value."""
        if not given:
            return self
        every = checked(self.function, {**self.options, **given}, self.name, where)
        return replace(self, options={name: every[name] for name in (*self.options, *given)})

    @property
    def defaults(self) -> dict[str, Any]:
        """Every option with its default."""
        return defaults(self.function)


STRATEGIES: Registry[Strategy] = Registry("strategy", "al_cxr.strategies", "al_cxr.strategies")
"""All strategies, by name."""


def strategy(
    name: str, needs: str | Iterable[str] = "nothing", race: str | None = None
) -> Callable[[Function], Function]:
    """Decorator: makes a function known as a strategy.

    The function is called as `(statistics, n, rng, **options)`: `statistics` are those of the pool, sorted by absolute
    index; `n` is 1 or more and at most the size of the pool; all chance comes from `rng`. It returns a `Choice`.
    Keyword-only parameters are options: an arm sets them beside its strategy, their annotations say which values are
    valid, and their defaults are the defaults.

    Parameters
    ----------
    name : str
        Name in experiment files and in `select`.
    needs : str or iterable of str, optional
        What it reads of the statistics: "probs" (one deterministic prediction), "mc" (Monte-Carlo dropout),
        "votes" (each single pass), "ensemble" (several networks) or "features".
    race : str, optional
        For a strategy that takes the n largest of a Monte-Carlo statistic: the name of that statistic in
        al_cxr.sampling.scores. Images on whose side of the cutoff there is no doubt then get fewer passes.

    Returns
    -------
    Callable
        The decorator, which returns the function as it was.

    Raises
    ------
    ValueError
        If the name is taken, if `needs` names something unknown, or if the function takes other arguments.

    Examples
    --------
    ::

        @strategy("sure_of_nothing", needs="probs")
        def sure_of_nothing(statistics, n, rng, *, least: Annotated[float, Field(ge=0)] = 0.5):
            entropy_N = entropy(statistics.probs_NC)
            positions = top_n(np.where(entropy_N >= least, entropy_N, 0), n, rng)
            return Choice(positions, entropy_N[positions], "nats")
    """
    wanted = frozenset({needs} if isinstance(needs, str) else needs) - {"nothing"}
    if not wanted <= NEEDS.keys():
        raise ValueError(f"strategy {name} needs {sorted(wanted - NEEDS.keys())}; known are {sorted(NEEDS)}")
    if "ensemble" in wanted and len(wanted) > 1:
        raise ValueError(f"strategy {name} needs an ensemble and {sorted(wanted - {'ensemble'})}; an ensemble is all")

    def register(function: Function) -> Function:
        require_signature(function, ARGUMENTS, f"strategy {name!r}")
        if taken := defaults(function).keys() & {"strategy", "loss"}:
            raise ValueError(f"strategy {name!r}: no option may be called {min(taken)}, which is a key of each arm")
        STRATEGIES.add(name, Strategy(name, function, wanted, race), function.__module__)
        return function

    return register


def names() -> list[str]:
    """Names of all strategies, sorted.

    Functions of modAL, such as "modAL.uncertainty.margin_sampling", can be named beside them.

    Returns
    -------
    list of str
        Those of this package and those that other installed packages add.

    Examples
    --------
    >>> from al_cxr import strategies
    >>> [name for name in strategies.names() if name.startswith("power")]
    ['power_bald', 'power_entropy']
    """
    return STRATEGIES.names()


def top_n(scores_N: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the largest scores, ties in an order drawn from rng. O(N + n log n).

    Parameters
    ----------
    scores_N : ndarray, shape (N,)
        One score an image.
    n : int
        How many.
    rng : numpy.random.Generator
        Decides between equal scores.

    Returns
    -------
    ndarray of int, shape (min(n, N),)
        Largest score first.

    Raises
    ------
    ValueError
        If a score is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> top_n(np.array([0.1, 0.7, 0.3]), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    scores_N = np.asarray(scores_N)
    if np.isnan(scores_N).any():
        raise ValueError(f"{int(np.isnan(scores_N).sum())} of {len(scores_N)} scores are NaN")
    n = min(n, len(scores_N))
    key_N = rng.random(len(scores_N))
    if n == 0:
        return np.empty(0, np.int64)
    last = np.partition(scores_N, -n)[-n]
    sure, tied = np.flatnonzero(scores_N > last), np.flatnonzero(scores_N == last)
    room = n - len(sure)
    if room < len(tied):
        tied = tied[np.argpartition(key_N[tied], room - 1)[:room]]
    chosen = np.concatenate([sure, tied])
    return chosen[np.lexsort((key_N[chosen], -scores_N[chosen]))]

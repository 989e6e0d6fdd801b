"""Functions of modAL (Danka and Horvath 2018, https://arxiv.org/abs/1805.00979) as strategies.

A query strategy (`modAL.uncertainty.margin_sampling`) or a utility (`modAL.density.information_density`) is named by
its dotted name; utilities can be multiplied, as in
`modAL.uncertainty.classifier_entropy * modAL.density.information_density`. modAL sees a stand-in for its classifier
that answers with the statistics at hand: softmax probabilities for a classifier, Monte-Carlo passes for a committee.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.strategies.base import Choice, Strategy, top_n
from al_cxr.strategies.statistics import PoolStatistics

MODULES = ("modAL.uncertainty", "modAL.batch", "modAL.density", "modAL.disagreement")
PAIRS_BYTES = 4 * 2**30
"""Largest matrix of distances between all images that modAL may make."""

_SMALLEST_FIRST = ("margin_sampling", "classifier_margin")
"""Their value is low for the images worth labelling; the score is one minus it."""


@dataclass(frozen=True)
class _Part:
    name: str
    function: Callable[..., Any]
    subject: str
    """First argument: classifier, committee or X."""
    queries: bool
    """Returns indices (and scores), not a utility for every image."""

    @property
    def needs(self) -> set[str]:
        model = {"classifier": {"probs"}, "committee": {"votes"}, "X": {"features"}}[self.subject]
        return model | ({"features"} if self.name.startswith("modAL.batch.") else set())

    @property
    def unit(self) -> str:
        last = self.name.rsplit(".", 1)[1]
        if "entropy" in last or "disagreement" in last:
            return "nats"
        if last in _SMALLEST_FIRST:
            return "1 - margin"
        return "similarity" if self.subject == "X" else "1 - probability"


class _Classifier:
    """What modAL asks of an ActiveLearner, answered from arrays whose rows are the pool's."""

    on_transformed = False

    def __init__(self, probs_NC: np.ndarray | None, labelled_features_MK: np.ndarray | None) -> None:
        self._probs_NC = probs_NC
        self.X_training = labelled_features_MK

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        assert self._probs_NC is not None and len(X) == len(self._probs_NC)
        return self._probs_NC


class _Committee:
    """What modAL asks of a Committee; each Monte-Carlo pass is a member."""

    def __init__(self, pass_probs_NTC: np.ndarray) -> None:
        self._pass_probs_NTC = pass_probs_NTC
        self.classes_ = np.arange(pass_probs_NTC.shape[2])

    def __len__(self) -> int:
        return int(self._pass_probs_NTC.shape[1])

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def vote(self, X: np.ndarray) -> np.ndarray:
        votes_NT: np.ndarray = self._pass_probs_NTC.argmax(axis=2)
        return votes_NT

    def vote_proba(self, X: np.ndarray) -> np.ndarray:
        return self._pass_probs_NTC

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        mean_NC: np.ndarray = self._pass_probs_NTC.mean(axis=1, dtype=np.float64)
        return mean_NC


def strategy_of(name: str) -> Strategy:
    """The strategy of a modAL function, or of a product of utilities.

    Raises UserError where the module is not one of MODULES or fails with the installed libraries, and where the
    function is not there or is neither a query strategy nor a utility for classifiers.
    """
    parts = [_resolve(word.strip()) for word in name.split("*")]
    if len(parts) > 1 and any(part.queries for part in parts):
        query = next(part.name for part in parts if part.queries)
        raise UserError(f"strategy {name!r}: {query} returns images, no utility to multiply; use it alone")
    needs = frozenset(need for part in parts for need in part.needs)

    def choose(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
        # modAL breaks ties by position: in a shuffled pool that is by chance, and the chance is seeded.
        shuffled = rng.permutation(len(statistics))
        pool = statistics.take(shuffled)
        if parts[0].queries:
            return _query(parts[0], pool, shuffled, n)
        scores_N = np.prod([_utility(part, pool) for part in parts], axis=0)
        positions = top_n(scores_N, n, rng)
        return Choice(shuffled[positions], scores_N[positions], " * ".join(part.unit for part in parts))

    return Strategy(name, choose, needs)


def _resolve(name: str) -> _Part:
    module_name, _, function_name = name.rpartition(".")
    if module_name not in MODULES:
        raise UserError(f"strategy {name!r}: no function is taken from {module_name!r}{hint(module_name, MODULES)}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"strategy {name}: {module_name} fails with the installed libraries ({type(error).__name__}: {error})"
        ) from error
    own = {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and inspect.isfunction(value) and value.__module__ == module_name
    }
    understood = {key: _part(f"{module_name}.{key}", value) for key, value in own.items()}
    parts = {key: part for key, part in understood.items() if part is not None}
    if function_name not in parts:
        why = "is neither a query strategy nor a utility for classifiers" if function_name in own else "is not there"
        raise UserError(f"strategy {name!r}: it {why}{hint(function_name, sorted(parts))}")
    return parts[function_name]


def _part(name: str, function: Callable[..., Any]) -> _Part | None:
    """By its signature: (classifier or committee, X, ...) or (X, metric); with n_instances it is a query strategy."""
    parameters = inspect.signature(function).parameters.values()
    words = [p.name for p in parameters]
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if required not in (["classifier", "X"], ["committee", "X"], ["X"]):
        return None
    return _Part(name, function, words[0], "n_instances" in words)


def _call(part: _Part, pool: PoolStatistics, **options: Any) -> Any:
    X = pool.features_NK if "features" in part.needs else np.arange(len(pool)).reshape(-1, 1)
    assert X is not None
    if part.subject == "X":
        _require_pairs(part, pool)
    try:
        if part.subject == "X":
            return part.function(X, **options)
        if part.subject == "committee":
            assert pool.pass_probs_NTC is not None
            return part.function(_Committee(pool.pass_probs_NTC), X, **options)
        return part.function(_Classifier(pool.probs_NC, pool.labelled_features_MK), X, **options)
    except Exception as error:
        raise UserError(
            f"strategy {part.name} fails inside modAL with the installed libraries ({type(error).__name__}: {error})"
        ) from error


def _utility(part: _Part, pool: PoolStatistics) -> np.ndarray:
    values_N = np.asarray(_call(part, pool), np.float64)
    if values_N.shape != (len(pool),):
        raise UserError(f"strategy {part.name} gave {values_N.shape} utilities for {len(pool)} images")
    return 1 - values_N if part.name.endswith(_SMALLEST_FIRST) else values_N


def _query(part: _Part, pool: PoolStatistics, shuffled: np.ndarray, n: int) -> Choice:
    if part.name.startswith("modAL.batch.") and pool.labelled_features_MK is None:
        return _cold_batch(part, pool, shuffled, n)
    answer = _call(part, pool, n_instances=n)
    # Some versions return indices alone, and two of those are no (indices, scores): only a tuple is.
    positions, scores = answer if isinstance(answer, tuple) else (answer, None)
    positions = np.asarray(positions)
    if scores is None:
        return Choice(shuffled[positions], None, "")
    scores = np.asarray(scores, np.float64)
    scores = 1 - scores if part.name.endswith(_SMALLEST_FIRST) else scores
    if not part.name.startswith("modAL.batch."):  # a batch is in an order of its own, the rest in none
        order = np.argsort(-scores, kind="stable")
        positions, scores = positions[order], scores[order]
    return Choice(shuffled[positions], scores, part.unit)


def _cold_batch(part: _Part, pool: PoolStatistics, shuffled: np.ndarray, n: int) -> Choice:
    """A batch where no labelled features are known: it starts at the image that is nearest to all others.

    modAL starts there, too, but leaves the image in the pool and can return it twice; here the rest of the batch is
    chosen from the rest of the pool.
    """
    assert pool.features_NK is not None and pool.probs_NC is not None
    _require_pairs(part, pool)
    module = importlib.import_module("modAL.batch")
    start, row = module.select_cold_start_instance(pool.features_NK, metric="euclidean", n_jobs=None)
    score = 1 - pool.probs_NC[start].max()
    if n == 1:
        return Choice(shuffled[[start]], np.array([score]), part.unit)
    rest = np.delete(np.arange(len(pool)), start)
    after = dataclasses.replace(pool.take(rest), labelled_features_MK=row)
    others = _query(part, after, shuffled[rest], n - 1)
    scores = None if others.scores is None else np.concatenate([[score], others.scores])
    return Choice(np.concatenate([shuffled[[start]], others.positions]), scores, part.unit)


def _require_pairs(part: _Part, pool: PoolStatistics) -> None:
    size = 8 * len(pool) ** 2
    if size > PAIRS_BYTES:
        raise UserError(
            f"strategy {part.name} compares all pairs of {len(pool)} images, {size / 2**30:.0f} GiB; at most "
            f"{int((PAIRS_BYTES / 8) ** 0.5)} images fit: use a smaller pool or another strategy"
        )

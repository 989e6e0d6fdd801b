"""Which of modAL's functions work with the installed libraries, by running every one of them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from types import SimpleNamespace

import numpy as np
import pytest

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.strategies import modal, select
from al_cxr.strategies.statistics import PoolStatistics, entropy

NEITHER = "is neither a query strategy nor a utility"
EXPECTED = {
    "modAL.uncertainty.classifier_entropy": "works",
    "modAL.uncertainty.classifier_margin": "works",
    "modAL.uncertainty.classifier_uncertainty": "works",
    "modAL.uncertainty.entropy_sampling": "works",
    "modAL.uncertainty.margin_sampling": "works",
    "modAL.uncertainty.uncertainty_sampling": "works",
    "modAL.batch.ranked_batch": NEITHER,
    "modAL.batch.select_cold_start_instance": NEITHER,
    "modAL.batch.select_instance": NEITHER,
    "modAL.batch.uncertainty_batch_sampling": "works",
    "modAL.density.information_density": "works",
    "modAL.density.similarize_distance": NEITHER,
    "modAL.density.cosine_similarity": NEITHER,
    "modAL.density.euclidean_similarity": NEITHER,
    "modAL.disagreement.KL_max_disagreement": "works",
    "modAL.disagreement.consensus_entropy": "works",
    "modAL.disagreement.consensus_entropy_sampling": "works",
    "modAL.disagreement.max_disagreement_sampling": "works",
    "modAL.disagreement.max_std_sampling": NEITHER,  # for regressors
    "modAL.disagreement.vote_entropy": "works",
    "modAL.disagreement.vote_entropy_sampling": "works",
}
MODULES = {
    "modAL.acquisition": "imports",
    "modAL.batch": "imports",
    "modAL.cluster": "ModuleNotFoundError",
    "modAL.density": "imports",
    "modAL.disagreement": "imports",
    "modAL.dropout": "ModuleNotFoundError",
    "modAL.expected_error": "AttributeError",
    "modAL.models": "imports",
    "modAL.multilabel": "imports",
    "modAL.uncertainty": "imports",
    "modAL.utils": "imports",
}
N, T, C = 60, 6, 3


@pytest.fixture
def statistics() -> PoolStatistics:
    rng = np.random.default_rng(0)
    passes = rng.dirichlet(np.ones(C), size=(N, T)).astype(np.float32)
    return PoolStatistics(
        index_N=np.sort(rng.choice(1000, N, replace=False)),
        probs_NC=rng.dirichlet(np.ones(C), size=N),
        mean_probs_NC=passes.mean(axis=1, dtype=np.float64),
        pass_probs_NTC=passes,
        features_NK=rng.normal(size=(N, 5)).astype(np.float32),
        labelled_features_MK=rng.normal(size=(8, 5)).astype(np.float32),
    )


def pick(name: str, statistics: PoolStatistics, n: int = 12, seed: int = 0) -> strategies.Selection:
    return select(name, statistics, n, np.random.default_rng(seed))


def scores_of(scores_N: np.ndarray, statistics: PoolStatistics, indices: np.ndarray) -> np.ndarray:
    return scores_N[np.searchsorted(statistics.index_N, indices)]


# ------------------------------------------------------------------------------------------------------------ the table
def test_the_table_names_every_public_function() -> None:
    public = {
        f"{name}.{key}"
        for name in modal.MODULES
        for key, value in vars(importlib.import_module(name)).items()
        if not key.startswith("_") and inspect.isfunction(value) and value.__module__ == name
    }
    assert public == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_function(name: str, statistics: PoolStatistics) -> None:
    try:
        got = pick(name, statistics)
    except UserError as error:
        assert EXPECTED[name] in str(error), f"{name} has changed: {error}"
    else:
        assert EXPECTED[name] == "works", f"{name} works now"
        assert len(set(got.indices.tolist())) == 12


def test_every_module() -> None:
    path = importlib.import_module("modAL").__path__
    found = {}
    for name in [f"modAL.{m.name}" for m in pkgutil.iter_modules(path)]:
        try:
            importlib.import_module(name)
            found[name] = "imports"
        except Exception as error:
            found[name] = type(error).__name__
    assert found == MODULES


# ----------------------------------------------------------------------------------------------------- what they choose
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("uncertainty_sampling", "least_confident"),
        ("margin_sampling", "margin"),
        ("entropy_sampling", "entropy"),
        ("classifier_uncertainty", "least_confident"),
        ("classifier_margin", "margin"),
        ("classifier_entropy", "entropy"),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 12, 60])
def test_uncertainties_equal_ours(theirs: str, ours: str, n: int, statistics: PoolStatistics) -> None:
    a, b = pick(f"modAL.uncertainty.{theirs}", statistics, n), pick(ours, statistics, n)
    assert a.indices.tolist() == b.indices.tolist()
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-12)
    assert a.unit == b.unit


def test_passes_are_the_committee(statistics: PoolStatistics) -> None:
    passes, mean = statistics.pass_probs_NTC.astype(np.float64), statistics.mean_probs_NC
    votes = (passes.argmax(axis=2)[:, :, None] == np.arange(C)).sum(axis=1) / T
    divergence = (passes * np.log(passes / mean[:, None])).sum(axis=2).max(axis=1)
    for name, want in [
        ("consensus_entropy", entropy(mean)),
        ("vote_entropy", entropy(votes)),
        ("max_disagreement", divergence),
    ]:
        got = pick(f"modAL.disagreement.{name}_sampling", statistics)
        np.testing.assert_allclose(got.scores, np.sort(want)[::-1][:12], rtol=1e-4)
        np.testing.assert_allclose(got.scores, scores_of(want, statistics, got.indices), rtol=1e-4)
        assert got.unit == "nats"


def test_density_and_products(statistics: PoolStatistics) -> None:
    x = statistics.features_NK.astype(np.float64)
    density = (1 / (1 + np.linalg.norm(x[:, None] - x[None], axis=2))).mean(axis=1)
    got = pick("modAL.density.information_density", statistics)
    np.testing.assert_allclose(got.scores, np.sort(density)[::-1][:12], rtol=1e-4)
    product = pick("modAL.uncertainty.classifier_entropy * modAL.density.information_density", statistics)
    np.testing.assert_allclose(product.scores, np.sort(density * entropy(statistics.probs_NC))[::-1][:12], rtol=1e-4)
    assert product.unit == "nats * similarity"


def test_batches_keep_their_order_and_away_from_the_labelled() -> None:
    """Two clusters of equally uncertain images: the batch starts in the one with no labelled image."""
    features = np.array([[0.0, 0], [0.1, 0], [0.2, 0], [9.0, 0], [9.1, 0], [9.2, 0]], np.float32)
    statistics = PoolStatistics(
        index_N=np.arange(100, 106),
        probs_NC=np.full((6, 2), 0.5),
        features_NK=features,
        labelled_features_MK=np.array([[0.0, 0.1]], np.float32),
    )
    name = "modAL.batch.uncertainty_batch_sampling"
    assert strategies.get(name).needs == {"probs", "features"}
    for seed in range(5):
        assert pick(name, statistics, 1, seed).indices[0] in (103, 104, 105)
    cold = PoolStatistics(index_N=np.arange(100, 106), probs_NC=np.full((6, 2), 0.5), features_NK=features)
    got = pick(name, cold, 2).indices.tolist()
    assert len({i >= 103 for i in got}) == 2, "one of each cluster"
    for seed in range(5):  # modAL itself would return the first image twice
        assert sorted(pick(name, cold, 6, seed).indices.tolist()) == list(range(100, 106))
    assert len(pick(name, cold, 1).indices) == 1


def test_global_random_state_is_not_touched(statistics: PoolStatistics) -> None:
    before = np.random.get_state()[1].copy()
    for name, status in EXPECTED.items():
        if status == "works":
            pick(name, statistics)
    assert (np.random.get_state()[1] == before).all()


# ------------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modAL.dropout.mc_dropout_bald", "no function is taken from 'modAL.dropout'; (known|did you mean)"),
        ("modAL.utils.selection.multi_argmax", "no function is taken from"),
        ("modAL.uncertainty", "no function is taken from"),
        ("modAL.uncertainty._proba_margin", "is not there"),
        ("modAL.uncertainty.multi_argmax", "is not there"),
        ("modAL.uncertainty.np", "is not there"),
        ("modAL.uncertainty.margin_samplin", "did you mean 'margin_sampling'"),
        ("modAL.uncertainty.margin_sampling * modAL.density.information_density", "no utility to multiply"),
        ("modAL.uncertainty.classifier_entropy * os.system", "no function is taken from"),
    ],
)
def test_what_cannot_be_named(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        strategies.get(name)


def test_a_module_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError("cannot import name 'gone'")

    monkeypatch.setattr(modal, "importlib", SimpleNamespace(import_module=fail))
    with pytest.raises(UserError, match=r"modAL.batch fails with the installed libraries \(ImportError: .*'gone'"):
        strategies.get("modAL.batch.uncertainty_batch_sampling")


def test_a_function_that_fails(statistics: PoolStatistics, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(values: np.ndarray, n_instances: int = 1) -> None:
        raise TypeError("unexpected keyword argument 'force_all_finite'")

    monkeypatch.setattr(importlib.import_module("modAL.uncertainty"), "multi_argmin", broken)
    with pytest.raises(UserError, match=r"margin_sampling fails inside modAL .*force_all_finite"):
        pick("modAL.uncertainty.margin_sampling", statistics)


def test_indices_without_scores(statistics: PoolStatistics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two indices are two images, not indices and scores."""
    module = importlib.import_module("modAL.uncertainty")
    monkeypatch.setattr(module, "multi_argmin", lambda values, n_instances: np.argsort(values)[:n_instances])
    got = pick("modAL.uncertainty.margin_sampling", statistics, 2)
    assert got.indices.tolist() == pick("margin", statistics, 2).indices.tolist() and got.scores is None


def test_all_pairs_must_fit(statistics: PoolStatistics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modal, "PAIRS_BYTES", 8 * 59**2)
    with pytest.raises(UserError, match="at most 59 images fit"):
        pick("modAL.density.information_density", statistics)
    batch = "modAL.batch.uncertainty_batch_sampling"
    pick(batch, statistics)  # with labelled images it compares in pieces
    with pytest.raises(UserError, match="at most 59 images fit"):
        pick(batch, dataclasses.replace(statistics, labelled_features_MK=None))

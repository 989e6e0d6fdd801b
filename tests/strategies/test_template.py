"""One template that every registered strategy must pass, whoever registered it."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pools import from_passes, pick, some

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.strategies import PoolStatistics, select
from al_cxr.strategies.base import NEEDS

MODAL = [
    "modAL.uncertainty.uncertainty_sampling",
    "modAL.uncertainty.margin_sampling",
    "modAL.uncertainty.entropy_sampling",
    "modAL.uncertainty.classifier_entropy",
    "modAL.uncertainty.classifier_margin",
    "modAL.batch.uncertainty_batch_sampling",
    "modAL.disagreement.vote_entropy_sampling",
    "modAL.disagreement.consensus_entropy_sampling",
    "modAL.disagreement.max_disagreement_sampling",
    "modAL.density.information_density",
    "modAL.uncertainty.classifier_entropy * modAL.density.information_density",
]
EVERY = [*strategies.names(), *MODAL]


@pytest.mark.parametrize("labelled", [0, 7])
@pytest.mark.parametrize("name", EVERY)
def test_template(name: str, labelled: int) -> None:
    statistics = some(labelled=labelled)
    got = pick(name, statistics, 10)
    assert got.indices.shape == (10,) and got.indices.dtype == np.int64
    assert len(set(got.indices.tolist())) == 10
    assert set(got.indices.tolist()) <= set(statistics.index_N.tolist())
    if got.scores is not None:
        assert np.isfinite(got.scores).all() and got.scores.shape == (10,)
        assert name.startswith("modAL.batch.") or (np.diff(got.scores) <= 0).all()
        assert got.unit

    again = pick(name, statistics, 10)
    assert again.indices.tolist() == got.indices.tolist(), "seeded"

    shuffled = statistics.take(np.random.default_rng(3).permutation(len(statistics)))
    assert pick(name, shuffled, 10).indices.tolist() == got.indices.tolist(), "free of the pool's order"

    everything = pick(name, statistics, 1000)
    assert sorted(everything.indices.tolist()) == statistics.index_N.tolist(), "n larger than the pool"
    assert len(pick(name, statistics, 1).indices) == 1
    assert len(pick(name, statistics, 0).indices) == 0
    assert pick(name, statistics.take(np.array([7])), 3).indices.tolist() == [statistics.index_N[7]]


@pytest.mark.parametrize("name", EVERY)
def test_template_all_chance_is_from_the_generator(name: str) -> None:
    statistics, np_state = some(labelled=7), np.random.get_state()[1].tolist()
    arrays_before = {field: array.copy() for field, array in statistics.per_image().items()}
    pick(name, statistics, 10)
    assert np.random.get_state()[1].tolist() == np_state, "not from numpy's global state"
    for field, array in statistics.per_image().items():
        np.testing.assert_array_equal(array, arrays_before[field], f"{field} was written to")


@pytest.mark.parametrize("labelled", [0, 7])
@pytest.mark.parametrize("name", EVERY)
def test_template_ties_are_broken_by_the_seed(name: str, labelled: int) -> None:
    statistics = some(equal=True, labelled=labelled)
    chosen = [tuple(sorted(pick(name, statistics, 5, seed).indices.tolist())) for seed in range(12)]
    assert len(set(chosen)) > 6
    assert chosen[0] == tuple(sorted(pick(name, statistics, 5, 0).indices.tolist()))
    assert len({i for batch in chosen for i in batch}) > 20, "no part of the pool is favoured"


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("name", EVERY)
def test_template_few_classes(name: str, classes: int) -> None:
    for statistics in (some(classes=classes), some(classes=classes, labelled=7)):
        got = pick(name, statistics, 6)
        assert len(set(got.indices.tolist())) == 6
        assert got.scores is None or np.isfinite(got.scores).all()


@pytest.mark.parametrize("name", EVERY)
def test_template_certain_images_and_features_without_spread(name: str) -> None:
    statistics = some(labelled=7)
    assert statistics.features_NK is not None
    sure = from_passes(np.tile(np.eye(3)[0], (40, 5, 1)), statistics.index_N, np.zeros((40, 4)))
    sure = dataclasses.replace(sure, target=0, labelled_features_MK=np.zeros((7, 4), np.float32), rounds=5)
    flat = dataclasses.replace(statistics, features_NK=np.ones_like(statistics.features_NK))
    for odd in (sure, flat):
        got = pick(name, odd, 12)
        assert len(set(got.indices.tolist())) == 12
        assert got.scores is None or np.isfinite(got.scores).all()


@pytest.mark.parametrize("name", EVERY)
def test_template_rejects_nan_and_what_is_missing(name: str) -> None:
    needs = strategies.get(name).needs
    assert needs <= NEEDS.keys()
    for field in [f for need in needs for f in NEEDS[need]]:
        statistics = some()
        getattr(statistics, field)[3] = np.nan
        with pytest.raises(UserError, match=rf"1 of 40 images have a {field} that is no finite number"):
            pick(name, statistics, 5)
    bare = PoolStatistics(index_N=np.arange(5))
    if needs:
        with pytest.raises(ValueError, match=r"was not computed; .*(score_pool|member_statistics)"):
            pick(name, bare, 2)
    else:
        assert len(pick(name, bare, 2).indices) == 2, "touches no pixel"


@pytest.mark.parametrize("name", strategies.names())
def test_template_options(name: str) -> None:
    """What an option is by default may be said, and a wrong name is refused before anything is chosen."""
    statistics, options = some(labelled=7), strategies.get(name).defaults
    said = select(name, statistics, 10, np.random.default_rng(0), **options)
    assert said.indices.tolist() == pick(name, statistics, 10).indices.tolist()
    with pytest.raises(UserError, match=rf"^arms\.a\.no_option: {name} has no such option"):
        strategies.get(name, {"no_option": 1}, "arms.a")


@pytest.mark.parametrize("name", strategies.names())
def test_template_it_is_described(name: str) -> None:
    said = strategies.get(name).function.__doc__
    assert said and said.splitlines()[0].endswith("."), "one sentence first"
    for option in strategies.get(name).defaults:
        assert re.search(rf"^    (\w+, )*{option}(, \w+)* : ", said, re.M), f"{option} is not described"


PLUG_IN = """
import numpy as np
from al_cxr.strategies import Choice, strategy


@strategy("plugged_in", needs="features")
def plugged_in(statistics, n, rng, *, loud: bool = False):
    '''By chance, from another package.

    loud : bool
        Nothing.
    '''
    return Choice(rng.permutation(len(statistics))[:n], None, "")
"""


def test_template_runs_over_a_strategy_of_another_installed_package(tmp_path: Path) -> None:
    (tmp_path / "my_strategies.py").write_text(PLUG_IN)
    info = tmp_path / "my_strategies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_strategies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[al_cxr.strategies]\nmine = my_strategies\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-m", "pytest", "-vv", "-n", "0", "-p", "no:cacheprovider", "-k", "plugged_in", __file__]
    told = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout
    assert "test_template[plugged_in-7]" in told.stdout

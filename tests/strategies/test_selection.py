"""How a strategy is found and asked, and what is checked of its answer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pools import pick, some

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.strategies import Choice, PoolStatistics, Strategy, select, top_n


@given(
    arrays(np.float64, st.integers(0, 30), elements=st.sampled_from([-np.inf, -1.0, 0.0, -0.0, 0.5, 1.0])),
    st.integers(0, 35),
    st.integers(0, 2**32),
)
def test_top_n_is_a_sort(scores_N: np.ndarray, n: int, seed: int) -> None:
    got = top_n(scores_N, n, np.random.default_rng(seed))
    assert len(set(got.tolist())) == len(got) == min(n, len(scores_N))
    np.testing.assert_array_equal(scores_N[got], np.sort(scores_N)[::-1][:n])


def test_top_n_breaks_ties_evenly_and_refuses_nan() -> None:
    scores = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    second = np.bincount([top_n(scores, 2, np.random.default_rng(s))[1] for s in range(2000)], minlength=5)
    assert second[0] == 0 and np.abs(second[1:] - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        top_n(np.array([0.0, np.nan]), 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(np.array([0, 0]), None, ""), "an image twice"),
        (Choice(np.array([0]), None, ""), "not 2 positions"),
        (Choice(np.array([0, 40]), None, ""), "outside the pool"),
        (Choice(np.array([-1, 0]), None, ""), "outside the pool"),
        (Choice(np.array([0.0, 1.0]), None, ""), "not 2 positions"),
        (Choice(np.array([0, 1]), np.array([1.0, np.nan]), ""), "not 2 finite numbers"),
        (Choice(np.array([0, 1]), np.array([1.0]), ""), "not 2 finite numbers"),
    ],
)
def test_a_strategy_that_breaks_its_contract(choice: Choice, message: str) -> None:
    broken = Strategy("broken", lambda statistics, n, rng: choice, frozenset())
    with pytest.raises(ValueError, match=message):
        select(broken, some(), 2, np.random.default_rng(0))


def test_select_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="cannot select -1"):
        pick("random", some(), -1)
    with pytest.raises(ValueError, match="holds an index twice"):
        pick("random", PoolStatistics(index_N=np.array([3, 4, 3])), 1)
    with pytest.raises(ValueError, match=r"cannot select 0\.1 images; give a whole number"):
        select("random", some(), 0.1, np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="statistics are a dict; give the PoolStatistics of score_pool"):
        select("random", {}, 1, np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rng is a int; give numpy\.random\.default_rng"):
        select("random", some(), 1, 0)  # type: ignore[arg-type]


def test_names() -> None:
    with pytest.raises(UserError, match="did you mean 'mc_entropy'"):
        strategies.get("mc_entropie")
    with pytest.raises(UserError, match=r"known: \w+, .*\bbald, .*modAL\.uncertainty"):
        strategies.get("")


def test_an_option_is_given_with_the_name_or_bound_to_the_strategy() -> None:
    statistics = some()
    noisy = select("power_entropy", statistics, 10, np.random.default_rng(0), beta=3).indices.tolist()
    bound = strategies.get("power_entropy", {"beta": 3})
    assert dict(bound.options) == {"beta": 3.0}
    assert select(bound, statistics, 10, np.random.default_rng(0)).indices.tolist() == noisy
    assert (
        select(bound, statistics, 10, np.random.default_rng(0), beta=1).indices.tolist()
        == pick("power_entropy", statistics, 10).indices.tolist()
    ), "the last one holds"
    assert strategies.get("power_entropy").options == {}, "the registered one is as it was"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("power_entropy", {"beta": 0}, "arms.a.beta: must be above 0 (got 0)"),
        ("power_entropy", {"beta": "two"}, "arms.a.beta: must be a number (got 'two')"),
        ("power_entropy", {"betta": 2}, "arms.a.betta: power_entropy has no such option; did you mean 'beta'?"),
        ("class_balanced", {"share": 1.5}, "arms.a.share: must be 1 or less (got 1.5)"),
        ("typiclust", {"clusters": 2.5}, "arms.a.clusters: must be a whole number (got 2.5)"),
        ("random", {"beta": 2}, "arms.a.beta: random has no such option; it has none"),
        ("modAL.uncertainty.margin_sampling", {"cap": 2}, "arms.a.cap: modAL.uncertainty.margin_sampling has no such"),
        ("mc_entropie", {}, "arms.a.strategy: no strategy 'mc_entropie'; did you mean 'mc_entropy'?"),
        ("modAL.uncertainty.x", {}, "arms.a.strategy: strategy 'modAL.uncertainty.x': it is not there"),
    ],
)
def test_a_wrong_name_or_option_is_said_with_its_place(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as error:
        strategies.get(name, options, "arms.a")
    assert str(error.value).startswith(said)


def test_a_strategy_that_cannot_be_registered() -> None:
    def good(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice: ...

    def untyped(statistics: PoolStatistics, n: int, rng: np.random.Generator, *, beta=1.0) -> Choice: ...  # type: ignore[no-untyped-def]

    def other(statistics: PoolStatistics, count: int, rng: np.random.Generator) -> Choice: ...

    with pytest.raises(ValueError, match=r"strategy 'random' is defined in al_cxr\.strategies\.basic and again in"):
        strategies.strategy("random")(good)
    with pytest.raises(ValueError, match="needs"):
        strategies.strategy("new", needs={"probs", "pixels"})
    with pytest.raises(ValueError, match=r"an ensemble and \['mc'\]"):
        strategies.strategy("new", needs={"ensemble", "mc"})
    for function in (untyped, other):
        with pytest.raises(ValueError, match="strategy 'new'"):
            strategies.strategy("new")(function)
    assert "new" not in strategies.names()


def test_strategies_know_no_torch_and_modal_only_when_named() -> None:
    code = (
        "import sys, al_cxr.strategies as s\n"
        "assert not {'torch', 'modAL'} & sys.modules.keys()\n"
        "s.names()\n"
        "assert not {'torch', 'modAL'} & sys.modules.keys()\n"
        "s.get('modAL.uncertainty.margin_sampling')\n"
        "assert 'modAL' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

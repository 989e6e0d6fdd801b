"""Options are typed by the signature of the function that takes them."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from al_cxr.core.errors import UserError
from al_cxr.core.options import checked, defaults, require_signature


def ruled(
    history: object,
    *,
    below: float,
    rounds: Annotated[int, Field(ge=1)] = 3,
    by: Literal["f1", "loss"] | None = "f1",
) -> None: ...


class Built:
    def __init__(self, size: int, *, width: float = 1.0) -> None: ...


def test_defaults_are_those_of_the_signature() -> None:
    assert defaults(ruled) == {"below": ..., "rounds": 3, "by": "f1"}
    assert defaults(Built) == {"width": 1.0}


def test_options_that_are_not_given_get_their_defaults() -> None:
    assert checked(ruled, {"below": 1}, "ruled", "stop") == {"below": 1.0, "rounds": 3, "by": "f1"}
    assert checked(Built, {}, "built", "x") == {"width": 1.0}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "stop.below: missing; add this key"),
        ({"below": 1, "round": 2}, "stop.round: ruled has no such option; did you mean 'rounds'?"),
        ({"below": "low"}, "stop.below: must be a number (got 'low')"),
        ({"below": True}, "stop.below: must be a number (got true)"),
        ({"below": float("nan")}, "stop.below: must be a finite number (got nan)"),
        ({"below": 1, "rounds": 0}, "stop.rounds: must be 1 or more (got 0)"),
        ({"below": 1, "rounds": 1.5}, "stop.rounds: must be a whole number (got 1.5)"),
        ({"below": 1, "by": "los"}, "stop.by: must be one of f1, loss (got 'los'); did you mean 'loss'?"),
        ({"below": "x", "rounds": 0}, "stop.below: must be a number (got 'x')\nstop.rounds: must be 1 or more (got 0)"),
    ],
)
def test_a_wrong_option_is_one_clear_error(given: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as error:
        checked(ruled, given, "ruled", "stop")
    assert str(error.value) == said


def test_a_function_without_options_says_so() -> None:
    with pytest.raises(UserError, match=r"^arms\.a\.beta: plain has no such option; it has none$"):
        checked(lambda statistics: None, {"beta": 1}, "plain", "arms.a")


def test_a_function_of_another_form_is_refused() -> None:
    require_signature(ruled, ["history"], "rule 'ruled'")
    require_signature(Built, ["size"], "model 'built'")
    with pytest.raises(ValueError, match=r"^rule 'ruled': the first parameters must be statistics, n$"):
        require_signature(ruled, ["statistics", "n"], "rule 'ruled'")

    def untyped(history, *, rounds=3): ...  # type: ignore[no-untyped-def]

    def positional(history: object, rounds: int = 3) -> None: ...

    for function in (untyped, positional):
        with pytest.raises(ValueError, match="option rounds must be keyword-only and have a type"):
            require_signature(function, ["history"], "rule")

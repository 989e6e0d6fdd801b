"""Which labels are asked for: budgets, arms, how a pool is scored, and when to stop."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from al_cxr.config.section import Section


class Budget(Section):
    seed: float = Field(0.30, gt=0, description="labels at the start: <= 1 a share of the training set, else a number")
    query: float = Field(0.10, gt=0, description="labels a round, in the unit of query_of")
    query_of: Literal["remaining", "train", "number"] = Field(
        "remaining", description="fraction of the unlabelled pool, fraction of the training set, or a plain number"
    )
    rounds: int = Field(5, ge=0, description="queries; the seed model is round 0")

    @model_validator(mode="after")
    def _units(self) -> Budget:
        if self.query_of != "number" and self.query > 1:
            raise ValueError(f"query {self.query:g} is no fraction; write query_of: number for a number of images")
        if self.query_of == "number" and self.query != int(self.query):
            raise ValueError(f"query {self.query:g} is no whole number of images")
        return self


class Regime(Section):
    """Another amount of labels for the same question: a budget, of which null leaves what `budget` says."""

    seed: float | None = Field(None, description="labels at the start, as in budget")
    query: float | None = Field(None, description="labels a round, as in budget")
    query_of: Literal["remaining", "train", "number"] | None = Field(None, description="as in budget")
    rounds: int | None = Field(None, description="queries, as in budget")

    def over(self, budget: Budget) -> Budget:
        """This regime laid over a budget; ValueError where the two make no valid one."""
        return Budget.model_validate(budget.model_dump() | self.model_dump(exclude_none=True))


class Scoring(Section):
    passes: int = Field(20, ge=2, description="T, Monte-Carlo-dropout passes an image")
    scope: Literal["all", "head"] = Field(
        "all", description="what is sampled: every random site, or those after the last convolution (features cached)"
    )
    masks: Literal["stratified", "independent"] = Field(
        "stratified", description="over the T passes: each unit dropped as often as it should, or by luck"
    )
    race: Literal["off", "capped", "budget"] = Field(
        "capped", description="off = T passes each; capped = fewer where the choice is clear; budget = T on average"
    )
    race_error: float = Field(0.02, ge=0, le=1, description="capped: share of the query that may differ, expected")
    race_limit: int = Field(200, ge=2, description="budget: passes of an image, at most")
    temperature: Literal["off", "validation"] = Field(
        "off", description="validation = logits are divided by the temperature fitted on the round's validation images"
    )
    members: int = Field(5, ge=2, description="M, networks of an ensemble; the round's own model is the first")

    @field_validator("race", "temperature", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        """YAML reads a bare `off` as false."""
        return "off" if value is False else value

    @model_validator(mode="after")
    def _ordered(self) -> Scoring:
        if self.race == "budget" and self.race_limit < self.passes:
            raise ValueError(f"race_limit {self.race_limit} is below passes ({self.passes}); raise it")
        return self


class Stop(Section):
    """When an arm asks for no more labels; decided from validation metrics and the pool, never from the test split."""

    rule: str = Field("budget", description="name in al_cxr.strategies.stopping; budget = all rounds")
    options: dict[str, int | float] = Field(default_factory=dict, description="of the rule")


def _names_a_folder(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,63}", name):
        raise ValueError("must be small letters, digits and . _ + - only, at most 64, as it names a folder")
    return name


Name = Annotated[str, AfterValidator(_names_a_folder)]


class Arm(Section):
    """A strategy with a loss; all other keys are options of the strategy, such as `beta: 2` of power_entropy."""

    model_config = ConfigDict(extra="allow")  # which options there are is known to the strategy, and checked by it

    strategy: str = Field(description="name in the registry of al_cxr.strategies, or a dotted modAL function")
    loss: str = Field(description="name under losses")

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        """In a file that extends another, null takes an inherited option away."""
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if value is not None or key in cls.model_fields}

    @property
    def options(self) -> dict[str, Any]:
        """The options of the strategy that were given."""
        return dict(self.model_extra or {})

    @property
    def acquisition(self) -> str:
        """The strategy with the options that were given, such as power_entropy(beta=2)."""
        given = ", ".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.strategy}({given})" if given else self.strategy

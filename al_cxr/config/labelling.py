"""Which labels are asked for: budgets, arms, how a pool is scored, and when to stop."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from al_cxr.config.section import Section


class Budget(Section):
    """How many labels are asked for, and when."""

    seed: float = Field(
        0.30, gt=0, description="labels at the start: up to 1 a share of the training set, above 1 a number of images"
    )
    query: float = Field(0.10, gt=0, description="labels that each round adds, in the unit that query_of names")
    query_of: Literal["remaining", "train", "number"] = Field(
        "remaining",
        description=(
            "unit of query: remaining = share of the images that are still unlabelled, train = share of the "
            "training set, number = images"
        ),
    )
    rounds: int = Field(5, ge=0, description="number of queries after the start, which is round 0")

    @model_validator(mode="after")
    def _units(self) -> Budget:
        if self.query_of != "number" and self.query > 1:
            raise ValueError(f"query {self.query:g} is not a fraction; write query_of: number for a number of images")
        if self.query_of == "number" and self.query != int(self.query):
            raise ValueError(f"query {self.query:g} is not a whole number of images")
        return self


class Regime(Section):
    """Another amount of labels for the same question: a budget, of which null leaves what `budget` says."""

    seed: float | None = Field(None, description="labels at the start, as in budget; null = the same")
    query: float | None = Field(None, description="labels that each round adds, as in budget; null = the same")
    query_of: Literal["remaining", "train", "number"] | None = Field(
        None, description="unit of query, as in budget; null = the same"
    )
    rounds: int | None = Field(None, description="number of queries, as in budget; null = the same")

    def over(self, budget: Budget) -> Budget:
        """The regime laid over a budget; ValueError where the two make no valid one."""
        return Budget.model_validate(budget.model_dump() | self.model_dump(exclude_none=True))


class Scoring(Section):
    """How the unlabelled images are scored: Monte-Carlo dropout, ensembles and temperatures."""

    passes: int = Field(20, ge=2, description="T: Monte-Carlo dropout passes of each image")
    scope: Literal["all", "head"] = Field(
        "all",
        description=(
            "what is random in a pass: all = every dropout, head = only those after the last convolution, "
            "which is much faster"
        ),
    )
    masks: Literal["stratified", "independent"] = Field(
        "stratified",
        description=(
            "dropout masks over the T passes: stratified = every unit is dropped equally often, independent "
            "= as chance has it"
        ),
    )
    race: Literal["off", "capped", "budget"] = Field(
        "capped",
        description=(
            "off = T passes of every image, capped = fewer where more could not change the choice, budget = "
            "T on average and more for images near the cutoff"
        ),
    )
    race_error: float = Field(
        0.02,
        ge=0,
        le=1,
        description="race capped: largest expected share of the query that may differ from the choice after T passes",
    )
    race_limit: int = Field(200, ge=2, description="race budget: most passes that one image gets")
    temperature: Literal["off", "validation"] = Field(
        "off",
        description=(
            "off, or validation = logits are divided by a temperature that is fitted on the round's validation images"
        ),
    )
    members: int = Field(5, ge=2, description="M: networks of an ensemble; the round's own model is the first")

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

    rule: str = Field("budget", description="name of a stopping rule; budget = no early stop")
    options: dict[str, int | float] = Field(default_factory=dict, description="options of the rule: name -> number")


def _names_a_folder(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,63}", name):
        raise ValueError("must be small letters, digits and . _ + - only, at most 64, as it names a folder")
    return name


Name = Annotated[str, AfterValidator(_names_a_folder)]


class Arm(Section):
    """A strategy with a loss; all other keys are options of the strategy, such as `beta: 2` of power_entropy."""

    model_config = ConfigDict(extra="allow")  # which options there are is known to the strategy, and checked by it

    strategy: str = Field(
        description="name of a strategy, or a function of modAL such as modAL.uncertainty.margin_sampling"
    )
    loss: str = Field(description="name of an entry of losses")

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

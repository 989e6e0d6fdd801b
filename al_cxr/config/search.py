"""What a search for hyper-parameters may try."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from al_cxr.config.section import Section

Value = bool | int | float | str | None
"""Of a setting that is searched."""


class Dimension(Section):
    """What one setting may be in a search: low to high, or one of some choices."""

    low: int | float | None = Field(
        None, description="smallest value; with a whole low and high only whole numbers are drawn"
    )
    high: int | float | None = Field(None, description="largest value")
    log: bool = Field(False, description="draw evenly on the logarithm of the value; low must be above 0")
    choices: list[Value] | None = Field(
        None, min_length=1, description="values to choose from, instead of low and high"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Dimension:
        if (self.choices is None) == (self.low is None and self.high is None):
            raise ValueError("give low and high, or choices")
        if self.choices is None and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError("low must be below high")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("with log: true, low must be above 0")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> list[Value]:
        """Both ends, or all choices: if they are valid settings, so is what lies between."""
        return [self.low, self.high] if self.choices is None else list(self.choices)

    def holds(self, value: Value) -> bool:
        if self.choices is not None:
            return value in self.choices
        assert self.low is not None and self.high is not None
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def rounded(self, value: Value, digits: int) -> Value:
        """A number of a range with so many significant digits, still inside; anything else as it is."""
        if not isinstance(value, float) or self.low is None or self.high is None:
            return value
        return min(max(float(f"{value:.{digits}g}"), float(self.low)), float(self.high))


class Search(Section):
    """Hyper-parameters chosen on validation data with a stated budget; all arms then share them."""

    trials: int = Field(20, ge=1, description="number of settings that are tried, the experiment's own among them")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=lambda: [100, 101],
        min_length=1,
        description="seeds of each trial, none of them a seed of the experiment",
    )
    labels: float = Field(
        0.30,
        gt=0,
        description="labelled images in each trial: up to 1 a share of the training set, above 1 a number of images",
    )
    objective: Literal["macro_f1", "target_f1", "loss"] = Field(
        "macro_f1", description="validation figure that is optimised: its mean over the seeds"
    )
    space: dict[str, Dimension] = Field(
        min_length=1, description="dotted name of a setting, such as train.lr -> which values it may take"
    )

    @model_validator(mode="after")
    def _once(self) -> Search:
        if again := [seed for i, seed in enumerate(self.seeds) if seed in self.seeds[:i]]:
            raise ValueError(f"seeds: {again[0]} is given twice; delete one of them")
        return self

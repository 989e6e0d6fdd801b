"""Which radiographs, and what is asked of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from al_cxr.config.section import Section
from al_cxr.config.source import AnySource
from al_cxr.core.names import class_name, plain

ClassName = Annotated[str, AfterValidator(class_name)]
SourceName = Annotated[str, AfterValidator(plain)]


class DataSettings(Section):
    """Which radiographs, at which size, and how they are split."""

    sources: list[AnySource] = Field(
        min_length=1,
        description="places the radiographs may come from, tried in this order; the first that is there is used",
    )
    image_size: int = Field(64, ge=28, le=1024, description="side in pixels that every image is resized to")
    target: ClassName = Field(
        "tuberculosis", description="class that is looked for: its F1, sensitivity and threshold are reported"
    )
    test_source: SourceName = Field(
        "",
        description="value of the column source, such as a hospital, whose images alone are the test set; empty = any",
    )
    val_source: SourceName = Field(
        "", description="value of the column source whose images alone are the validation set; empty = any"
    )
    val_fraction: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="share of the patients that is drawn for validation, where the source has no validation split",
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=0.5,
        description="share of the patients that is drawn for the test, where the source has no test split",
    )
    folds: int = Field(
        0,
        ge=0,
        le=20,
        description=(
            "number of cross-validation folds that all images are dealt into, 2 or more; 0 = no cross-validation"
        ),
    )
    fold: int = Field(0, ge=0, description="which of the folds is the test set, counted from 0")
    split_seed: int = Field(0, ge=0, description="seed of the draw, where splits or folds are drawn")

    @model_validator(mode="after")
    def _one_way_to_split(self) -> DataSettings:
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} of {self.folds}: folds are 2 or more (0 = none), fold is below them")
        if self.folds and (self.test_source or self.val_source):
            raise ValueError("folds deal all images out anew; leave test_source and val_source empty")
        return self

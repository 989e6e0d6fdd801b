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
    sources: list[AnySource] = Field(min_length=1, description="tried in order; the first that is there is used")
    image_size: int = Field(64, ge=28, le=1024, description="side every image is resized to, in pixels")
    target: ClassName = Field("tuberculosis", description="class whose F1 is followed")
    test_source: SourceName = Field(
        "", description="source (a column of the manifest) whose images alone are the test set"
    )
    val_source: SourceName = Field(
        "", description="source whose images alone are the validation set; the rest is trained on"
    )
    val_fraction: float = Field(0.1, gt=0, lt=0.5, description="of the patients, where the source has no val split")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="of the patients, where the source has no test split")
    folds: int = Field(0, ge=0, le=20, description="cross-validation: test sets the images are dealt into; 0 = none")
    fold: int = Field(0, ge=0, description="which of the folds is the test set, from 0")
    split_seed: int = Field(0, ge=0, description="which patients go where, when a split has to be made")

    @model_validator(mode="after")
    def _one_way_to_split(self) -> DataSettings:
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} of {self.folds}: folds are 2 or more (0 = none), fold is below them")
        if self.folds and (self.test_source or self.val_source):
            raise ValueError("folds deal all images out anew; leave test_source and val_source empty")
        return self

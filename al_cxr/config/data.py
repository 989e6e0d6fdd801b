"""Which radiographs, and what is asked of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from al_cxr.config.section import Section
from al_cxr.core.names import class_name, plain

ClassName = Annotated[str, AfterValidator(class_name)]
SourceName = Annotated[str, AfterValidator(plain)]


class FolderSource(Section):
    """One folder a class, optionally below train/val/test (the layout of the Kaggle chest X-ray sets)."""

    kind: Literal["folder"]
    path: str = Field(description="folder that holds the class folders or the split folders")
    follow_links: bool = Field(False, description="read symbolic links that lead out of the folder (DVC, git-annex)")
    patient_folders: bool = Field(False, description="each class folder holds a folder a patient, named by the id")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")


class ManifestSource(Section):
    """A CSV with the columns path and label, and optionally split, patient_id, source and any others."""

    kind: Literal["manifest"]
    path: str = Field(description="the CSV file")
    root: str | None = Field(
        None, description="folder the paths are relative to and lie below; null = the CSV's own folder"
    )
    follow_links: bool = Field(False, description="read symbolic links that lead out of that folder (DVC, git-annex)")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")


class MedmnistSource(Section):
    """A 2-D single-label MedMNIST set through the medmnist package."""

    kind: Literal["medmnist"]
    flag: str = Field("pneumoniamnist", description="name of the set, e.g. pneumoniamnist")
    pixels: Literal[28, 64, 128, 224] = Field(64, description="side of the stored images, in pixels")
    root: str | None = Field(None, description="folder that holds the .npz files; null = the package's own")
    download: bool = Field(False, description="fetch the file when it is not there")


class PhantomSource(Section):
    """The embedded synthetic radiographs, made from a seed."""

    kind: Literal["phantom"]
    count: int = Field(2000, ge=30, le=1_000_000, description="images over all splits")
    seed: int = Field(0, ge=0, description="which patients are made")
    difficulty: float = Field(0.5, ge=0, le=1, description="0 = textbook cases, 1 = many truly ambiguous")


Source = Annotated[FolderSource | ManifestSource | MedmnistSource | PhantomSource, Field(discriminator="kind")]


class DataSettings(Section):
    sources: list[Source] = Field(min_length=1, description="tried in order; the first that is there is used")
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

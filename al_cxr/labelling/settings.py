"""The settings of a labelling project: what is asked, of which archive, by which strategy, and how it is checked.

They stand in PROJECT/project.yaml and are fixed when the project starts: every figure of the project is about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from al_cxr.config.layers import read_layer
from al_cxr.config.machine import Machine
from al_cxr.config.section import Section
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import reasons
from al_cxr.core.names import class_name
from al_cxr.core.nearest import hint
from al_cxr.labelling.readers import reader_name

FILE = "project.yaml"
NO_CLASS = ("unsure", "skip", "unreadable", "not-frontal")
"""What a reader may answer instead of a class."""


def _reader_name(name: str) -> str:
    try:
        return reader_name(name)
    except UserError as error:
        raise ValueError(str(error)) from None


ReaderName = Annotated[str, AfterValidator(_reader_name)]


class ArchiveSettings(Section):
    """Where the images lie. An archive that moved is named anew with `al-cxr label scan PROJECT FOLDER`."""

    source: str = Field(description="a folder with all folders below it, a CSV with a column path, or phantom:COUNT")
    root: str | None = Field(None, description="folder that the paths of a CSV start from; null = the CSV's own")
    follow_links: bool = Field(False, description="read symbolic links that lead out of the folder")
    patient_folders: bool = Field(False, description="the folders of the archive are patients, named by their ids")


class NetworkSettings(Section):
    """The frozen network whose features the head is trained on."""

    arch: str = Field("efficientnet_lite0", description="name of a pretrained architecture")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the architecture")
    image_size: int = Field(224, ge=28, le=1024, description="side of an image in pixels")


class HeadSettings(Section):
    """The head that is trained between answers: a logistic regression on the features."""

    every: int = Field(5, ge=1, description="answers after which the head is trained again")
    penalty: float = Field(100.0, gt=0, description="weight of its squared weights beside the summed loss")
    dropout: float = Field(0.5, gt=0, lt=1, description="in Monte-Carlo passes, for strategies that want them")
    passes: int = Field(20, ge=2, description="Monte-Carlo passes, for strategies that want them")


class AcquisitionSettings(Section):
    """How the images that the head learns from are chosen."""

    strategy: str = Field("entropy", description="name of a strategy")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the strategy")
    explore: float = Field(
        0.1, gt=0, le=1, description="share that is chosen uniformly at random, so that every image can be chosen"
    )
    first: int = Field(20, ge=2, description="answers before the strategy takes over from a start with typical images")


class StreamSettings(Section):
    """Shares of the questions that are not there to learn from, but to check."""

    audit: float = Field(0.2, ge=0.05, le=0.5, description="share of the patients that are only ever tested on")
    second: float = Field(0.05, ge=0, le=0.5, description="share of questions that another reader answered already")
    repeat: float = Field(0.03, ge=0, le=0.5, description="share of questions that the reader answered already")
    gap: int = Field(50, ge=1, description="own answers that lie at least between a question and its repeat")

    @model_validator(mode="after")
    def _leaves_room(self) -> StreamSettings:
        if self.audit + self.second + self.repeat > 0.8:
            raise ValueError("audit, second and repeat leave less than a fifth of the questions to learn from")
        return self


class ReaderSettings(Section):
    """Who may answer."""

    names: list[ReaderName] = Field(default_factory=list, description="readers who may answer; [] = whoever comes")
    lease_minutes: float = Field(
        10.0, gt=0, description="minutes for which an image that is shown is kept for its reader"
    )
    file_days: float = Field(14.0, gt=0, description="days for which the images of a file are kept for its reader")
    policy: Literal["adjudicated", "majority", "first"] = Field(
        "adjudicated",
        description=(
            "label of an image whose readers disagree: none until a third decided, what more than half of them say, or "
            "what the first said"
        ),
    )


class GoalSettings(Section):
    """What the model has to reach; certified where the lower end of its interval is there."""

    figure: Literal["accuracy", "sensitivity", "specificity", "auc"] = Field("accuracy", description="of the model")
    at_least: float = Field(0.9, gt=0, lt=1, description="the wanted value")
    audit_up_to: int = Field(
        0,
        ge=0,
        description=(
            "audited images of the figure's kind there can be in the end (for the sensitivity those that show the "
            "target), by which the sizes of the exams are laid down; 0 = what the archive's size suggests"
        ),
    )


class ProjectSettings(Section):
    """One labelling project."""

    archive: ArchiveSettings = Field(description="where the images lie")
    classes: list[str] = Field(min_length=2, max_length=9, description="what an image can show; one is chosen")
    target: str = Field(description="the class that sensitivity, specificity and AUC are about")
    seed: int = Field(0, ge=0, description="decides everything that is left to chance")
    start: str = Field("", description="a bundle that asks the first questions; empty = none")
    goal: GoalSettings = Field(default_factory=GoalSettings, description="what the model has to reach")
    acquisition: AcquisitionSettings = Field(
        default_factory=AcquisitionSettings, description="how images to learn from are chosen"
    )
    streams: StreamSettings = Field(default_factory=StreamSettings, description="questions that check")
    readers: ReaderSettings = Field(default_factory=ReaderSettings, description="who may answer")
    network: NetworkSettings = Field(default_factory=NetworkSettings, description="the frozen network")
    head: HeadSettings = Field(default_factory=HeadSettings, description="how the head on its features is trained")
    machine: Machine = Field(default_factory=Machine, description="where and how fast; changes no result")

    @field_validator("classes")
    @classmethod
    def _spelt(cls, given: list[str]) -> list[str]:
        names = [class_name(name) for name in given]
        if "" in names or any(len(name) > 100 for name in names):
            raise ValueError("a class has a name of 1 to 100 characters")
        if len(set(names)) < len(names):
            raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is named twice")
        if taken := set(names) & {*NO_CLASS, "not frontal", "not_frontal"}:
            raise ValueError(f"{min(taken)!r} is what a reader answers where no class can be said; leave it out")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> ProjectSettings:
        if self.target not in self.classes:
            raise ValueError(f"target {self.target!r} is no class{hint(self.target, self.classes)}")
        return self


def project_settings(data: Mapping[str, Any], where: str) -> ProjectSettings:
    """Settings from plain data; UserError `where: key: what is wrong` of everything that is wrong."""
    try:
        return ProjectSettings.model_validate(data)
    except ValidationError as error:
        lines: dict[str, list[Any]] = {}
        for one in error.errors():
            lines.setdefault(".".join(map(str, one["loc"])), []).append(one)
    said = [f"{where}: {key}: {reasons(of)}" if key else f"{where}: {reasons(of)}" for key, of in lines.items()]
    raise UserError("\n".join(said))


def read_settings(project: Path) -> ProjectSettings:
    """Those of a project's folder; UserError where it is none."""
    file = project / FILE
    if not file.is_file():
        what = "no labelling project" if project.is_dir() else "no such folder"
        raise UserError(f"{project}: {what}; `al-cxr label start ARCHIVE {project} --classes A,B` makes one")
    return project_settings(read_layer(file).data, str(file))


def write_settings(project: Path, settings: ProjectSettings) -> None:
    """Puts them into the folder of a project."""
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    write_atomically(project / FILE, f"# A labelling project of al-cxr. Its log is events.sqlite.\n{text}".encode())

"""Fully labelled models: the reference of an experiment, the table of `al-cxr baseline`, and figures of others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from al_cxr.config.labelling import Name
from al_cxr.config.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Variant(Section):
    """An architecture under another name with other options, e.g. pretrained."""

    arch: str = Field(description="name in the registry of al_cxr.models")
    options: dict[str, Any] = Field(default_factory=dict, description="laid over model.options of the architecture")


class ClassFigures(Section):
    """What was published of a model on one class, each in 0..1; null = not stated."""

    precision: Share | None = None
    recall: Share | None = None
    f1: Share | None = None


class Figures(Section):
    """What was published of a model, each in 0..1; null = not stated."""

    accuracy: Share | None = None
    roc_auc: Share | None = None
    macro_f1: Share | None = None
    weighted_f1: Share | None = None
    classes: dict[str, ClassFigures] = Field(default_factory=dict, description="class -> its figures")


class Publication(Section):
    """Figures of others on the same data, to be printed beside those of this trainer."""

    reference: str = Field(min_length=1, description="whose they are and how they were made; printed below the table")
    models: dict[str, Figures] = Field(min_length=1, description="architecture or variant -> its figures")

    def classes(self) -> list[str]:
        """All classes that a figure is about."""
        return list(dict.fromkeys(name for figures in self.models.values() for name in figures.classes))


class Baseline(Section):
    loss: str = Field("cross_entropy", description="name under losses")
    models: dict[Name, Variant] = Field(
        default_factory=dict, description="variants that al-cxr baseline knows beside the architectures"
    )
    published: dict[Name, Publication] = Field(
        default_factory=dict, description="name of a column -> figures of others beside those of al-cxr baseline"
    )

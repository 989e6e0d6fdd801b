"""Fully labelled models: the reference of an experiment, the table of `al-cxr baseline`, and figures of others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from al_cxr.config.labelling import Name
from al_cxr.config.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Variant(Section):
    """An architecture under another name with other options, e.g. pretrained."""

    arch: str = Field(description="name of the architecture")
    options: dict[str, Any] = Field(
        default_factory=dict, description="options laid over those that model.options has for this architecture"
    )


class ClassFigures(Section):
    """What was published of a model on one class, each in 0..1; null = not stated."""

    precision: Share | None = Field(None, description="positive predictive value, 0..1")
    recall: Share | None = Field(None, description="sensitivity, 0..1")
    f1: Share | None = Field(None, description="harmonic mean of precision and recall, 0..1")


class Figures(Section):
    """What was published of a model, each in 0..1; null = not stated."""

    accuracy: Share | None = Field(None, description="share of images answered rightly, 0..1")
    roc_auc: Share | None = Field(None, description="area under the ROC curve, 0..1")
    macro_f1: Share | None = Field(None, description="mean F1 of the classes, 0..1")
    weighted_f1: Share | None = Field(None, description="mean F1 of the classes weighted by their images, 0..1")
    classes: dict[str, ClassFigures] = Field(default_factory=dict, description="name of a class -> its figures")


class Publication(Section):
    """Figures of others on the same data, to be printed beside those of this trainer."""

    reference: str = Field(
        min_length=1, description="whose figures they are and how they were obtained; printed below the table"
    )
    models: dict[str, Figures] = Field(min_length=1, description="name of an architecture or variant -> its figures")

    def classes(self) -> list[str]:
        """All classes that a figure is about."""
        return list(dict.fromkeys(name for figures in self.models.values() for name in figures.classes))


class Baseline(Section):
    """Models that are trained on all labels."""

    loss: str = Field("cross_entropy", description="name of an entry of losses")
    models: dict[Name, Variant] = Field(
        default_factory=dict,
        description="variants that al-cxr baseline knows beside the architectures, by a name of your own",
    )
    published: dict[Name, Publication] = Field(
        default_factory=dict,
        description="published figures that are printed beside the measured ones, by the name of their column",
    )

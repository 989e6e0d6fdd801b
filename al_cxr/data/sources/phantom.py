"""The embedded synthetic radiographs: always there, for tests, tutorials and first steps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.source import KIND, Source, register


@register
class PhantomSource(Source):
    """The embedded synthetic radiographs, made from a seed; they are always there.

    Examples
    --------
    >>> data = PhantomSource(count=90, seed=3, difficulty=1.0).read()
    >>> len(data), data.synthetic
    (90, True)
    """

    usage = "phantom[:COUNT]"

    kind: Literal["phantom"] = Field("phantom", description=KIND)
    count: int = Field(2000, ge=30, le=1_000_000, description="number of images in all splits together")
    seed: int = Field(0, ge=0, description="seed of the patients")
    difficulty: float = Field(
        0.5,
        ge=0,
        le=1,
        description="how hard the classes are to tell apart: 0 = textbook cases, 1 = many ambiguous ones",
    )

    @classmethod
    def from_text(cls, text: str) -> PhantomSource:
        return cls.model_validate({"count": text} if text else {})

    def exists(self) -> bool:
        return True

    def read(self) -> Dataset:
        from al_cxr.data.phantom.radiographs import make_phantom  # here, so that settings are read without the renderer

        return make_phantom(self.count, self.seed, self.difficulty)

    def describe(self) -> str:
        return f"phantom of {self.count}"

"""A question as a reader gets it, and what the reader may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from al_cxr.core.errors import UserError
from al_cxr.core.names import class_name
from al_cxr.core.nearest import hint
from al_cxr.labelling.settings import NO_CLASS

KINDS: Mapping[str, str] = MappingProxyType(
    {"unsure": "unsure", "skip": "skipped", "unreadable": "unreadable", "not-frontal": "not_frontal_chest"}
)
"""What a reader may answer instead of a class -> kind of event."""


@dataclass(frozen=True)
class Asked:
    """A question to a reader: which of the classes does this image show? Nothing in it says why it is asked."""

    question: str
    """Random id; it says nothing of the image."""
    reader: str
    name: str
    """Path of the image below the root of the archive."""
    earlier: str = field(default="", compare=False)
    """What the reader had answered, where that was taken back just now."""


@dataclass(frozen=True)
class Answer:
    """What a reader said."""

    question: str
    answer: str
    """A class, or one of "unsure", "skip", "unreadable", "not-frontal"."""
    milliseconds: int | None = None
    """Active time on the image, where it was measured."""
    comment: str = ""
    view: Mapping[str, Any] = field(default_factory=dict)
    """How the image was looked at, such as the window; it is kept with the answer."""


def outcome_of(word: str, classes: Sequence[str]) -> tuple[str, str | None]:
    """Kind of event and label that a word stands for; UserError for one that is neither a class nor such an answer."""
    name = class_name(word)
    if name in classes:
        return "answered", name
    other = name.replace(" ", "-").replace("_", "-")
    if other in KINDS:
        return KINDS[other], None
    raise UserError(f"no class {word!r}{hint(word, [*classes, *NO_CLASS])}")


def word_of(kind: str, label: str | None) -> str:
    """The other way round: what stands in a file for an outcome."""
    return label if label is not None else {kind: word for word, kind in KINDS.items()}[kind]

"""What the settings of every data source have in common, and how the settings of one kind are found.

The kinds lie in al_cxr.data.sources, above this room, one file each. This room imports none of them: the registry
imports that package by its name when the first source is read from settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticKnownError

from al_cxr.config.section import Section
from al_cxr.core.registry import Registry


class SourceSettings(Section):
    """The settings of a data source; each kind adds its own."""

    kind: str = Field(description="what the source is; the keys below belong to this kind")


SOURCES: Registry[type[SourceSettings]] = Registry("kind of data source", "al_cxr.data.sources", "al_cxr.sources")


def kind_of(value: Mapping[str, Any]) -> type[SourceSettings] | None:
    """The kind that the settings of a source name; None where they name none that is known."""
    kind = value.get("kind")
    return SOURCES.get(kind) if isinstance(kind, str) and kind in SOURCES else None


def _of_its_kind(value: Any, validate: ValidatorFunctionWrapHandler) -> SourceSettings:
    """Settings of a source, validated as those of the kind that they name."""
    if not isinstance(value, Mapping):
        source: SourceSettings = validate(value)
        return source
    if "kind" not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    kind = kind_of(value)
    if kind is None:
        expected = ", ".join(repr(name) for name in SOURCES.names())
        context = {"discriminator": "'kind'", "tag": str(value["kind"]), "expected_tags": expected}
        raise PydanticKnownError("union_tag_invalid", context)
    return kind.model_validate(value)


AnySource = Annotated[SerializeAsAny[SourceSettings], WrapValidator(_of_its_kind)]

"""The value of --data, and of `load_data`: text that names a data source, and the options beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from al_cxr.config.source import SOURCES
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import first_reason
from al_cxr.core.nearest import nearest
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.source import Source, kinds


def named_source(text: str | Path) -> Source:
    """The source that a text names: KIND or KIND:REST of any kind, else the path of a folder or of a file that a kind
    claims. A Path is never a kind. UserError for a text that names no source."""
    word, colon, rest = str(text).partition(":")
    if isinstance(text, str):
        if not text:
            raise UserError(f"data source {text!r}: nothing is named; give {usages()}")
        if word in kinds():
            return _of_kind(kinds()[word], rest, text)
        if colon and not Path(text).exists() and (near := nearest(word, kinds())) is not None:
            raise UserError(f"data source {text!r}: no {SOURCES.noun} {word!r}; did you mean {near!r}?")
    path = Path(text)
    for kind in kinds().values():
        if kind.claims(path):
            return _of_kind(kind, str(text), str(text))
    return FolderSource(path=str(text))


def _of_kind(kind: type[Source], rest: str, text: str) -> Source:
    """The source of a kind that the `rest` of a text names; the whole text is for messages."""
    try:
        return kind.from_text(rest)
    except ValidationError as error:
        raise UserError(f"data source {text!r}: {first_reason(error)}") from None
    except ValueError as error:
        raise UserError(f"data source {text!r}: {error}; write {kind.usage}") from None


def with_options(
    source: Source, root: str | Path | None = None, follow_links: bool = False, patient_folders: bool = False
) -> Source:
    """The source with those of its settings changed that are given; UserError for one that it does not have."""
    options: dict[str, Any] = {}
    if root is not None:
        options["root"] = str(root)
    if follow_links:
        options["follow_links"] = True
    if patient_folders:
        options["patient_folders"] = True
    for name in options:
        if name not in type(source).model_fields:
            raise UserError(f"--{name.replace('_', '-')}: does not apply to {source.describe()}; leave it out")
    return source.model_copy(update=options)


def usages() -> str:
    """How a source of each kind is named, for messages."""
    return ", ".join(kind.usage for kind in kinds().values())

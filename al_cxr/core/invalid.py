"""What pydantic finds wrong with a value, in words that a person who wrote it can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from al_cxr.core.nearest import nearest

_WHOLE, _NUMBER, _YES_NO = "must be a whole number", "must be a number", "must be true or false"
_LIST, _MAPPING = "must be a list, such as [0, 1]", "must have keys with values below it"
_SAID: dict[str, str] = {
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_parsing": _YES_NO,
    "bool_type": _YES_NO,
    "string_type": "must be text; put it in quotes",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "invalid_key": "must be text; put the key in quotes",
    "none_required": "must be null",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be {le:g} or less",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} entries or fewer",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "missing": "missing; add this key",
    "union_tag_not_found": "kind: missing; add this key",
    "recursion_loop": "must not refer to itself",
    "json_invalid": "this is not JSON, or only a part of it",
    "extra_forbidden": "unknown key",
}
"""pydantic's kind of an error -> what to say of it; in braces what pydantic has in its context."""
EDITED = "it was edited, damaged, or written by another version of al-cxr"
"""Why a file of ours may not be what it was."""
_GIVES_NOTHING = ("missing", "union_tag_not_found", "json_invalid", "extra_forbidden")
_CHOICES = {"literal_error": "expected", "enum": "expected", "union_tag_invalid": "expected_tags"}
"""Kinds of errors about a choice -> where pydantic keeps what may be chosen."""


def first_reason(error: ValidationError) -> str:
    """`key: what is wrong with it`, of the first thing that is wrong in a file that nobody wrote by hand."""
    first = error.errors()[0]
    where, said = ".".join(map(str, first["loc"])), reasons([first]).partition("; ")[0]
    return f"{where}: {said}" if where else said


def reasons(errors: Sequence[Mapping[str, Any]]) -> str:
    """Of `ValidationError.errors()` those of one value, of which a union has one for each of its members: what the
    value must be, and what was given where that is short."""
    said = ", or ".join(dict.fromkeys(_said(error) for error in errors))
    if errors[0]["type"] in _GIVES_NOTHING:
        return said
    given = errors[0]["ctx"]["tag"] if errors[0]["type"] == "union_tag_invalid" else errors[0].get("input")
    if isinstance(given, (str, int, float, bool, type(None))):
        said += f" (got {_shown(given)})"
    near = nearest(given, [name for error in errors for name in _choices(error)]) if isinstance(given, str) else None
    return said if near is None else f"{said}; did you mean {near!r}?"


def _said(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _CHOICES:
        where = "kind: " if kind == "union_tag_invalid" else ""
        return f"{where}must be one of {', '.join(_choices(error)) or context[_CHOICES[kind]]}"
    if kind in _SAID:
        return _SAID[kind].format(**context)
    return str(error["msg"]).removeprefix("Value error, ")


def _choices(error: Mapping[str, Any]) -> list[str]:
    """The names that an error of a choice would allow; pydantic has them as 'adam' or 'adamw'."""
    key = _CHOICES.get(error["type"])
    return [] if key is None else re.findall(r"'([^']*)'", str(error["ctx"][key]))


def _shown(given: object) -> str:
    text = repr(given)
    return {"None": "null", "True": "true", "False": "false"}.get(text, text if len(text) <= 80 else text[:80] + "…")

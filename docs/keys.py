"""The keys of an experiment file, as the settings' fields say them: a page of the reference."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from al_cxr.config import Settings
from al_cxr.config.written import sections_in


def experiment_file() -> str:
    lines = [
        "# Experiment file",
        "",
        "Every key that an experiment file may hold, with its type, the value it has unless the file says otherwise, "
        "and its meaning. A key that is not in these tables is an error, and the message names the nearest one. "
        "`extends: OTHER.yaml` takes another file as the start; `profiles` holds named sets of keys that `--profile` "
        "lays over the rest. `--set a.b=value` sets any key from the command line.",
    ]
    seen: set[type[BaseModel]] = set()
    waiting: list[tuple[str, type[BaseModel]]] = [("", Settings)]
    while waiting:
        where, section = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        lines += ["", f"## {where} {{#{_anchor(where)}}}" if where else "## Top level", ""]
        if where and (text := section.__dict__.get("__doc__")):
            prose = re.split(r"\n\n\w+\n-+\n", inspect.cleandoc(text))[0]  # without References and Examples
            lines += [prose, ""]
        rows, inner = [], []
        for name, field in section.model_fields.items():
            key = f"{where}.{name}" if where else name
            parts = [(_address(key, part, field.annotation), part) for part in sections_in(field.annotation)]
            below = ", ".join(f"[{address}](#{_anchor(address)})" for address, _ in parts)
            meaning = "; ".join(filter(None, (*meaning_of(field), below and f"see {below}")))
            rows.append((f"`{name}`", type_of(field.annotation), _default(field), meaning))
            inner += parts
        lines += table(("key", "type", "default", "meaning"), rows)
        waiting = inner + waiting
    return "\n".join(lines) + "\n"


def _anchor(address: str) -> str:
    return "key-" + re.sub(r"[^A-Za-z_]+", "-", address)


def _address(key: str, section: type[BaseModel], annotation: Any) -> str:
    """Where in the file a section stands: below its key, below a name of the reader's own, or as a kind."""
    if kind := section.model_fields.get("kind"):
        values = typing.get_args(kind.annotation)
        if len(values) == 1:
            return f"{key}: kind {values[0]}"
    origins = {typing.get_origin(part) for part in (annotation, *typing.get_args(annotation))}
    return f"{key}.NAME" if dict in origins else key


def type_of(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_of(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_of(part) for part in arguments)
    if origin in (list, tuple, Sequence):
        inner = dict.fromkeys(type_of(part) for part in arguments if part is not Ellipsis)
        return f"list of {' or '.join(inner)}"
    if origin is dict:
        return f"name → {type_of(arguments[1])}"
    if annotation in (None, type(None)):
        return "`null`"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    words = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
    return words.get(annotation, "any value")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, (dict, list)) and any(isinstance(v, BaseModel) for v in _values(value)):
        return ", ".join(f"`{name}`" for name in value)
    return written(value)


def written(value: Any) -> str:
    """A value as an experiment file writes it."""
    if value == "":
        return '`""`'
    if value is None or isinstance(value, bool):
        return f"`{json.dumps(value)}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _values(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def meaning_of(field: FieldInfo) -> tuple[str, str]:
    """The description of a field, and its range."""
    bounds = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(limit, name, None) is not None
    ]
    return field.description or "", " and ".join(bounds)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return ["None."]
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]

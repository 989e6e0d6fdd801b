"""Text in an experiment file is what was written: YAML 1.1 takes a class `yes` for true, 1 for a number, `on` for true.

Which values are text is told by the settings' types: the keys whose value is a text wherever they stand.
"""

from __future__ import annotations

import functools
import typing

import yaml
from pydantic import BaseModel

from al_cxr.config import Settings
from al_cxr.config.source import SOURCES, SourceSettings

_TEXT, _NULL, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "null", "merge"))


def as_written(node: yaml.Node | None, key: str = "") -> None:
    """Makes text of every key below a YAML node, and of the values of keys that want text; null stays null.

    `key` is the one that the node itself is the value of.
    """
    left = [(key, node)]
    seen: set[int] = set()  # an alias is the node that it stands for, and may stand inside itself
    for name, at in left:
        if isinstance(at, yaml.ScalarNode) and name in text_keys() and at.tag != _NULL:
            at.tag = _TEXT
        elif isinstance(at, yaml.CollectionNode) and id(at) not in seen:
            seen.add(id(at))
            pairs = at.value if isinstance(at, yaml.MappingNode) else [(None, item) for item in at.value]
            for key_node, value_node in pairs:
                if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE:
                    key_node.tag = _TEXT
                left.append((getattr(key_node, "value", ""), value_node))


@functools.cache
def text_keys() -> frozenset[str]:
    """The keys whose value is a text in every section that has them."""
    text: set[str] = set()
    other: set[str] = set()
    sections: list[type[BaseModel]] = [Settings]
    for section in sections:
        for name, field in section.model_fields.items():
            (text if field.annotation in (str, str | None) else other).add(name)
            sections += [found for found in sections_in(field.annotation) if found not in sections]
    return frozenset(text - other)


def sections_in(annotation: object) -> list[type[BaseModel]]:
    """The sections of the settings that a type is made of; of a data source, those of every kind."""
    if annotation is SourceSettings:
        return [SOURCES.get(name) for name in SOURCES.names()]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for argument in typing.get_args(annotation) for section in sections_in(argument)]

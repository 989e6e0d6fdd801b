"""An experiment file (YAML) and command-line overrides -> validated Settings, or one clear error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from al_cxr.config import Settings
from al_cxr.config.layers import Layer, chain
from al_cxr.config.layers import profile as profile_layers
from al_cxr.config.source import SourceSettings, kind_of
from al_cxr.config.written import as_written, sections_in
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import reasons
from al_cxr.core.nearest import hint

APART = ("extends", "profiles")
"""Keys of a file that are no settings."""
OPTION = "--set"


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, mapping by mapping; lists and scalars are replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def lay(layer: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of settings (a file, one of its profiles, all of --set) on top of the one that it changes.

    A layer that chooses another engine leaves machine.processes below it behind, which is of the engine processes
    alone: `--set machine.engine=ray` is enough by itself. Only a layer that asks for both contradicts itself.
    """
    machine, below = layer.get("machine"), base.get("machine")
    if isinstance(machine, Mapping) and isinstance(below, Mapping) and machine.get("engine") not in (None, "processes"):
        base = {**base, "machine": {key: value for key, value in below.items() if key != "processes"}}
    return merge(base, layer)


def parse_override(text: str) -> dict[str, Any]:
    """`train.steps=200` -> {"train": {"steps": 200}}; the value is YAML, or text where the key wants it."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {text}: write it as section.key=value, e.g. --set train.steps=200")
    try:
        loader = yaml.SafeLoader(value)
        node = loader.get_single_node()
        as_written(node, parts[-1])
        out: Any = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError):  # ValueError: of a day that is none
        raise UserError(f"--set {text}: {value!r} is not a YAML value") from None
    if isinstance(out, Mapping) and (joined := next((k for k, v in out.items() if v is None and ":" in k), None)):
        raise UserError(f"--set {text}: write a blank after the colon in {joined}")
    return nested(key.strip(), out)


def nested(key: str, value: Any) -> dict[str, Any]:
    """("train.steps", 200) -> {"train": {"steps": 200}}."""
    first, dot, rest = key.partition(".")
    return {first: nested(rest, value) if dot else value}


def load(path: Path, profile: str | None = None, overrides: Iterable[Mapping[str, Any]] = ()) -> Settings:
    """Settings of an experiment file, with its profiles (names joined by commas) and then the overrides laid on top.

    The file lies on the one that it extends, which may extend another. Each profile lies on those before it: where two
    of them say different things, the later one holds.
    """
    files = chain(path)
    layers = [Layer({k: v for k, v in f.data.items() if k not in APART}, f.origin, f.node) for f in files]
    for name in profile.split(",") if profile is not None else ():
        layers += profile_layers(files, name)
    options: dict[str, Any] = {}
    for override in overrides:
        options = merge(options, override)
    layers.append(Layer(options, OPTION))
    data: dict[str, Any] = {}
    for layer in layers:
        data = lay(layer.data, data)
    return _validated(data, layers)


def validate(data: Mapping[str, Any], where: str) -> Settings:
    """Settings from plain data; a UserError lists every wrong key as `where: key: what is wrong`."""
    return _validated(data, [Layer(data, where)])


def _validated(data: Mapping[str, Any], layers: Sequence[Layer]) -> Settings:
    """Settings from the data that all layers make, the uppermost last."""
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        problems: dict[tuple[str, ...], list[Any]] = {}  # a union of types reports once for each of its members
        for e in error.errors():
            problems.setdefault(_keys(data, e), []).append(e)
    raise UserError("\n".join(_said(keys, errors, data, layers) for keys, errors in problems.items()))


def _said(keys: Sequence[str], errors: Sequence[Any], data: Mapping[str, Any], layers: Sequence[Layer]) -> str:
    """`file, line: key: what is wrong`, or `--set key: what is wrong`."""
    what = _explain(errors, data)
    place = _place(keys, what, layers)
    if keys:
        what = f"{'.'.join(keys)}: {what}"
    return f"{place} {what}" if place == OPTION else f"{place}: {what}"


def _explain(errors: Sequence[Any], data: Mapping[str, Any]) -> str:
    if errors[0]["type"] != "extra_forbidden":
        return reasons(errors)
    *above, key = errors[0]["loc"]
    known = _known_keys(data, above) if above else [*_known_keys(data, above), *APART]
    return f"unknown key{hint(str(key), known)}"


def _keys(data: Any, error: Any) -> tuple[str, ...]:
    """The keys of an error as the data has them: pydantic's location also has what a union's members are called."""
    keys: list[str] = []
    for part in error["loc"]:
        if (isinstance(data, Mapping) and part in data) or (isinstance(data, list) and part in range(len(data))):
            data = data[part]
            keys.append(str(part))
    if error["type"] == "missing":
        keys.append(str(error["loc"][-1]))
    return tuple(keys)


def _place(keys: Sequence[str], said: str, layers: Sequence[Layer]) -> str:
    """Where the uppermost layer that has a key has it; a key that is missing is missing in what is around it.

    A check of several keys together names the one that is wrong at the start of what it says.
    """
    named = re.match(r"([\w.+-]+): ", said)
    keys = [*keys, *(named[1].split(".") if named else [])]
    for end in range(len(keys), 0, -1):
        for layer in reversed(layers):
            if layer.says(keys[:end]):
                return layer.place(keys[:end])
    return layers[-1].origin if len(layers) == 1 else layers[-2].origin


def _known_keys(data: Any, location: Sequence[str | int]) -> list[str]:
    """Field names valid at a place in the settings, found by walking the types and the data that they are of.

    Parts that are no field are positions in a list or free names in a mapping.
    """
    sections: list[type[BaseModel]] = [Settings]
    for part in location:
        data = data[part]
        fields = [s.model_fields[str(part)].annotation for s in sections if part in s.model_fields]
        if fields:
            sections = [inner for field in fields for inner in sections_in(field)]
        if isinstance(data, Mapping) and any(issubclass(s, SourceSettings) for s in sections):
            sections = [s for s in sections if s is kind_of(data)]
    return sorted({name for section in sections for name in section.model_fields})


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ, as `train.epochs: 12 -> 3`."""
    out: list[str] = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            out += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            out.append(f"{prefix}{key}: {a} -> {b}")
    return out

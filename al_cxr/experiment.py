"""An experiment file (YAML) and command-line overrides -> validated Settings, or one clear error."""

from __future__ import annotations

import difflib
import functools
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from al_cxr.config import Settings
from al_cxr.errors import UserError

MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error instead of silently winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise UserError(
                    f"{self.name}, line {key_node.start_mark.line + 1}: key {key!r} stands twice; delete one of them"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; UserError with file and line for anything else."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES:,} bytes; is this an experiment file?")
        with open(path, encoding="utf-8") as stream:
            data = yaml.load(stream, Loader=_Loader)  # a SafeLoader
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise UserError(f"{path}: no such experiment file{hint}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; name the YAML file in it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); is this an experiment file?") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: an experiment file is a mapping of keys, not a {type(data).__name__}")
    return data


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
    """`train.steps=200` -> {"train": {"steps": 200}}; the value is YAML."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {text}: write it as section.key=value, e.g. --set train.steps=200")
    try:
        out: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {text}: {value!r} is not a YAML value") from None
    for part in reversed(parts):
        out = {part: out}
    return out


def load(path: Path, profile: str | None = None, overrides: Iterable[Mapping[str, Any]] = ()) -> Settings:
    """Settings of an experiment file, with its profiles (names joined by commas) and then the overrides laid on top.

    Each profile lies on those before it: where two of them say different things, the later one holds.
    """
    data = _extended(path)
    profiles = data.pop("profiles", None) or {}
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise UserError(f"{path}: profiles wants a mapping from a name to settings")
    for name in profile.split(",") if profile is not None else ():
        if name not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise UserError(f"{path}: no profile {name!r}; the file has: {known}")
        data = lay(profiles[name], data)
    return validate(lay(functools.reduce(merge, overrides, {}), data), str(path))


def _extended(path: Path) -> dict[str, Any]:
    """The file laid on the one that its key `extends` names, which lies in the same folder and extends no other."""
    data = read_yaml(path)
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str) or Path(base).name != base:
        raise UserError(f"{path}: extends: {base!r} is no file name; name an experiment file in the same folder")
    under = read_yaml(path.with_name(base))
    if "extends" in under:
        raise UserError(f"{path}: extends: {base} extends another file itself; extend that one")
    return lay(data, under)


def validate(data: Mapping[str, Any], where: str) -> Settings:
    """Settings from plain data; a UserError lists every wrong key as `file: key: what is wrong`."""
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise UserError("\n".join(_explain(where, e) for e in error.errors())) from None


def _explain(where: str, error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    # A union's tag stands in pydantic's location but not in the file.
    keys = [p for i, p in enumerate(location) if not (i > 1 and location[i - 2] == "sources" and not p.isdigit())]
    key = ".".join(keys)
    if error["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(sorted(known))}"
        return f"{where}: {key}: unknown key{hint}"
    if error["type"] == "missing":
        return f"{where}: {key}: missing; add this key"
    message = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, (str, int, float, bool, type(None))) else ""
    return f"{where}: {key}: {message}{shown}" if key else f"{where}: {message}"


def _known_keys(location: list[str]) -> list[str]:
    """Field names valid at a place in the settings, found by walking the types.

    Parts that are no field are positions in a list, free names in a mapping, or the tag of a union, which narrows it.
    """
    kinds: list[type[BaseModel]] = [Settings]
    for part in location:
        fields = [k.model_fields[part].annotation for k in kinds if part in k.model_fields]
        if fields:
            kinds = [m for field in fields for m in _models_in(field)]
        elif tagged := [k for k in kinds if part in typing.get_args(_kind(k))]:
            kinds = tagged
    return sorted({name for kind in kinds for name in kind.model_fields})


def _kind(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return field.annotation if field else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models_in(argument)]


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

"""The layers that an experiment's settings are made of: files that extend each other, their profiles, --set.

A layer knows where it comes from, so that a mistake in it can be said with its file and line.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from al_cxr.config.written import as_written
from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint, nearest

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Layer:
    """Some settings: what they say, and where a reader finds it. `node` is None where there is no file."""

    data: Mapping[str, Any]
    origin: str
    node: yaml.Node | None = None

    def place(self, keys: Sequence[str]) -> str:
        """The origin, with the line of a key where it is known."""
        line = None if self.node is None else _line(self.node, keys)
        return self.origin if line is None else f"{self.origin}, line {line}"

    def says(self, keys: Sequence[str]) -> bool:
        """Whether there is anything at these keys."""
        at: Any = self.data
        for key in keys:
            if isinstance(at, Mapping) and key in at:
                at = at[key]
            elif isinstance(at, list) and key.isdigit() and int(key) < len(at):
                at = at[int(key)]
            else:
                return False
        return True


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that is given twice is an error instead of silently winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in first:
                raise UserError(
                    f"{self.name}, line {line}: the key {key!r} is given twice, first in line {first[key]}; "
                    "delete one of them"
                )
            if isinstance(key, Hashable):
                first[key] = line
        return super().construct_mapping(node, deep)


def read_layer(path: Path) -> Layer:
    """A YAML file that holds a mapping; UserError with file and line for anything else."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES:,} bytes; is this an experiment file?")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.y*ml")])
        meant = f"; did you mean {path.parent / near}?" if near else "; `al-cxr init tb_entropy` makes one to edit"
        raise UserError(f"{path}: no such experiment file{meant}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; name the YAML file in it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); is this an experiment file?") from None
    node, data = _parsed(text, path)
    if not isinstance(data, dict):
        what = "it is empty" if data is None else f"this is {_kind(data)}"
        raise UserError(f"{path}: an experiment file has lines such as `seeds: [0, 1, 2]`, and {what}")
    return Layer(data, str(path), node)


def _parsed(text: str, path: Path) -> tuple[yaml.Node | None, Any]:
    """The nodes of a YAML file, which know their lines, and what they stand for."""
    try:
        loader = _Loader(text)
        loader.name = str(path)
        node = loader.get_single_node()
        as_written(node)
        return node, None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML: nested too deeply") from None
    except ValueError as error:  # a date that is none, which YAML would read as one
        raise UserError(f"{path}: not valid YAML: {error}; put the text in quotes") from None


def chain(path: Path) -> list[Layer]:
    """An experiment file and all that it is laid on: the file that its key `extends` names, the one that this names
    in turn, and so on, the lowest first.

    A file extends one that lies in its own folder. UserError for any other, and where the files go round in a circle.
    """
    layers: list[Layer] = []
    names: list[str] = []
    while True:
        layer = read_layer(path)
        layers.insert(0, layer)
        names.append(path.name)
        base = layer.data.get("extends")
        if base is None:
            return layers
        where = layer.place(["extends"])
        if not isinstance(base, str) or Path(base).name != base or base in ("", ".", ".."):
            raise UserError(f"{where}: extends: {base!r} is not a file name; name a file in the same folder")
        if base in names:
            raise UserError(
                f"{where}: extends: {' -> '.join([*names[names.index(base) :], base])} goes round in a circle; "
                "take one `extends` out"
            )
        path = path.with_name(base)
        if not path.exists():
            others = [p.name for p in path.parent.glob("*.y*ml") if p.name not in names]
            raise UserError(f"{where}: extends: there is no {path}{hint(base, others)}")


def profile(files: Sequence[Layer], name: str) -> list[Layer]:
    """What each of the files, the lowest first, says under `profiles` and a name; null takes away what is below it.

    UserError where none says anything.
    """
    found: list[Layer] = []
    known: dict[str, None] = {}
    for file in files:
        profiles = file.data.get("profiles")
        if profiles is None:
            continue
        if not isinstance(profiles, dict):
            raise UserError(f"{file.place(['profiles'])}: profiles: must have names with settings below them")
        for key, settings in profiles.items():
            if settings is not None and not isinstance(settings, dict):
                raise UserError(f"{file.place(['profiles', str(key)])}: profiles.{key}: must have settings below it")
        known = {k: None for k in [*known, *profiles] if profiles.get(k, {}) is not None}
        if name in profiles:
            settings = profiles[name]
            below = None if file.node is None else _value(file.node, ["profiles", name])
            found = [] if settings is None else [*found, Layer(settings, file.origin, below)]
    if not found:
        raise UserError(f"--profile {name}: {files[-1].origin} has no profile {name!r}{hint(name, map(str, known))}")
    return found


def _value(node: yaml.Node, keys: Sequence[str]) -> yaml.Node | None:
    """The node at some keys. Only that way is walked: a file of references to references may unfold to anything."""
    for key in keys:
        found = _entry(node, key)
        if found is None:
            return None
        node = found[1]
    return node


def _line(node: yaml.Node, keys: Sequence[str]) -> int | None:
    """The line, from 1, of the last of some keys; None where a node has none of them."""
    above = _value(node, keys[:-1])
    found = _entry(above, keys[-1]) if above is not None and keys else None
    return None if found is None else int(found[0].start_mark.line) + 1


def _entry(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """(what stands for the key, its value)."""
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        return node.value[int(key)], node.value[int(key)]
    return None


def _kind(data: object) -> str:
    return "a list" if isinstance(data, list) else f"{str(data)[:40]!r}"

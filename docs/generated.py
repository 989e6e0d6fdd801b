"""The pages of the reference that no person writes: commands, keys, strategies, networks and Python names.

They are made from what the code itself goes by (the parser, the settings' fields, the registries), so they cannot say
anything else than it does.
"""

from __future__ import annotations

import argparse
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import al_cxr
from al_cxr import models, strategies
from al_cxr.cli.parser import parser
from al_cxr.config import Settings
from al_cxr.core.options import defaults
from al_cxr.strategies import stopping


def pages() -> dict[str, str]:
    """Address of a page below docs/ -> its markdown."""
    return {
        "reference/cli.md": command_line(),
        "reference/yaml.md": experiment_file(),
        "reference/strategies.md": strategies_page(),
        "reference/models.md": models_page(),
        "reference/api.md": python_page(),
    }


def command_line() -> str:
    lines = [
        "# Command line",
        "",
        "`al-cxr COMMAND --help` prints what this page says. Options in brackets may be left out.",
    ]
    for name, command, summary in _commands(parser()):
        lines += ["", f"## {name}", "", f"{(command.description or summary).strip()}", ""]
        command.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
        lines += ["```text", command.format_usage().removeprefix("usage: ").strip(), "```", ""]
        rows = [(_shown(action), _help(command, action)) for action in command._actions if action.dest != "help"]
        lines += _table(("argument", "what it does"), rows)
    return "\n".join(lines) + "\n"


def _commands(top: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Every command that takes arguments of its own: its full name, its parser and the line of help about it."""
    for action in top._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, command in action.choices.items():
            inner = list(_commands(command))
            yield from inner or [(command.prog, command, f"{summaries[name].capitalize()}.")]


def _shown(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    if action.choices is not None:
        value = f" {'|'.join(map(str, action.choices))}"
    return f"`{action.option_strings[-1]}{value}`"


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": command.prog}


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
            lines += [inspect.cleandoc(text), ""]
        rows, inner = [], []
        for name, field in section.model_fields.items():
            key = f"{where}.{name}" if where else name
            parts = [(_address(key, part, field.annotation), part) for part in _sections(field.annotation)]
            below = ", ".join(f"[{address}](#{_anchor(address)})" for address, _ in parts)
            meaning = "; ".join(filter(None, (_meaning(field), below and f"see {below}")))
            rows.append((f"`{name}`", _type(field.annotation), _default(field), meaning))
            inner += parts
        lines += _table(("key", "type", "default", "meaning"), rows)
        waiting = inner + waiting
    return "\n".join(lines) + "\n"


def _anchor(address: str) -> str:
    return "key-" + re.sub(r"[^A-Za-z_]+", "-", address)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The parts of the settings that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in typing.get_args(annotation) for found in _sections(argument)]


def _address(key: str, section: type[BaseModel], annotation: Any) -> str:
    """Where in the file a section stands: below its key, below a name of the reader's own, or as a kind."""
    if kind := section.model_fields.get("kind"):
        values = typing.get_args(kind.annotation)
        if len(values) == 1:
            return f"{key}: kind {values[0]}"
    origins = {typing.get_origin(part) for part in (annotation, *typing.get_args(annotation))}
    return f"{key}.NAME" if dict in origins else key


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments)
    if origin in (list, tuple):
        inner = dict.fromkeys(_type(part) for part in arguments if part is not Ellipsis)
        return f"list of {' or '.join(inner)}"
    if origin is dict:
        return f"name → {_type(arguments[1])}"
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
    return _written(value)


def _written(value: Any) -> str:
    """A value as an experiment file writes it."""
    words = {None: "null", True: "true", False: "false", "": '""'}
    return f"`{words.get(value, value) if isinstance(value, (str, bool, type(None))) else value}`"


def _values(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _meaning(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(limit, name, None) is not None
    ]
    return "; ".join(part for part in (field.description or "", " and ".join(bounds)) if part)


def strategies_page() -> str:
    words = {
        "probs": "one prediction",
        "mc": "Monte-Carlo passes",
        "votes": "every single pass",
        "ensemble": "an ensemble",
        "features": "features",
    }
    rows = []
    for name in strategies.names():
        found = strategies.get(name)
        needs = ", ".join(words[need] for need in words if need in found.needs) or "nothing"
        rows.append((f"`{name}`", needs, _first_paragraph(found.function), _options(found.function)))
    rules = [(f"`{name}`", _first_paragraph(rule), _options(rule)) for name, rule in sorted(stopping._REGISTRY.items())]
    lines = [
        "# Strategies and stopping rules",
        "",
        "The names that an arm may give as its `strategy`, and the options that it may set beside it, e.g. "
        "`{strategy: power_entropy, loss: focal, beta: 2}`. Beside them, any working query function of modAL can be "
        "named by its dotted name, e.g. `modAL.uncertainty.margin_sampling`. Entropies are in nats; C is the number of "
        "classes. *Asks for* says what the network has to compute for every image of the pool. Papers and examples "
        'stand in the docstrings: `help(al_cxr.strategies.get("badge").function)`.',
        "",
        *_table(("strategy", "asks for", "what it chooses", "options"), rows),
        "",
        "## Stopping rules",
        "",
        "An arm may end before its budget: `stop: {rule: NAME, options: {...}}`. Rules see validation data and the "
        "pool, never the test set. A page says which seed stopped when, and why; its last model and the labels that it "
        "spent stand for the rounds that follow.",
        "",
        *_table(("rule", "when it stops", "options"), rules),
    ]
    return "\n".join(lines) + "\n"


def models_page() -> str:
    lines = [
        "# Networks",
        "",
        "The names that `model.arch` may give, each with its options (`model.options.NAME` in the experiment file) and "
        "their defaults. Parameters are counted with the defaults, at 224 px, 3 channels and 3 classes. The source "
        "report states about 40 million for its CNN; its own list of layers has 115 million.",
        "",
        *_table(("network", "parameters"), [(f"[`{name}`](#{name})", _parameters(name)) for name in models.names()]),
    ]
    for name in models.names():
        builder = models.base._builders[name]
        hints = _hints(builder)
        rows = [
            (f"`{option}`", _type(hints[option]), _written(default), _described(hints[option]))
            for option, default in defaults(builder).items()
        ]
        lines += ["", f"## {name}", "", _first_paragraph(builder), ""]
        lines += _table(("option", "type", "default", "meaning"), rows)
    return "\n".join(lines) + "\n"


def _parameters(arch: str) -> str:
    known = models.defaults(arch)
    if "name" in known:
        return "those of the model that is named"
    with torch.device("meta"):  # shapes alone: nothing is drawn, loaded or kept
        built = models.build(arch, 3, 3, 224, {"weights": "none"} if "weights" in known else {})
    return f"{models.parameters(built):,}"


def python_page() -> str:
    lines = [
        "# Python",
        "",
        "What `import al_cxr` offers. These names are stable; everything else may move. Nothing of torch is imported "
        "before something needs it.",
    ]
    for name in sorted(al_cxr.__all__, key=str.lower):
        thing = getattr(al_cxr, name)
        if inspect.ismodule(thing):
            lines += ["", f"## {name}", "", _first_paragraph(thing)]
            below = ("    options:", "      heading_level: 3")
            lines += [line for member in thing.__all__ for line in ("", f"::: al_cxr.{name}.{member}", *below)]
        else:
            lines += ["", f"::: al_cxr.{name}"]
    return "\n".join(lines) + "\n"


def _hints(function: Any) -> dict[str, Any]:
    return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)


def _described(annotation: Any) -> str:
    fields = [part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, FieldInfo)]
    return _meaning(fields[0]) if fields else ""


def _options(function: Any) -> str:
    shown = [f"`{name}`" if value is ... else f"`{name}: {value}`" for name, value in defaults(function).items()]
    return ", ".join(shown) or "none"


def _first_paragraph(documented: Any) -> str:
    text = inspect.getdoc(documented) or ""
    return " ".join(text.split("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return ["None."]
    cells = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]

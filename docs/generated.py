"""The pages of the reference that no person writes: commands, keys, strategies, networks and Python names.

They are made from what the code itself goes by (the parser, the settings' fields, the registries), so they cannot say
anything else than it does.
"""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import torch
from griffe import Docstring, DocstringSectionKind
from keys import experiment_file, meaning_of, table, type_of, written
from pydantic.fields import FieldInfo

import al_cxr
from al_cxr import models, strategies
from al_cxr.cli.parser import parser
from al_cxr.core.options import defaults
from al_cxr.strategies import stopping
from al_cxr.training.losses import LOSSES


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
        usage = command.format_usage().replace("usage: ", " " * 7)
        lines += ["```text", textwrap.dedent(usage).strip(), "```", ""]
        rows = [(_shown(action), _help(command, action)) for action in command._actions if action.dest != "help"]
        lines += table(("argument", "what it does"), rows)
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
        chooses = f"{_first_paragraph(found.function)} {_papers(found.function)}"
        rows.append((f"`{name}`", needs, chooses, _options(found.function)))
    rules = [
        (f"`{name}`", _first_paragraph(rule), _options(rule))
        for name, rule in ((name, stopping.RULES.get(name)) for name in stopping.names())
    ]
    losses = [(f"`{name}`", _first_paragraph(LOSSES.get(name)), _options(LOSSES.get(name))) for name in LOSSES.names()]
    lines = [
        "# Strategies, losses and stopping rules",
        "",
        "The names that an arm may give as its `strategy`, and the options that it may set beside it, e.g. "
        "`{strategy: power_entropy, loss: focal, beta: 2}`. Beside them, any working query function of modAL can be "
        "named by its dotted name, e.g. `modAL.uncertainty.margin_sampling`. Entropies are in nats; C is the number of "
        "classes. *Asks for* says what the network has to compute for every image of the pool. Examples stand in "
        'the docstrings: `help(al_cxr.strategies.get("badge").function)`.',
        "",
        *table(("strategy", "asks for", "what it chooses", "options"), rows),
        "",
        "## Losses",
        "",
        "What `losses.NAME.kind` may be. With soft labels y, probabilities p and class weights w those of al-cxr are "
        "one formula, in nats: the sum over the classes of y · w · (1 − p)^gamma · −log p. `weighted` and `focal` with "
        "`alpha: balanced` weight each class inversely to how often it is labelled.",
        "",
        *table(("loss", "what it is", "options"), losses),
        "",
        "## Stopping rules",
        "",
        "An arm may end before its budget: `stop: {rule: NAME, options: {...}}`. Rules see validation data and the "
        "pool, never the test set. A page says which seed stopped when, and why; its last model and the labels that it "
        "spent stand for the rounds that follow.",
        "",
        *table(("rule", "when it stops", "options"), rules),
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
        *table(("network", "parameters"), [(f"[`{name}`](#{name})", _parameters(name)) for name in models.names()]),
    ]
    for name in models.names():
        builder = models.ARCHITECTURES.get(name).builder
        hints, said = _hints(builder), _said_of(builder)
        rows = [
            (f"`{option}`", type_of(hints[option]), written(default), _described(hints[option], said.get(option, "")))
            for option, default in defaults(builder).items()
        ]
        lines += ["", f"## {name}", "", _first_paragraph(builder), ""]
        lines += table(("option", "type", "default", "meaning"), rows)
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


def _described(annotation: Any, said: str) -> str:
    """What an option means: what the docstring says of it, else what its type says, and its range."""
    fields = [part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, FieldInfo)]
    description, bounds = meaning_of(fields[0]) if fields else ("", "")
    return "; ".join(filter(None, (said.rstrip(".") or description, bounds)))


def _said_of(function: Any) -> dict[str, str]:
    """What a docstring says of each parameter."""
    sections = Docstring(inspect.getdoc(function) or "").parse("numpy", warnings=False)
    parameters = [section.value for section in sections if section.kind is DocstringSectionKind.parameters]
    return {p.name: " ".join(p.description.split()) for found in parameters for p in found}


def _options(function: Any) -> str:
    said, shown = _said_of(function), []
    for name, default in defaults(function).items():
        value = f"`{name}`" if default is ... else f"`{name}: {_short(default)}`"
        shown.append(f"{value} {said.get(name, '')}".strip())
    return "<br>".join(shown) or "none"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _papers(documented: Any) -> str:
    """What stands under References in a docstring, on one line."""
    found = re.search(r"^References\n-+\n(.*?)(?=\n\S[^\n]*\n-+\n|\Z)", inspect.getdoc(documented) or "", re.S | re.M)
    return " ".join(found[1].split()) if found else ""


def _first_paragraph(documented: Any) -> str:
    text = inspect.getdoc(documented) or ""
    return " ".join(text.split("\n\n")[0].split())

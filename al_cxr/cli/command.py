"""What a module of this room is: one command, its help, its arguments and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from types import ModuleType


def add_commands(parser: argparse.ArgumentParser, modules: Iterable[ModuleType], metavar: str) -> None:
    """A command for each module, called like the module (`import_` is called import).

    The first paragraph of its docstring is the line in the list of commands, all of it the description.
    `add_arguments(parser)` adds its arguments; `call(options)` does it (a group of commands has none).
    """
    commands = parser.add_subparsers(dest=metavar.lower(), required=True, metavar=metavar)
    for module in modules:
        description = (module.__doc__ or "").strip()
        summary = description.partition("\n\n")[0].replace("\n", " ").rstrip(".")
        command = commands.add_parser(
            module.__name__.rpartition(".")[2].rstrip("_"), help=summary, description=description
        )
        module.add_arguments(command)
        if hasattr(module, "call"):
            command.set_defaults(call=module.call)

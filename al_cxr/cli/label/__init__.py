"""Label an archive with a model that asks: from no labels to a tested model, with people who read."""

from __future__ import annotations

import argparse

from al_cxr.cli.command import add_commands
from al_cxr.cli.label import (
    adjudicate,
    ask,
    export,
    import_,
    model,
    open,
    scan,
    serve,
    simulate,
    start,
    status,
    tell,
    token,
    undo,
    verify,
)

ACTIONS = (
    open,
    start,
    serve,
    scan,
    ask,
    tell,
    undo,
    adjudicate,
    status,
    export,
    import_,
    model,
    simulate,
    token,
    verify,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_commands(parser, ACTIONS, "ACTION")

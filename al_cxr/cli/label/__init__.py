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
    scan,
    simulate,
    start,
    status,
    tell,
    undo,
    verify,
)

ACTIONS = (start, scan, ask, tell, undo, adjudicate, status, export, import_, model, simulate, verify)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_commands(parser, ACTIONS, "ACTION")

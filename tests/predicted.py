"""What tests of predictions share."""

from __future__ import annotations

import csv
from pathlib import Path


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def quietly(done: int) -> None:
    """Nobody is told how far it is."""


class Stopped(Exception):
    """What stops a prediction midway."""

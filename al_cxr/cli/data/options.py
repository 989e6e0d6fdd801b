"""Arguments that the commands about a data set share."""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.options import DATA, add_files_options

SHOWN_SIZE = 224
"""Pixels a side of the images on contact sheets."""


def add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help=DATA)
    add_files_options(parser, patients=True)
    parser.add_argument("--out", type=Path, default=Path("runs/data"), help="folder to write to (default: %(default)s)")

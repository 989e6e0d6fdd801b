"""Write one page over cross-validations of baseline --folds, and over all their networks as one ensemble."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="a run folder without its ending -fold1ofK, for example runs/baseline-transfer",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the page")


def call(options: argparse.Namespace) -> None:
    from al_cxr.api import baseline

    baseline.folds(options.runs, options.out)

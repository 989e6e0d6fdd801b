"""Compare a run's arms with its fully labelled baseline and with random sampling, round by round.

Reads the run's records alone, prints the comparison and writes the report anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.options import add_results_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder, for example runs/tb_entropy")
    add_results_option(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api import reports

    reports.compare(options.run, options.results)

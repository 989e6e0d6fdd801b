"""Write the reports of finished runs again, from their records alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.options import add_results_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run folder, for example runs/tb_entropy")
    add_results_option(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api import reports

    reports.report(options.runs, options.results)

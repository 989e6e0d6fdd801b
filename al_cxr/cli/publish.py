"""Copy what is worth keeping of a run's page to results/published, which is under version control.

That is its text, settings, first figures and a CSV of each table it shows. The table of all published pages,
results/README.md, is written again.
"""

from __future__ import annotations

import argparse

from al_cxr.cli.options import add_results_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run, or the page of one: its folder, or its name below results"
    )
    add_results_option(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api import publishing

    for run in options.runs:
        publishing.publish(run, options.results)

"""Test trained models on another data set, such as another hospital's.

Models that were named from several runs are also tested together, as one ensemble.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.options import DATA, add_files_options, add_goal_options, goal_of, source_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="a bundle, a run folder, or an arm, a seed or a fit inside a run",
    )
    parser.add_argument("--data", required=True, help=f"images with labels: {DATA}")
    add_files_options(parser, patients=True)
    parser.add_argument("--out", type=Path, help="folder of the report (default: RUN/evaluations/DATA)")
    parser.add_argument("--attribution", default="", help="who made the images; printed in the report")
    parser.add_argument("--target", help="class that thresholds and subgroups are about (default: the model's own)")
    add_goal_options(parser)
    parser.add_argument(
        "--prevalence",
        help="shares of ill people among those screened, with commas between them (default: 0.005,0.02,0.1)",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="also test the models adapted to these images without their labels; that may be better or worse",
    )


def call(options: argparse.Namespace) -> None:
    from al_cxr.api.evaluation import evaluate

    evaluate(
        options.runs,
        source_of(options),
        options.out,
        options.attribution,
        options.target,
        goal_of(options),
        options.prevalence,
        options.adapt,
    )

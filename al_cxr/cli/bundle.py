"""Save a trained model as a folder that works without its experiment.

The bundle holds the networks, a calibration, a threshold and a model card. Copy it to where it is used; `al-cxr
predict`, `evaluate`, `adapt` and `explain` open it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from al_cxr.cli.options import add_goal_options, goal_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="a fit, one seed of an arm or baseline, or all its seeds (an ensemble); several become one ensemble",
    )
    parser.add_argument("out", type=Path, help="the new folder")
    add_goal_options(parser)
    parser.add_argument(
        "--coverage",
        type=float,
        default=0.9,
        help="share of the validation images that the model has to answer; from the rest it abstains "
        "(default: %(default)s)",
    )


def call(options: argparse.Namespace) -> None:
    from al_cxr.bundles.bundling import GOAL, assemble
    from al_cxr.bundles.description import terminal_lines
    from al_cxr.bundles.folder import must_be_new, write_bundle
    from al_cxr.bundles.record import CARD

    out = options.out
    must_be_new(out)  # before the work, not after it
    made = assemble(options.models, goal_of(options) or GOAL, options.coverage)
    write_bundle(made, out)
    print("\n".join(terminal_lines(made.record)))
    print(f"bundle    {out}, with its card {out / CARD}")

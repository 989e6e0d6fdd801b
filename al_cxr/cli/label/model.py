"""Save the model of a project as a bundle, with a card that says how it was tested.

`al-cxr predict`, `evaluate`, `adapt` and `explain` open it. It is tested on the audit, from which nothing has learned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import al_cxr
from al_cxr.cli.label.options import add_project
from al_cxr.cli.options import add_goal_options, goal_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("out", type=Path, help="the new folder of the bundle")
    add_goal_options(parser)
    parser.add_argument(
        "--coverage", type=float, default=0.9, help="share of images that it has to answer (default: %(default)s)"
    )


def call(options: argparse.Namespace) -> None:
    from al_cxr.bundles.bundling import GOAL
    from al_cxr.bundles.description import terminal_lines
    from al_cxr.bundles.folder import must_be_new, write_bundle
    from al_cxr.bundles.record import CARD
    from al_cxr.labelling.model import bundle_of

    must_be_new(options.out)  # before the work, not after it
    project = al_cxr.LabellingProject.open(options.project)
    made = bundle_of(project, goal_of(options) or GOAL, options.coverage)
    write_bundle(made, options.out)
    print("\n".join(terminal_lines(made.record)))
    print(f"tested    on {made.record.tested.metrics.n:,} audited images, from which no model has learned")
    print(f"bundle    {options.out}, with its card {options.out / CARD}")
    project.close()

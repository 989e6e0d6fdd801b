"""Train fully labelled models with the experiment's own trainer.

The reference that active learning is compared with; of several architectures also one table of all.
"""

from __future__ import annotations

import argparse

from al_cxr.cli.options import add_experiment_argument, add_settings_options, experiment_of

DEFAULT_EXPERIMENT = "tb_entropy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment_argument(parser, DEFAULT_EXPERIMENT)
    parser.add_argument(
        "--arch",
        help="an architecture, or a variant under baseline.models; several with commas between them; or all "
        "(default: the file's own)",
    )
    parser.add_argument("--folds", type=int, help="cross-validation: test every image once, in this many folds")
    add_settings_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api import baseline

    if options.folds is None:
        baseline.baseline(experiment_of(options), options.arch)
    else:
        baseline.cross_validate(experiment_of(options), options.arch, options.folds)

"""Choose hyper-parameters on validation images, within a stated budget of trials.

The test images are never looked at. The best settings are written as an experiment file.
"""

from __future__ import annotations

import argparse

from al_cxr.cli.options import add_experiment_argument, add_settings_options, experiment_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment_argument(parser, more="; it needs a section search")
    parser.add_argument("--trials", type=int, help="number of settings to try (default: the file's own)")
    parser.add_argument("--seconds", type=float, help="begin no trial after this time, over all starts together")
    add_settings_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api import search

    search.search(experiment_of(options), options.trials, options.seconds)

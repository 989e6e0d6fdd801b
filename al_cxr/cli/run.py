"""Run an active-learning experiment: every arm, every seed, tables and figures.

What an earlier start has finished is not computed again.
"""

from __future__ import annotations

import argparse

from al_cxr.cli.options import add_experiment_argument, add_settings_options, experiment_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment_argument(parser)
    parser.add_argument(
        "--regime", help="use label regimes of the file instead of its budget: names with commas between them, or all"
    )
    parser.add_argument(
        "--plan", action="store_true", help="print what would be done and how long it would take, and stop"
    )
    add_settings_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.api.regimes import compare_regimes, regimes_named

    experiment = experiment_of(options)
    begin = experiment.plan if options.plan else experiment.run
    if options.regime is None:
        begin()
        return
    for regime in regimes_named(experiment, options.regime):
        print(f"regime    {regime}")
        begin(regime)
    if not options.plan and (page := compare_regimes(experiment)):
        print(f"regimes   {page}")

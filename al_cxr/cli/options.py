"""Arguments that several commands share, and what is made of them.

Each function imports what it needs when it is called, so that --help and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import al_cxr
from al_cxr.core.errors import UserError

if TYPE_CHECKING:
    from al_cxr.api.experiment import Experiment
    from al_cxr.data.sources.source import Source
    from al_cxr.evaluation.operating import Goal

DATA = "a folder, a CSV, phantom[:COUNT] or medmnist:FLAG[@FOLDER]"
MODEL = "a bundle, or a run's fit, seed, arm or baseline"
IMAGES = "a folder, searched with all folders below it, or a CSV with a column path"


def add_experiment_argument(parser: argparse.ArgumentParser, default: str | None = None, more: str = "") -> None:
    """The experiment file or its name; with a default it may be left out."""
    parser.add_argument(
        "experiment",
        nargs="?" if default else None,
        default=default,
        help="an experiment file (YAML), or a name such as tb_entropy: its file is looked for in this folder, in "
        f"experiments/ and among those that come with al-cxr{more}" + (" (default: %(default)s)" if default else ""),
    )


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Of a command that reads an experiment file: its data, profiles, overrides, name and folders."""
    parser.add_argument("--data", help=f"use this data instead of the experiment file's: {DATA}")
    add_files_options(parser, patients=True)
    parser.add_argument(
        "--profile",
        help="apply a profile of the experiment file, for example paper; of several (a,b) each changes those before it",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, for example train.steps=200; may be repeated",
    )
    parser.add_argument("--name", help="name of the run folder (default: made from the file, --profile and --data)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: %(default)s)")
    add_results_option(parser)


def add_results_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the reports (default: %(default)s)"
    )


def add_files_options(parser: argparse.ArgumentParser, patients: bool = False) -> None:
    """Where the files of a data set may lie, and with `patients` what folders inside class folders are."""
    parser.add_argument(
        "--root", type=Path, help="folder that the paths in a CSV start from (default: the CSV's own folder)"
    )
    parser.add_argument(
        "--follow-links",
        action="store_true",
        help="also read symbolic links that lead out of the folder, as DVC and git-annex make them",
    )
    if patients:
        parser.add_argument(
            "--patient-folders",
            action="store_true",
            help="each class folder holds one folder for each patient, named by the patient's id",
        )


def add_goal_options(parser: argparse.ArgumentParser) -> None:
    """What the threshold on the target's probability has to reach on validation images."""
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument(
        "--sensitivity",
        type=float,
        help="choose the threshold that finds this share of the target class (default: 0.9)",
    )
    goal.add_argument(
        "--specificity", type=float, help="choose the threshold that clears this share of all other images"
    )
    goal.add_argument("--best", choices=("f1", "accuracy"), help="choose the threshold where this figure is highest")


def experiment_of(options: argparse.Namespace) -> Experiment:
    """The experiment that was asked for."""
    if options.data is None and (options.root or options.follow_links or options.patient_folders):
        raise UserError(
            "--root, --follow-links and --patient-folders go with --data; in an experiment file they stand "
            "under data.sources as root, follow_links and patient_folders"
        )
    experiment = al_cxr.Experiment.from_yaml(
        options.experiment,
        options.set,
        profile=options.profile,
        data=None if options.data is None else source_of(options),
        name=options.name,
        runs=options.runs,
        results=options.results,
    )
    if str(experiment.file) != options.experiment:
        print(f"file      {experiment.file}")
    return experiment


def source_of(options: argparse.Namespace) -> Source:
    """The data set that was named."""
    from al_cxr.data.sources.named import named_source, with_options

    return with_options(named_source(options.data), options.root, options.follow_links, options.patient_folders)


def goal_of(options: argparse.Namespace) -> Goal | None:
    """What the threshold was asked to reach; None where nothing was asked."""
    from al_cxr.evaluation.operating import Goal

    if options.best is not None:
        return Goal(options.best)
    kinds: tuple[Literal["sensitivity"], Literal["specificity"]] = ("sensitivity", "specificity")
    for kind in kinds:
        value = getattr(options, kind)
        if value is not None:
            try:
                return Goal(kind, value)
            except ValueError as error:
                raise UserError(f"--{kind} {value:g}: {error}") from None
    return None

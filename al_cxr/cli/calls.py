"""From what was typed to the command that does it.

Each imports what it needs when it is called, so that --help and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from al_cxr.config import Source
    from al_cxr.evaluation.operating import Goal


def run(options: argparse.Namespace) -> None:
    from al_cxr.cli import experiments

    experiments.run(_request(options), plan_only=options.plan)


def baseline(options: argparse.Namespace) -> None:
    from al_cxr.cli import baseline

    if options.folds is None:
        baseline.baseline(_request(options), options.arch)
    else:
        baseline.cross_validate(_request(options), options.arch, options.folds)


def folds(options: argparse.Namespace) -> None:
    from al_cxr.cli import baseline

    baseline.folds(options.runs, options.out)


def search(options: argparse.Namespace) -> None:
    from al_cxr.cli import search

    search.search(_request(options), options.trials, options.seconds)


def compare(options: argparse.Namespace) -> None:
    from al_cxr.cli import experiments

    experiments.compare(options.run, options.results)


def report(options: argparse.Namespace) -> None:
    from al_cxr.cli import experiments

    experiments.report(options.runs, options.results)


def evaluate(options: argparse.Namespace) -> None:
    from al_cxr.cli.evaluate import evaluate

    o = options
    asked = any(value is not None for value in (o.best, o.sensitivity, o.specificity))
    goal = _goal(o) if asked else None
    evaluate(o.runs, _source(o), o.out, o.attribution, o.target, goal, o.prevalence, o.adapt)


def bundle(options: argparse.Namespace) -> None:
    from al_cxr.cli import models

    models.bundle(options.models, options.out, _goal(options), options.coverage)


def adapt(options: argparse.Namespace) -> None:
    from al_cxr.cli import models

    models.adapt(options.model, options.images, options.out, options.root, options.follow_links)


def predict(options: argparse.Namespace) -> None:
    from al_cxr.cli import models

    models.predict(options.model, options.images, options.out, options.root, options.follow_links)


def explain(options: argparse.Namespace) -> None:
    from al_cxr.cli import models

    models.explain(options.model, options.images, options.out, options.label)


def audit(options: argparse.Namespace) -> None:
    from al_cxr.cli import data

    data.audit(_source(options), options.out)


def show(options: argparse.Namespace) -> None:
    from al_cxr.cli import data

    o = options
    data.show(_source(o), o.per_class, o.seed, o.split, o.label, o.out)


def fetch(options: argparse.Namespace) -> None:
    from al_cxr.cli import data

    data.fetch(options.what, options.out, options.size)


def _request(options: argparse.Namespace) -> Any:
    from al_cxr.cli.experiments import Request
    from al_cxr.core.errors import UserError

    if options.data is None and (options.root or options.follow_links or options.patient_folders):
        raise UserError(
            "--root, --follow-links and --patient-folders go with --data; in an experiment file they stand "
            "under data.sources as root, follow_links and patient_folders"
        )
    return Request(
        experiment=options.experiment,
        data=None if options.data is None else _source(options),
        profile=options.profile,
        overrides=tuple(options.set),
        name=options.name,
        runs=options.runs,
        results=options.results,
        regime=getattr(options, "regime", None),
    )


def _source(options: argparse.Namespace) -> Source:
    from al_cxr.data.sources import registry as sources

    return sources.parse(options.data, options.root, options.follow_links, options.patient_folders)


def _goal(options: argparse.Namespace) -> Goal:
    """What the threshold was asked to reach."""
    from al_cxr.core.errors import UserError
    from al_cxr.evaluation.operating import Goal

    if options.best is not None:
        return Goal(options.best)
    kind: Literal["sensitivity", "specificity"] = "sensitivity" if options.specificity is None else "specificity"
    value = getattr(options, kind)
    try:
        return Goal() if value is None else Goal(kind, value)
    except ValueError as error:
        raise UserError(f"--{kind} {value:g}: {error}") from None

"""What `al-cxr baseline` does: fully labelled models of one trainer, one run folder each, and one page of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from al_cxr import models
from al_cxr.api.experiment import Experiment
from al_cxr.api.opening import load_and_describe, open_run, radiographs_of, report_folder
from al_cxr.api.reports import say_pages
from al_cxr.comparison.baselines import RECORD, BaselinesRecord
from al_cxr.comparison.cross_validation import fold_folders
from al_cxr.config import Settings
from al_cxr.core import provenance
from al_cxr.core.errors import Unavailable, UserError
from al_cxr.core.nearest import hint
from al_cxr.core.outputs import must_be_about
from al_cxr.core.progress import Working
from al_cxr.core.records import read, write
from al_cxr.data.dataset import Dataset
from al_cxr.experiment import sweep
from al_cxr.experiment.assembly import build_model
from al_cxr.experiment.run_folder import note_commit
from al_cxr.report.baseline import write_baseline_report
from al_cxr.report.folds import write_folds_report


def baseline(experiment: Experiment, archs: str | None) -> None:
    """`al-cxr baseline`: fully labelled models of one or more architectures or variants, and the page of all models.

    A model that lacks something here is listed with what to fetch. UserError where it is the only one asked for.
    """
    settings = experiment.settings
    asked = _asked(experiment, archs)
    known = {*asked, *_all(settings)}
    run = f"baseline-{experiment.name}"
    folder, results = experiment.runs / run, report_folder(experiment.results / run, experiment.file)
    dataset = load_and_describe(settings)
    unavailable = _unavailable(settings, asked, dataset)
    for name in (name for name in asked if name not in unavailable):
        workspace = open_run(f"{run}-{name}", settings.of_model(name), dataset, folder / name)
        must_be_about(results, workspace.data_card.fingerprint, provenance.command())
        record = BaselinesRecord(name=run, unavailable=unavailable, published=settings.baseline.published)
        _note(folder, record, known - {*asked})
        if (estimate := sweep.announce(workspace, print)) is not None:
            note_commit(workspace.folder)
            sweep.run_all(workspace, print, estimate)
    with Working("writing the report"):
        page = write_baseline_report(folder, results, radiographs_of(workspace))
    say_pages(page, folder)


def cross_validate(experiment: Experiment, archs: str | None, folds: int) -> None:
    """`al-cxr baseline --folds K`: the same with K test sets that together hold every image, and a page over all."""
    if folds < 2:
        raise UserError(f"--folds {folds}: must be 2 or more")
    run = f"baseline-{experiment.name}"
    results = experiment.results / f"{run}-{folds}folds"
    done = []
    for fold in range(folds):
        print(f"fold      {fold + 1} of {folds}")
        ending = f"fold{fold + 1}of{folds}"
        dealt = {"data": {"folds": folds, "fold": fold}}
        of_fold = replace(
            experiment,
            name=f"{experiment.name}-{ending}",
            overrides=(*experiment.overrides, dealt),
            results=results,
        )
        baseline(of_fold, archs)
        done.append(experiment.runs / f"{run}-{ending}")
    print(f"folds     {write_folds_report([done], results)}")


def folds(runs: Sequence[Path], out: Path) -> None:
    """`al-cxr folds`: one page over cross-validations of the same images, and over all their networks as one."""
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError(f"{', '.join(map(str, runs))}: the same cross-validation is named twice; name each once")
    print(f"folds     {write_folds_report([fold_folders(run) for run in runs], out)}")


def _asked(experiment: Experiment, archs: str | None) -> list[str]:
    """The models that were asked for; UserError for a name that is none, here or in the experiment's own tables."""
    settings = experiment.settings
    variants, known = settings.baseline.models, models.names()
    for name, variant in variants.items():
        if name in known:
            raise UserError(f"{experiment.file}: baseline.models.{name}: an architecture has this name; choose another")
        if variant.arch not in known:
            where = f"{experiment.file}: baseline.models.{name}.arch"
            raise UserError(f"{where}: no architecture {variant.arch!r}{hint(variant.arch, known)}")
    every = sorted([*known, *variants])
    for column, publication in settings.baseline.published.items():
        for name in publication.models:
            if name not in every:
                where = f"{experiment.file}: baseline.published.{column}.models.{name}"
                raise UserError(
                    f"{where}: no architecture or variant under baseline.models has this name{hint(name, every)}"
                )
    if archs == "all":
        return _all(settings)
    asked = [name.strip() for name in (settings.model.arch if archs is None else archs).split(",")]
    for name in asked:
        if name not in every:
            raise UserError(
                f"--arch {name}: no architecture or variant under baseline.models has this name{hint(name, every)}"
            )
    return list(dict.fromkeys(asked))


def _all(settings: Settings) -> list[str]:
    """Every architecture and variant but those whose option `name` is left empty: which network would it be?"""
    names = sorted({*models.names(), *settings.baseline.models})
    chosen = {name: settings.of_model(name).model for name in names}
    return [n for n in names if {**models.defaults(chosen[n].arch), **chosen[n].arguments()}.get("name") != ""]


def _unavailable(settings: Settings, asked: list[str], dataset: Dataset) -> dict[str, str]:
    """Models that lack something here, and what.

    Each is built once before the first is trained, so that a mistake in the last one's settings does not wait for
    hours. UserError if none is left.
    """
    found: dict[str, str] = {}
    for name in asked:
        try:
            _build(settings, name, dataset)
        except Unavailable as error:
            if len(asked) == 1:
                raise
            found[name] = str(error)
            print(f"without   {name}: {error}")
    if len(found) == len(asked):
        raise UserError("none of these models can be built here:\n" + "\n".join(f"  {why}" for why in found.values()))
    return found


def _build(settings: Settings, name: str, dataset: Dataset) -> None:
    """Build a model once; UserErrors name the key that a variant's options have in the experiment file."""
    own = settings.of_model(name)
    try:
        build_model(own, dataset, 0)
    except UserError as error:
        if name not in settings.baseline.models:
            raise
        text = str(error).replace(f"model.options.{own.model.arch}.", f"baseline.models.{name}.options.")
        raise type(error)(text) from None


def _note(folder: Path, record: BaselinesRecord, others: set[str]) -> None:
    """Write what the models' own records do not say; what is known of `others`, which were not asked for, stays."""
    path = folder / RECORD
    before = read(path, BaselinesRecord).unavailable if path.exists() else {}
    kept = {name: why for name, why in before.items() if name in others}
    both = dict(sorted((kept | record.unavailable).items()))
    write(path, record.model_copy(update={"unavailable": both}))

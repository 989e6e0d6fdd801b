"""What each experiment command does, in the order a person reads it on the screen."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr import models, strategies
from al_cxr.api.reports import say_pages
from al_cxr.bundles.explanations import explainer
from al_cxr.comparison.finished import load as load_finished
from al_cxr.config import Arm, FolderSource, ManifestSource, MedmnistSource, Settings, Source, Stop
from al_cxr.config import files as experiment
from al_cxr.core import provenance
from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.core.outputs import must_be_about, must_be_free
from al_cxr.core.progress import Working
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.sources import registry as sources
from al_cxr.data.store import PixelStore, default_cache
from al_cxr.experiment import sweep
from al_cxr.experiment.assembly import build_model, features_missing
from al_cxr.experiment.workspace import Workspace, note_commit, open_workspace
from al_cxr.report.experiment import write_report
from al_cxr.report.kit.page import PAGE
from al_cxr.report.regimes import write_regimes
from al_cxr.report.terminal import comparison_text
from al_cxr.strategies import stopping
from al_cxr.strategies.pool import seed_size
from al_cxr.training.length import uneven


@dataclass(frozen=True)
class Request:
    """The options that `run` and `baseline` share, as given on the command line."""

    experiment: Path
    data: Source | None
    profile: str | None
    overrides: tuple[str, ...]
    name: str | None
    runs: Path
    results: Path
    regime: str | None = None
    """Label regimes, with commas between them, or "all"; None for the experiment's own budget."""

    def settings(self, *more: dict[str, object]) -> Settings:
        over = [experiment.parse_override(text) for text in self.overrides]
        if self.data is not None:
            over.append({"data": {"sources": [self.data.model_dump()]}})
        return experiment.load(self.experiment, self.profile, [*over, *more])

    def results_of(self, name: str) -> Path:
        """The folder of a page; UserError where it holds a page that is not al-cxr's, or the experiment file."""
        folder = self.results / name
        must_be_free(folder, (*PAGE, "settings.yaml", "environment.json"), [self.experiment])
        return folder

    def run_name(self, *prefix: str) -> str:
        """The run folder's name: given, or made of the experiment file, the profiles and the data set."""
        if self.name is not None:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.name):
                raise UserError(f"--name {self.name}: letters, digits and . _ + - only; it becomes a folder")
            return "-".join([*prefix, self.name])
        profile = (self.profile or "").replace(",", "-")
        data = _short(self.data) if self.data else ""
        return "-".join(part for part in (*prefix, self.experiment.stem, profile, data) if part)


def run(request: Request, plan_only: bool = False) -> None:
    """`al-cxr run`: every arm and seed of an experiment, in each label regime that is asked for, then its report."""
    settings = request.settings()
    _check_arms(request.experiment, settings.arms, settings.stop)
    regimes = _regimes(request, settings)
    if not regimes:
        _run(request, settings, "", plan_only)
        return
    for regime in regimes:
        print(f"regime    {regime}")
        _run(request, settings.in_regime(regime), regime, plan_only)
    folder = request.runs / request.run_name()
    begun = [folder / regime for regime in settings.regimes if (folder / regime / "experiment.json").exists()]
    if len(begun) > 1 and not plan_only:
        page = write_regimes([load_finished(path) for path in begun], request.results / folder.name)
        print(f"regimes   {page}")


def _check_arms(path: Path, arms: Mapping[str, Arm], stop: Stop) -> None:
    """UserError unless there are arms, their strategies and the stopping rule are known, and each loss has an arm that
    samples at random."""
    if not arms:
        raise UserError(
            f"{path}: arms: there are none, so there is nothing to compare; add one for each strategy, e.g. "
            "random: {strategy: random, loss: cross_entropy}, or train one fully labelled model with `al-cxr baseline`"
        )
    for loss in dict.fromkeys(arm.loss for arm in arms.values()):
        of_loss = {name: arm.strategy for name, arm in arms.items() if arm.loss == loss}
        if "random" not in of_loss.values():
            raise UserError(
                f"{path}: arms: no arm samples at random with the loss {loss}, so no gain of {', '.join(of_loss)} "
                f"could be told from chance; add one, e.g. {loss}-random: {{strategy: random, loss: {loss}}}"
            )
    stopping.check(stop.rule, dict(stop.options))
    for name, arm in arms.items():
        try:
            strategies.get(arm.strategy)
        except UserError as error:
            raise UserError(f"{path}: arms.{name}.strategy: {error}") from None


def _regimes(request: Request, settings: Settings) -> list[str]:
    """The regimes that were asked for; none for the experiment's own budget."""
    if request.regime is None:
        return []
    asked = list(settings.regimes) if request.regime == "all" else [r.strip() for r in request.regime.split(",")]
    for name in asked or [request.regime]:
        if name not in settings.regimes:
            raise UserError(f"--regime {name}: {request.experiment} has no such regime{hint(name, settings.regimes)}")
    return list(dict.fromkeys(asked))


def _run(request: Request, settings: Settings, regime: str, plan_only: bool) -> None:
    """One budget of an experiment: what is missing of it, and its report."""
    name = request.run_name()
    results = request.results_of(f"{name}/{regime}")
    dataset = load_data(settings)
    if plan_only and (count := _features_missing(settings, dataset)):
        print(f"to do     features of {count:,} images and varied copies first; with them the rest can be planned")
        return
    workspace = open_run(name, settings, dataset, request.runs / name / regime, regime)
    must_be_about(results, workspace.card.fingerprint, provenance.command())
    many = len(workspace.train_index)
    if settings.arms and (said := uneven(settings.train, seed_size(settings.budget, many), many)):
        print(f"warning   {said}")
    estimate = sweep.announce(workspace, print)
    if plan_only:
        return
    if estimate is not None:
        note_commit(workspace)
        sweep.run_all(workspace, print, estimate)
    else:
        print("finished  every run was there already; only the report is written anew")
    labels_N = workspace.dataset.labels_N
    explain = explainer(workspace.store.pixels, workspace.runtime)
    with Working("writing the report"):
        images = pixels_of(workspace), labels_N, named(workspace)
        page = write_report(workspace.folder, results, *images, explain=explain)
        said = comparison_text(load_finished(workspace.folder))
    print(said)
    say_pages(page, workspace.folder)


def _features_missing(settings: Settings, dataset: Dataset) -> int:
    """How many features of a frozen backbone are not in the cache: to compute them is no planning."""
    if settings.model.tune != "frozen":
        return 0
    build_model(settings, dataset, 0)  # says what is wrong with the settings
    cache = Path(settings.machine.cache) if settings.machine.cache else default_cache()
    store = PixelStore.open(dataset.images, settings.data.image_size, cache, settings.machine.workers)
    return features_missing(settings, dataset, store)


def load_data(settings: Settings) -> Dataset:
    """The data set, of which a reader of the terminal is told first."""
    dataset = sources.load(settings.data)
    size = settings.data.image_size
    counts = [f"{split} {len(dataset.indices(split)):,}" for split in SPLITS]
    classes = [f"{c} {int((dataset.labels_N == i).sum()):,}" for i, c in enumerate(dataset.classes)]
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {size} × {size} pixels")
    print(f"          {' · '.join(counts)} — {' · '.join(classes)}")
    for note in dataset.notes:
        print(f"warning   {note}")
    return dataset


def open_run(name: str, settings: Settings, dataset: Dataset, folder: Path, regime: str = "") -> Workspace:
    """The workspace of a run, and the model, machine and folder on the terminal."""
    with Working("opening the run"):  # on a new machine the precision is measured
        workspace = open_workspace(name, settings, dataset, folder, provenance.command(), regime)
    for note in workspace.dataset.notes:
        if note not in dataset.notes:  # found when the pixels were opened
            print(f"warning   {note}")
    given = ", ".join(f"{k} {v}" for k, v in settings.model.arguments().items())
    parameters = models.parameters(workspace.build_model(0))
    print(f"model     {settings.model.arch}{f' ({given})' if given else ''} · {parameters:,} parameters")
    print(f"machine   {workspace.runtime.describe()}")
    print(f"folder    {workspace.folder}", flush=True)
    return workspace


def _short(source: Source) -> str:
    match source:
        case ManifestSource() | FolderSource():
            path = Path(os.path.abspath(source.path))  # of "." the folder's own name
            return path.stem if isinstance(source, ManifestSource) else path.name
        case MedmnistSource():
            return source.flag
    return source.kind


def pixels_of(workspace: Workspace) -> Callable[[np.ndarray], np.ndarray]:
    return lambda index: np.asarray(workspace.store.pixels[index])


def named(workspace: Workspace) -> Callable[[np.ndarray], list[str]]:
    return lambda index: [workspace.dataset.images.name(int(i)) for i in index]

"""What each experiment command does, in the order a person reads it on the screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr import experiment, models, provenance, strategies, sweep
from al_cxr.compare import load as load_finished
from al_cxr.config import FolderSource, ManifestSource, MedmnistSource, Settings, Source
from al_cxr.data import sources
from al_cxr.data.dataset import SPLITS
from al_cxr.errors import UserError
from al_cxr.report.baseline import write_baseline_report
from al_cxr.report.experiment import write_report
from al_cxr.report.terminal import comparison_text
from al_cxr.workspace import Workspace, note_commit, open_workspace


@dataclass(frozen=True)
class Request:
    """The options that `run` and `baseline` share, as given on the command line."""

    experiment: Path
    data: str | None
    profile: str | None
    overrides: tuple[str, ...]
    name: str | None
    runs: Path
    results: Path

    def settings(self, *more: dict[str, object]) -> Settings:
        over = [experiment.parse_override(text) for text in self.overrides]
        if self.data is not None:
            over.append({"data": {"sources": [sources.parse(self.data).model_dump()]}})
        return experiment.load(self.experiment, self.profile, [*over, *more])

    def run_name(self, *prefix: str) -> str:
        """The run folder's name: given, or made of the experiment file, the profile and the data set."""
        if self.name is not None:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.name):
                raise UserError(f"--name {self.name}: letters, digits and . _ + - only; it becomes a folder")
            return "-".join([self.name, *prefix[1:]])
        data = _short(sources.parse(self.data)) if self.data else ""
        return "-".join(part for part in (*prefix, self.experiment.stem, self.profile or "", data) if part)


def run(request: Request, plan_only: bool = False) -> None:
    """`al-cxr run`: every arm and seed of an experiment, then its report."""
    settings = request.settings()
    if not settings.arms:
        raise UserError(f"{request.experiment}: arms: an experiment wants arms; `al-cxr baseline` does without")
    if all(arm.strategy != "random" for arm in settings.arms.values()):
        raise UserError(
            f"{request.experiment}: arms: no arm samples at random, so no gain could be told from chance; "
            "add one, e.g. focal-random: {strategy: random, loss: focal}"
        )
    for name, arm in settings.arms.items():
        try:
            strategies.get(arm.strategy)
        except UserError as error:
            raise UserError(f"{request.experiment}: arms.{name}.strategy: {error}") from None
    workspace = _open(request, settings, request.run_name())
    todo = sweep.announce(workspace, print)
    if plan_only:
        return
    if todo:
        note_commit(workspace)
        sweep.run_all(workspace, print)
    else:
        print("finished  every run was there already; only the report is written anew")
    labels_N, results = workspace.dataset.labels_N, request.results / workspace.name
    page = write_report(workspace.folder, results, _pixels(workspace), labels_N, _names(workspace))
    print(comparison_text(load_finished(workspace.folder)))
    print(f"report    {page}")


def baseline(request: Request, archs: str | None) -> None:
    """`al-cxr baseline`: fully labelled models of one or more architectures, one report."""
    given = request.settings().model.arch if archs is None else archs
    names = models.names() if given == "all" else [a.strip() for a in given.split(",")]
    folders, workspace = [], None
    for arch in names:
        settings = request.settings({"model": {"arch": arch}}).model_copy(update={"arms": {}})
        workspace = _open(request, settings, request.run_name("baseline", arch))
        if sweep.announce(workspace, print):
            note_commit(workspace)
        sweep.run_jobs(workspace, [sweep.Job("baseline", "", seed) for seed in settings.seeds], print)
        folders.append(workspace.folder)
    assert workspace is not None
    together = request.run_name("baseline", given.replace(",", "+"))
    page = write_baseline_report(
        folders, request.results / together, _pixels(workspace), workspace.dataset.labels_N, _names(workspace)
    )
    print(f"report    {page}")


def compare(folder: Path, results: Path) -> None:
    """`al-cxr compare`: every round against the baseline and against random, from the records alone."""
    finished = load_finished(folder)
    print(comparison_text(finished))
    print(f"report    {write_report(folder, results / finished.experiment.name)}")


def _open(request: Request, settings: Settings, name: str) -> Workspace:
    """Load the data and say so first, then everything else that a reader of the terminal wants to know."""
    dataset = sources.load(settings.data)
    size = settings.data.image_size
    counts = [f"{split} {len(dataset.indices(split)):,}" for split in SPLITS]
    classes = [f"{c} {int((dataset.labels_N == i).sum()):,}" for i, c in enumerate(dataset.classes)]
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {size} × {size} pixels")
    print(f"          {' · '.join(counts)} — {' · '.join(classes)}")
    for note in dataset.notes:
        print(f"warning   {note}")
    workspace = open_workspace(name, settings, dataset, request.runs / name, provenance.command())
    given = ", ".join(f"{k} {v}" for k, v in settings.model.arguments().items())
    parameters = models.parameters(workspace.build_model(0))
    print(f"model     {settings.model.arch}{f' ({given})' if given else ''} · {parameters:,} parameters")
    print(f"machine   {workspace.runtime.describe()}")
    print(f"folder    {workspace.folder}", flush=True)
    return workspace


def _short(source: Source) -> str:
    match source:
        case ManifestSource() | FolderSource():
            return Path(source.path).stem
        case MedmnistSource():
            return source.flag
    return source.kind


def _pixels(workspace: Workspace) -> Callable[[np.ndarray], np.ndarray]:
    return lambda index: np.asarray(workspace.store.pixels[index])


def _names(workspace: Workspace) -> Callable[[np.ndarray], list[str]]:
    return lambda index: [workspace.dataset.images.name(int(i)) for i in index]

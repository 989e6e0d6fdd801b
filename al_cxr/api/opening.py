"""Opening the data and the run of an experiment with a person at the screen, who reads what was found in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from al_cxr import models, strategies
from al_cxr.bundles.explanations import explainer
from al_cxr.config import Settings
from al_cxr.core import provenance
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_free
from al_cxr.core.progress import Working
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.experiment.assembly import build_model, features_missing
from al_cxr.experiment.opening import begin_run, check_run, choose_runtime, load_dataset, open_store
from al_cxr.experiment.run_folder import noted_runtime
from al_cxr.experiment.workspace import Workspace
from al_cxr.report.fits import Radiographs
from al_cxr.report.kit.page import PAGE
from al_cxr.strategies import stopping
from al_cxr.training import losses


def check_arms(file: Path, settings: Settings) -> None:
    """UserError unless there are arms that can be run and compared.

    All losses, strategies and the stopping rule are known with their options, and each loss has an arm that samples at
    random.
    """
    arms = settings.arms
    if not arms:
        raise UserError(
            f"{file}: arms: there are none, so there is nothing to compare; add one for each strategy, e.g. "
            "random: {strategy: random, loss: cross_entropy}, or train one fully labelled model with `al-cxr baseline`"
        )
    for loss in dict.fromkeys(arm.loss for arm in arms.values()):
        of_loss = {name: arm.strategy for name, arm in arms.items() if arm.loss == loss}
        if "random" not in of_loss.values():
            raise UserError(
                f"{file}: arms: no arm samples at random with the loss {loss}, so no gain of {', '.join(of_loss)} "
                f"could be told from chance; add one, e.g. {loss}-random: {{strategy: random, loss: {loss}}}"
            )
    for name, loss_settings in settings.losses.items():
        losses.check(loss_settings, f"{file}: losses.{name}")
    stopping.check(settings.stop.rule, settings.stop.options, f"{file}: stop")
    for name, arm in arms.items():
        strategies.get(arm.strategy, arm.options, f"{file}: arms.{name}")


def report_folder(folder: Path, file: Path) -> Path:
    """The folder of a report; UserError where it holds a page that al-cxr did not write, or the experiment file."""
    must_be_free(folder, (*PAGE, "settings.yaml", "environment.json"), [file])
    return folder


def load_and_describe(settings: Settings) -> Dataset:
    """The data set; its size, its splits and its warnings are printed."""
    dataset = load_dataset(settings)
    size = settings.data.image_size
    counts = [f"{split} {len(dataset.indices(split)):,}" for split in SPLITS]
    classes = [f"{c} {int((dataset.labels_N == i).sum()):,}" for i, c in enumerate(dataset.classes)]
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {size} × {size} pixels")
    print(f"          {' · '.join(counts)} — {' · '.join(classes)}")
    for note in dataset.notes:
        print(f"warning   {note}")
    return dataset


def missing_features(settings: Settings, dataset: Dataset) -> int:
    """How many features of a frozen backbone are not in the cache: to compute them is no planning."""
    if settings.model.tune != "frozen":
        return 0
    build_model(settings, dataset, 0)  # says what is wrong with the settings
    return features_missing(settings, dataset, open_store(settings, dataset))


def begin(name: str, settings: Settings, dataset: Dataset, folder: Path, regime: str = "") -> Workspace:
    """Check a run, choose the machine's precision where that was not done yet, and begin it, or go on with it."""
    with Working("opening the run"):
        checked = check_run(name, settings, dataset, folder, provenance.command(), regime)
    runtime = noted_runtime(folder) or choose_runtime(checked, print)
    with Working("opening the run"):
        return begin_run(checked, runtime)


def open_run(name: str, settings: Settings, dataset: Dataset, folder: Path, regime: str = "") -> Workspace:
    """The workspace of a run; its model, machine and folder are printed."""
    workspace = begin(name, settings, dataset, folder, regime)
    for note in workspace.dataset.notes:
        if note not in dataset.notes:  # found when the pixels were opened
            print(f"warning   {note}")
    given = ", ".join(f"{k} {v}" for k, v in settings.model.arguments().items())
    parameters = models.parameters(workspace.build_model(0))
    print(f"model     {settings.model.arch}{f' ({given})' if given else ''} · {parameters:,} parameters")
    print(f"machine   {workspace.runtime.describe()}")
    print(f"folder    {workspace.folder}", flush=True)
    return workspace


def radiographs_of(workspace: Workspace) -> Radiographs:
    """What a report needs to show a run's images, and what its models used of them."""

    def pixels(index_M: np.ndarray) -> np.ndarray:
        return np.asarray(workspace.store.pixels[index_M])

    def names(index_M: np.ndarray) -> list[str]:
        return [workspace.dataset.images.name(int(i)) for i in index_M]

    return Radiographs(workspace.dataset.labels_N, pixels, names, explainer(workspace.store.pixels, workspace.runtime))

"""From the fits of an experiment to a bundle: everything that is chosen, chosen on validation, then tested once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundle_records import Abstention, BundleRecord, Decision, Interval, Tested
from al_cxr.comparison.images import read_images
from al_cxr.config import DataSettings
from al_cxr.data import sources
from al_cxr.errors import UserError
from al_cxr.evaluate import find_models
from al_cxr.fits import Fit
from al_cxr.metrics import measure
from al_cxr.records import ExperimentRecord, read
from al_cxr.runtime import Runtime
from al_cxr.sampling.operators import NoRandomSite
from al_cxr.sampling.stochastic import find_sites
from al_cxr.seen import of_run
from al_cxr.trust.calibration import calibration, fit_temperature, heated
from al_cxr.trust.ensemble import mean_probs
from al_cxr.trust.intervals import Statistics, bootstrap, clopper_pearson
from al_cxr.trust.operating import Goal, choose

GOAL = Goal("sensitivity", 0.90)
COVERAGE = 0.90


@dataclass(frozen=True, eq=False)
class Split:
    """The ensemble's uncalibrated probabilities of a split, its labels, and whose images they are (None: unknown)."""

    probs_NC: np.ndarray
    labels_N: np.ndarray
    patients_N: np.ndarray | None


def assemble(path: Path, runtime: Runtime, goal: Goal = GOAL, coverage: float = COVERAGE) -> Bundle:
    """The bundle of a fit, of one arm's seed, or of several seeds of an arm or baseline (an ensemble).

    Temperature, threshold (for the `goal`) and abstention (answering the share `coverage` of validation) come from the
    validation predictions that the fits hold. UserError where the path names several arms, or where the labels are not
    those that the fits were measured on.
    """
    if not 0 < coverage <= 1:
        raise UserError(f"coverage {coverage:g}: a share of the validation images, above 0 and at most 1")
    found = find_models(path)
    if len(groups := sorted({model.group for model in found})) > 1:
        raise UserError(f"{path}: holds the models of {', '.join(groups)}; name one of them, e.g. {path}/arms/ARM")
    fits = tuple(model.fit for model in found)
    if (run := found[0].run) is None:
        raise UserError(f"{path}: not inside a run folder, whose labels of the validation images a bundle needs")
    experiment = read(run / "experiment.json", ExperimentRecord)
    card = fits[0].card()
    if any(fit.card() != card for fit in fits):
        raise UserError(f"{path}: these models differ in architecture, classes or preparation; bundle them one by one")
    target = str(experiment.settings["data"]["target"])
    val, test = _split(run, experiment, fits, "val"), _split(run, experiment, fits, "test")

    temperature = fit_temperature(val.probs_NC, val.labels_N)
    probs_NC, t = heated(val.probs_NC, temperature.value), card.classes.index(target)
    threshold = choose(probs_NC[:, t], val.labels_N == t, goal)
    decision = Decision(
        goal=str(goal),
        threshold=threshold.value,
        note=threshold.note,
        val_sensitivity=_known(threshold.sensitivity),
        val_specificity=_known(threshold.specificity),
    )
    abstention = abstain(probs_NC, val.labels_N, coverage)
    sites = _sites(fits[0], runtime)
    record = BundleRecord(
        version=1,
        name=f"{experiment.name} {found[0].name if len(found) == 1 else found[0].group}",
        arch=card.arch,
        classes=card.classes,
        target=target,
        in_channels=card.in_channels,
        image_size=card.image_size,
        mean=card.mean,
        std=card.std,
        members=len(fits),
        temperature=temperature.value,
        temperature_note=temperature.note,
        decision=decision,
        abstention=abstention,
        uncertainty="members" if len(fits) > 1 else "passes" if sites else "none",
        passes=experiment.settings["scoring"]["passes"],
        random_sites=sites,
        data=experiment.data,
        n_labelled=[fit.record.n_labelled for fit in fits],
        command=experiment.command,
        commit=experiment.commit,
        versions=experiment.versions,
        val_images=len(val.labels_N),
        tested=judge(test, temperature.value, decision, abstention, tuple(card.classes), t),
    )
    return Bundle(record, fits, of_run(run))


def abstain(probs_NC: np.ndarray, labels_N: np.ndarray, coverage: float) -> Abstention:
    """The highest confidence that still answers the share `coverage` of these images (Geifman and El-Yaniv 2017)."""
    confidence_N = probs_NC.max(axis=1)
    kept = math.ceil(coverage * len(confidence_N) - 1e-9)
    level = float(np.sort(confidence_N)[::-1][kept - 1])
    answered_N = confidence_N >= level
    right_N = probs_NC.argmax(axis=1) == labels_N
    return Abstention(
        coverage=coverage,
        confidence=min(level, 1.0),
        val_coverage=float(answered_N.mean()),
        val_accuracy=float(right_N[answered_N].mean()),
    )


def judge(
    test: Split, temperature: float, decision: Decision, abstention: Abstention, classes: tuple[str, ...], target: int
) -> Tested:
    """Everything the card says of the test split."""
    probs_NC = heated(test.probs_NC, temperature)
    positive_N, right_N = test.labels_N == target, probs_NC.argmax(axis=1) == test.labels_N
    before, after = calibration(test.probs_NC, test.labels_N), calibration(probs_NC, test.labels_N)
    ranks = discrimination(probs_NC, test.labels_N, target)

    def statistics(counts_BN: np.ndarray) -> dict[str, np.ndarray]:
        calibrated = after(counts_BN)
        errors = {"ece": calibrated["ece_mass"], "nll": calibrated["nll"]}
        return ranks(counts_BN) | errors | {"ece_uncalibrated": before(counts_BN)["ece_mass"]}

    estimates = bootstrap([statistics], len(test.labels_N), test.patients_N)
    intervals = {name: _interval(e.value, e.low, e.high) for name, e in estimates.items()}
    answered_N = probs_NC.max(axis=1) >= abstention.confidence
    intervals["coverage"] = _share(answered_N)
    intervals["answered_accuracy"] = _share(right_N[answered_N])
    flagged_N = probs_NC[:, target] >= (np.inf if decision.threshold is None else decision.threshold)
    known_N = np.full(len(flagged_N), decision.threshold is not None)
    intervals["sensitivity"] = _share(flagged_N[positive_N & known_N])
    intervals["specificity"] = _share(~flagged_N[~positive_N & known_N])
    return Tested(
        metrics=measure(probs_NC, test.labels_N, classes), intervals=intervals, patients=test.patients_N is not None
    )


def discrimination(probs_NC: np.ndarray, labels_N: np.ndarray, target: int) -> Statistics:
    """accuracy, macro_f1 (of the classes in the sample), f1 and roc_auc of the target, for `intervals.bootstrap`."""
    classes = probs_NC.shape[1]
    true_NC, predicted_NC = np.eye(classes)[labels_N], np.eye(classes)[probs_NC.argmax(axis=1)]
    order_N = np.argsort(probs_NC[:, target], kind="stable")
    _, starts = np.unique(probs_NC[order_N, target], return_index=True)
    positive_N = (labels_N == target)[order_N]

    def statistics(counts_BN: np.ndarray) -> dict[str, np.ndarray]:
        support_BC, predicted_BC = counts_BN @ true_NC, counts_BN @ predicted_NC
        right_BC = counts_BN @ (true_NC * predicted_NC)
        sorted_BN = counts_BN[:, order_N]
        ill_BG = np.add.reduceat(sorted_BN * positive_N, starts, axis=1)
        well_BG = np.add.reduceat(sorted_BN * ~positive_N, starts, axis=1)
        below_BG = np.cumsum(well_BG, axis=1) - well_BG / 2  # of equal scores one half counts as lower
        with np.errstate(invalid="ignore"):
            f1_BC = np.where(support_BC > 0, 2 * right_BC / (support_BC + predicted_BC), np.nan)
            area_B = (ill_BG * below_BG).sum(axis=1) / (ill_BG.sum(axis=1) * well_BG.sum(axis=1))
        return {
            "accuracy": right_BC.sum(axis=1) / counts_BN.sum(axis=1),
            "macro_f1": np.nanmean(f1_BC, axis=1),
            "f1": f1_BC[:, target],
            "roc_auc": area_B,
        }

    return statistics


def _split(run: Path, experiment: ExperimentRecord, fits: Sequence[Fit], split: str) -> Split:
    index_N = fits[0].predictions(split)[0]
    probs_KNC = [fit.predictions(split)[1] for fit in fits]
    if any(not np.array_equal(fit.predictions(split)[0], index_N) for fit in fits):
        raise UserError(f"{run}: the models were measured on different {split} images; bundle them one by one")
    classes = tuple(experiment.data.classes)
    labels_N, patients_N = _known_images(run, experiment, index_N)
    for fit, probs_NC in zip(fits, probs_KNC, strict=True):
        measured = fit.record.val if split == "val" else fit.record.test
        if measure(probs_NC, labels_N, classes).confusion != measured.confusion:
            raise UserError(
                f"{run}: the labels of the {split} split are not those that {fit.folder.name} was measured on; "
                "was the data set changed since?"
            )
    return Split(mean_probs(probs_KNC), labels_N, patients_N if len(set(patients_N) - {""}) > 0 else None)


def _known_images(run: Path, experiment: ExperimentRecord, index_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and patients (N,) of some images: as the run noted them, else from the data set itself."""
    frame = read_images(run)
    if frame is None:
        frame = sources.load(DataSettings.model_validate(experiment.settings["data"])).table
    if index_N.max() >= len(frame) or not set(frame["label"]) <= set(experiment.data.classes):
        raise UserError(f"{run}: the data set has other images or classes than the run; was it changed since?")
    rows = frame.iloc[index_N]
    labels_N = np.array([experiment.data.classes.index(label) for label in rows["label"]], np.int64)
    # An image of an unknown patient counts as a patient of its own.
    patients_N = [p or f"\0{i}" for p, i in zip(rows["patient_id"], index_N.tolist(), strict=True)]
    return labels_N, np.array(patients_N)


def _sites(fit: Fit, runtime: Runtime) -> list[str]:
    """The random sites of a network; none where nothing in it is random."""
    size = fit.card().image_size
    loader = fit.loader(np.zeros((1, size, size), np.uint8), runtime)
    _, image = next(loader.batches(np.arange(1), 1))
    try:
        return [str(site) for site in find_sites(fit.model(runtime), torch.as_tensor(image))]
    except NoRandomSite:
        return []


def _share(yes_N: np.ndarray) -> Interval:
    low, high = clopper_pearson(int(yes_N.sum()), len(yes_N))
    return _interval(float(yes_N.mean()) if len(yes_N) else math.nan, low, high)


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=_known(value), low=_known(low), high=_known(high))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value

"""What a bundle decides by, chosen on validation, and what it is worth, measured once on test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from al_cxr.bundles.measured import Split
from al_cxr.bundles.record import Abstention, Decision, Interval, Tested
from al_cxr.core.metrics import measure
from al_cxr.evaluation.calibration import Temperature, apply_temperature, fit_temperature
from al_cxr.evaluation.calibration_error import calibration
from al_cxr.evaluation.intervals import Statistics, bootstrap, clopper_pearson
from al_cxr.evaluation.operating import Goal, choose_threshold


@dataclass(frozen=True)
class Choices:
    """How a bundle makes decisions of its members' mean probabilities."""

    temperature: Temperature
    decision: Decision
    abstention: Abstention


def choose(probs_NC: np.ndarray, labels_N: np.ndarray, target: int, goal: Goal, coverage: float) -> Choices:
    """Temperature, then threshold and abstention on what it gives, all on images that no member has learned from."""
    temperature = fit_temperature(probs_NC, labels_N)
    probs_NC = apply_temperature(probs_NC, temperature.value)
    threshold = choose_threshold(probs_NC[:, target], labels_N == target, goal)
    decision = Decision(
        goal=str(goal),
        threshold=threshold.value,
        note=threshold.note,
        val_sensitivity=known_or_none(threshold.sensitivity),
        val_specificity=known_or_none(threshold.specificity),
    )
    return Choices(temperature, decision, abstain(probs_NC, labels_N, coverage))


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


def measure_on_test(test: Split, chosen: Choices, classes: tuple[str, ...], target: int) -> Tested:
    """Everything the card says of the test split."""
    decision, abstention = chosen.decision, chosen.abstention
    probs_NC = apply_temperature(test.probs_NC, chosen.temperature.value)
    positive_N, right_N = test.labels_N == target, probs_NC.argmax(axis=1) == test.labels_N
    before, after = calibration(test.probs_NC, test.labels_N), calibration(probs_NC, test.labels_N)
    ranks = discrimination(probs_NC, test.labels_N, target)

    def statistics(counts_BN: np.ndarray) -> dict[str, np.ndarray]:
        calibrated = after(counts_BN)
        errors = {"ece": calibrated["ece_mass"], "nll": calibrated["nll"]}
        return ranks(counts_BN) | errors | {"ece_uncalibrated": before(counts_BN)["ece_mass"]}

    estimates = bootstrap([statistics], len(test.labels_N), test.patients_N, unbounded=("nll",))
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


def _share(yes_N: np.ndarray) -> Interval:
    low, high = clopper_pearson(int(yes_N.sum()), len(yes_N))
    return _interval(float(yes_N.mean()) if len(yes_N) else math.nan, low, high)


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=known_or_none(value), low=known_or_none(low), high=known_or_none(high))


def known_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value

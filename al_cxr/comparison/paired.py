"""The test F1 of every arm, round and seed of a finished run, as it is and as it would be in other samples.

A replicate draws the test images, once for all models, because all of them answer the same ones. Images of one patient
are drawn together where patients are known. Where an arm asked for no more labels its last model goes on to the budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import (
    SeedNoise,
    f1_samples,
    image_samples,
    mean_over_seeds,
    seed_noise,
)
from al_cxr.core.errors import UserError
from al_cxr.core.predictions import read_predictions
from al_cxr.core.records import BaselineRecord, RoundRecord
from al_cxr.evaluation.intervals import Estimate, mean_interval


@dataclass(frozen=True, eq=False)
class Paired:
    """Target F1, 0..1. Axes: R samples (the first: as observed), M arms, A rounds, S seeds; NaN is not there."""

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    labels_A: np.ndarray
    """Mean number of labels that the budget has for each round; all arms of an experiment have the same."""
    spent_MA: np.ndarray
    """Mean number that an arm had at each round: fewer where it stopped asking."""
    f1_RMAS: np.ndarray
    baseline_RS: np.ndarray
    """Of the fully labelled models."""
    noise: SeedNoise
    units: int
    """Patients or images that are drawn; 1 where the run has no images.csv, so that only seeds are."""
    resampled: str
    """What intervals are over, in words."""

    def f1_RAS(self, arm: str) -> np.ndarray:
        return self.f1_RMAS[:, self.arms.index(arm)]

    def mean(self, values_RxS: np.ndarray) -> np.ndarray:
        """Mean over seeds, (R, ...), moved in each replicate as other seeds would move it."""
        return mean_over_seeds(values_RxS, self.noise)


def estimate(values_RS: np.ndarray, share: bool = False) -> Estimate:
    """The mean over seeds of a number a seed (R, S), e.g. a paired difference; a `share` lies in 0..1, as F1 does."""
    there_S = ~np.isnan(values_RS[0])
    seeds = int(np.count_nonzero(there_S))
    mean_R = values_RS[:, there_S].mean(axis=1) if seeds else np.full(len(values_RS), np.nan)
    low, high = mean_interval(values_RS[0], mean_R[1:], share=share)
    sd = float(values_RS[0, there_S].std(ddof=1)) if seeds > 1 else np.nan
    return Estimate(float(mean_R[0]), low, high, sd, seeds)


@lru_cache(maxsize=1)
def paired(finished: Finished) -> Paired:
    """Every model of a finished run on 2,000 samples of its test images; kept until another run is asked for.

    UserError where predictions are missing, are of other images than images.csv, or do not give the recorded F1.
    """
    arms, seeds = tuple(finished.settings.arms), tuple(finished.settings.seeds)
    count = finished.count
    records: list[RoundRecord | BaselineRecord] = [r for rounds in finished.rounds.values() for r in rounds]
    records += list(finished.baselines.values())
    column = {key: i for i, key in enumerate(dict.fromkeys(r.fit for r in records))}
    f1_RF, units, resampled = _samples(finished, records, list(column))

    f1_RMAS = np.full((len(f1_RF), len(arms), count, len(seeds)), np.nan)
    spent_MAS, planned_MAS = (np.full(f1_RMAS.shape[1:], np.nan) for _ in range(2))
    for arm, seed in finished.rounds:
        for number in range(count):
            if (record := finished.at(arm, seed, number)) is not None:
                at = arms.index(arm), number, seeds.index(seed)
                f1_RMAS[:, *at] = f1_RF[:, column[record.fit]]
                spent_MAS[at] = record.n_labelled
                planned_MAS[at] = record.n_labelled if record.round == number else np.nan
    baseline_RS = np.full((len(f1_RF), len(seeds)), np.nan)
    for seed, baseline in finished.baselines.items():
        baseline_RS[:, seeds.index(seed)] = f1_RF[:, column[baseline.fit]]
    labels_A = np.nanmean(planned_MAS, axis=(0, 2))
    there_MA = (~np.isnan(spent_MAS)).sum(axis=2)
    spent_MA = np.where(there_MA > 0, np.nansum(spent_MAS, axis=2) / np.maximum(there_MA, 1), np.nan)
    return Paired(arms, seeds, labels_A, spent_MA, f1_RMAS, baseline_RS, seed_noise(len(seeds)), units, resampled)


def _samples(
    finished: Finished, records: list[RoundRecord | BaselineRecord], keys: list[str]
) -> tuple[np.ndarray, int, str]:
    """F1 (R, F) of the fits in samples of the test images; how many units were drawn, and of what."""
    target = finished.experiment.data.classes.index(finished.target)
    tests = {r.fit: r.test for r in records}
    if finished.images is None:
        # All test images as one unit, which every sample holds once.
        counts_FCC = np.array([tests[key].confusion for key in keys])
        hits_FU = counts_FCC[:, target, target, None]
        false_FU = counts_FCC[:, :, target].sum(axis=1)[:, None] - hits_FU
        positives_U = counts_FCC[0, target].sum(keepdims=True)
        resampled = "seeds alone, because the run has no images.csv (`al-cxr run` on the same experiment writes it)"
    else:
        index_N, given_FN = _answers(finished, keys)
        true_N = finished.images["label"].to_numpy()[index_N] == finished.target
        patient_N = finished.images["patient_id"].to_numpy()[index_N]
        own_N = np.array([f"image {i}" if p == "" else f"patient {p}" for i, p in zip(index_N, patient_N, strict=True)])
        _, unit_N = np.unique(own_N, return_inverse=True)
        said_FN = given_FN == target
        hits_FU, false_FU = (_summed(said_FN & rows_N, unit_N) for rows_N in (true_N, ~true_N))
        positives_U = _summed(true_N[None], unit_N)[0]
        known = (patient_N != "").any()
        resampled = f"seeds and test {'patients' if known else 'images'} ({hits_FU.shape[1]:,})"
    units = hits_FU.shape[1]
    f1_RF = f1_samples(hits_FU, false_FU, positives_U, image_samples(units))
    for key, f1 in zip(keys, f1_RF[0], strict=True):
        if abs(f1 - tests[key].of(finished.target).f1) > 1e-6:
            raise UserError(
                f"{finished.fit_folder(key)}: its predictions do not give the F1 that is recorded: a file was edited "
                "or damaged; delete the folder, and train it again"
            )
    return f1_RF, units, resampled


def _answers(finished: Finished, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Absolute indices (N,) of the test images and what each of F fits said of them, (F, N)."""
    assert finished.images is not None
    test_N = np.flatnonzero(finished.images["split"].to_numpy() == "test")
    given = []
    for key in keys:
        index_N, probs_NC = read_predictions(finished.fit_folder(key), "test")
        if not np.array_equal(index_N, test_N):
            raise UserError(
                f"{finished.fit_folder(key)}: its predictions are of other test images than images.csv lists; delete "
                "the folder, and train it again"
            )
        given.append(probs_NC.argmax(axis=1))
    return test_N, np.stack(given)


def _summed(rows_FN: np.ndarray, unit_N: np.ndarray) -> np.ndarray:
    """Images of each row by unit, (F, U)."""
    units = int(unit_N.max()) + 1
    return np.stack([np.bincount(unit_N[row_N], minlength=units) for row_N in rows_FN])

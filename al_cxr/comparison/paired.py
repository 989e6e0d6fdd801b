"""The test F1 of every arm, round and seed of a finished run, as it is and as it would be in other samples.

A replicate resamples the seeds, and the test images once for all models, because all of them answer the same ones.
Images of one patient are drawn together where patients are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import f1_samples, image_samples, interval, mean_over_seeds, seed_samples, sign_flip
from al_cxr.errors import UserError
from al_cxr.records import BaselineRecord, RoundRecord


@dataclass(frozen=True, eq=False)
class Paired:
    """Target F1, 0..1. Axes: R samples (the first: as observed), M arms, A rounds, S seeds; NaN is not there."""

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    labels_A: np.ndarray
    """Mean number of labels of each round; all arms of an experiment label the same number."""
    f1_RMAS: np.ndarray
    baseline_RS: np.ndarray
    """Of the fully labelled models."""
    drawn_RS: np.ndarray
    units: int
    """Patients or images that are drawn; 1 where the run has no images.csv, so that only seeds are."""
    resampled: str
    """What a replicate resamples, in words."""

    def f1_RAS(self, arm: str) -> np.ndarray:
        return self.f1_RMAS[:, self.arms.index(arm)]

    def mean(self, values_RxS: np.ndarray) -> np.ndarray:
        """Mean over seeds, (R, ...)."""
        return mean_over_seeds(values_RxS, self.drawn_RS)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval, of so many seeds; `p` (sign flip) is that of a difference."""

    value: float
    low: float
    high: float
    seeds: int
    p: float

    def columns(self, name: str) -> dict[str, float]:
        """As columns of a frame: NAME, NAME_low, NAME_high."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def estimate(paired: Paired, values_RS: np.ndarray) -> Estimate:
    """The mean over seeds of a number a seed (R, S), e.g. a paired difference."""
    seeds = int(np.count_nonzero(~np.isnan(values_RS[0])))
    mean_R = paired.mean(values_RS)
    return Estimate(float(mean_R[0]), *interval(mean_R[1:], seeds), seeds, sign_flip(values_RS[0]))


@lru_cache(maxsize=1)
def paired(finished: Finished) -> Paired:
    """Every model of a finished run on 2,000 samples of its seeds and test images; kept until another run is asked for.

    UserError where predictions are missing, are of other images than images.csv, or do not give the recorded F1.
    """
    arms, seeds = tuple(finished.settings.arms), tuple(finished.settings.seeds)
    count = max(len(rounds) for rounds in finished.rounds.values())
    records: list[RoundRecord | BaselineRecord] = [r for rounds in finished.rounds.values() for r in rounds]
    records += list(finished.baselines.values())
    column = {key: i for i, key in enumerate(dict.fromkeys(r.fit for r in records))}
    f1_RF, units, resampled = _samples(finished, records, list(column))

    f1_RMAS = np.full((len(f1_RF), len(arms), count, len(seeds)), np.nan)
    labels_MAS = np.full(f1_RMAS.shape[1:], np.nan)
    for (arm, seed), rounds in finished.rounds.items():
        at = arms.index(arm), seeds.index(seed)
        for record in rounds:
            f1_RMAS[:, at[0], record.round, at[1]] = f1_RF[:, column[record.fit]]
            labels_MAS[at[0], record.round, at[1]] = record.n_labelled
    baseline_RS = np.full((len(f1_RF), len(seeds)), np.nan)
    for seed, baseline in finished.baselines.items():
        baseline_RS[:, seeds.index(seed)] = f1_RF[:, column[baseline.fit]]
    labels_A = np.nanmean(labels_MAS, axis=(0, 2))
    drawn_RS = seed_samples(len(seeds))
    return Paired(arms, seeds, labels_A, f1_RMAS, baseline_RS, drawn_RS, units, resampled)


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
                f"{finished.fit_folder(key)}: its predictions do not give the F1 that is recorded; was a file changed?"
            )
    return f1_RF, units, resampled


def _answers(finished: Finished, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Absolute indices (N,) of the test images and what each of F fits said of them, (F, N)."""
    assert finished.images is not None
    test_N = np.flatnonzero(finished.images["split"].to_numpy() == "test")
    given = []
    for key in keys:
        index_N, predicted_N = finished.test_predictions(key)
        if not np.array_equal(index_N, test_N):
            raise UserError(f"{finished.fit_folder(key)}: predictions of other test images than images.csv has")
        given.append(predicted_N)
    return test_N, np.stack(given)


def _summed(rows_FN: np.ndarray, unit_N: np.ndarray) -> np.ndarray:
    """Images of each row by unit, (F, U)."""
    units = int(unit_N.max()) + 1
    return np.stack([np.bincount(unit_N[row_N], minlength=units) for row_N in rows_FN])

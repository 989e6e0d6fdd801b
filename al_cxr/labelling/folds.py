"""What heads say of labelled images that they have not learned from: a cross-validation of the labels, by patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_cxr.core.seeds import rng
from al_cxr.labelling.chooser import Chooser

FOLDS = 5


def out_of_fold(
    chooser: Chooser, index_M: np.ndarray, labels_M: np.ndarray, patients: Sequence[str]
) -> np.ndarray | None:
    """Probabilities (M, C) of labelled images, of heads that were trained without their patients, who are named image
    by image; None where the labels are too few."""
    learner = chooser.learner
    whose, fold_of = np.unique(np.array(patients), return_inverse=True)
    fold_M = rng(learner.seed, "folds").permutation(len(whose))[fold_of] % FOLDS if len(whose) else fold_of
    probs_MC = np.zeros((len(index_M), learner.classes))
    for fold in range(FOLDS):
        held_M = fold_M == fold
        if not held_M.any():
            continue
        if len(np.unique(labels_M[~held_M])) < 2:
            return None
        features_NK, ready_N = chooser.features.features_NK, chooser.features.ready_N
        model = learner.fit(features_NK, ready_N, index_M[~held_M], labels_M[~held_M])
        probs_MC[held_M] = model.probs(features_NK[index_M[held_M]])
    return probs_MC if len(index_M) else None

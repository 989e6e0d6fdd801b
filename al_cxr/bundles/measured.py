"""What the networks of a bundle said of a split when they were trained, beside the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.records import ExperimentRecord
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.evaluation.truth import labels_of
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.images import known_images


@dataclass(frozen=True, eq=False)
class Split:
    """The ensemble's uncalibrated probabilities of a split, its labels, and whose images they are (None: unknown)."""

    probs_NC: np.ndarray
    labels_N: np.ndarray
    patients_N: np.ndarray | None


def split(run: Path, experiment: ExperimentRecord, fits: Sequence[Fit], name: str) -> Split:
    """What the members said of "val" or "test"; UserError where these are not the images or labels of their records."""
    index_N = fits[0].predictions(name)[0]
    probs_KNC = [fit.predictions(name)[1] for fit in fits]
    if any(not np.array_equal(fit.predictions(name)[0], index_N) for fit in fits):
        raise UserError(f"{run}: the models were measured on different {name} images; bundle them one by one")
    classes = tuple(experiment.data.classes)
    labels_N, patients_N = _labels_and_patients(run, experiment, index_N)
    for fit, probs_NC in zip(fits, probs_KNC, strict=True):
        measured = fit.record.val if name == "val" else fit.record.test
        if measure(probs_NC, labels_N, classes).confusion != measured.confusion:
            raise UserError(
                f"{run}: the labels of the {name} split are not those that {fit.folder.name} was measured on; "
                "was the data set changed since?"
            )
    return Split(mean_probs(probs_KNC), labels_N, patients_N if len(set(patients_N) - {""}) > 0 else None)


def _labels_and_patients(run: Path, experiment: ExperimentRecord, index_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and patients (N,) of some images: as the run noted them, else from the data set itself."""
    frame = known_images(run, experiment)
    labels_N = labels_of(frame, experiment.data.classes)
    if index_N.max() >= len(frame) or (labels_N[index_N] < 0).any():
        raise UserError(f"{run}: the data set has other images or classes than the run; was it changed since?")
    rows, labels_N = frame.iloc[index_N], labels_N[index_N]
    # An image of an unknown patient counts as a patient of its own.
    patients_N = [p or f"\0{i}" for p, i in zip(rows["patient_id"], index_N.tolist(), strict=True)]
    return labels_N, np.array(patients_N)

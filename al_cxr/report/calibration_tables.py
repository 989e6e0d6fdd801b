"""Tables of calibration: with and without a temperature, round by round, and what it does to a choice of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from al_cxr.evaluation.calibration import apply_temperature, ranking_change
from al_cxr.evaluation.calibration_error import BINS, calibration, calibration_estimates
from al_cxr.evaluation.intervals import columns
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.report.classes import over_seeds
from al_cxr.report.evaluation_tables import estimate, intervals, with_ensemble
from al_cxr.report.kit.numbers import MISSING
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.rows import ARM, ROUND


def calibration_table(groups: Sequence[Group], study: StudyDesign, name: str, title: str) -> Table:
    """Two rows a group and two its ensemble: as trained, and with the temperature from validation where it is not 1, as
    it is of a bundle's answers, which are calibrated."""
    rows: list[dict[str, object]] = []
    for group in groups:
        for label, models in with_ensemble(group):
            rows.append({"model": label, "temperature": np.nan} | _estimates(models, group, study, scaled=False))
            temperatures = [m.temperature for m in models]
            if any(temperature.matters for temperature in temperatures):
                mean = np.mean([temperature.value for temperature in temperatures])
                rows.append({"model": label, "temperature": mean} | _estimates(models, group, study, scaled=True))
    shown = (
        Column("model", "model"),
        Column("temperature", "temperature", "area"),
        estimate("calibration error, %", "ece_mass"),
        estimate("of equal-width bins, %", "ece_width"),
        estimate("confidence − accuracy", "gap", "points"),
        estimate("Brier score, 0 to 2", "brier", "area"),
        estimate("log-likelihood, nats", "nll", "area"),
    )
    remarks = notes("evaluation", "calibration", bins=BINS, intervals=intervals(study, exact=False))
    return Table(name, title, pd.DataFrame(rows), shown, remarks)


def ranking_table(groups: Sequence[Group]) -> Table:
    """What each group's temperatures would do to a selection by entropy, judged on the test images."""
    rows = []
    for group in groups:
        found = [ranking_change(m.probs_NC, m.temperature.value) for m in group.models]
        correlation, overlap = np.array(found).T
        rows.append({"model": group.label, "spearman": correlation.mean(), "overlap": overlap.mean(), "n": len(found)})
    shown = (
        Column("model", "model"),
        Column("rank correlation", "spearman", "area"),
        Column("same top 10 %, %", "overlap", "percent"),
        Column("seeds", "n", "count"),
    )
    title = "What a temperature does to the choice of images"
    return Table("calibration-ranking", title, pd.DataFrame(rows), shown, notes("evaluation", "ranking"))


def rounds_table(
    models: Mapping[tuple[str, int], Sequence[Predicted]],
    same_batch: Mapping[tuple[str, int], Sequence[float]],
) -> Table:
    """Calibration of every arm at every round, (arm, round) -> one model a seed: mean ± standard deviation.

    `same_batch` is of the queries that were scored with the temperature: which share of a batch it did not change.
    """
    rows = []
    for (arm, number), some in models.items():
        row: dict[str, object] = {"arm": arm, "round": number, "seeds": len(some)}
        found = {"temperature": [model.temperature.value for model in some]}
        for suffix, scaled in (("", False), ("_scaled", True)):
            measured = [_measured(model, scaled) for model in some]
            found |= {name + suffix: [one[name] for one in measured] for name in ("ece_mass", "brier", "nll")}
        found["same_batch"] = list(same_batch.get((arm, number), []))
        rows.append(row | over_seeds(found))
    shown = [
        ARM,
        ROUND,
        Column("temperature", "temperature", "area", "sd"),
        Column("calibration error, %", "ece_mass", "percent", "sd"),
        Column("scaled", "ece_mass_scaled", "percent", "sd"),
        Column("Brier score, 0 to 2", "brier", "area", "sd"),
        Column("scaled", "brier_scaled", "area", "sd"),
        Column("log-likelihood, nats", "nll", "area", "sd"),
        Column("scaled", "nll_scaled", "area", "sd"),
    ]
    if same_batch:
        shown.append(Column("same batch, %", "same_batch", "percent", "sd"))
    shown.append(Column("seeds", "seeds", "count"))
    remarks = notes("evaluation", "rounds", same_batch=bool(same_batch), missing=MISSING)
    title = "Calibration of every arm and round"
    return Table("calibration-rounds", title, pd.DataFrame(rows), tuple(shown), remarks)


def _estimates(models: Sequence[Predicted], group: Group, study: StudyDesign, scaled: bool) -> dict[str, float]:
    """Cells of what `calibration` measures, of the probabilities as trained or scaled by each model's temperature."""
    probs_KNC = [apply_temperature(m.probs_NC, m.temperature.value if scaled else 1.0) for m in models]
    return columns(calibration_estimates(probs_KNC, group.labels_N, study.clusters_N))


def _measured(model: Predicted, scaled: bool) -> dict[str, float]:
    """The same of one model, without intervals."""
    probs_NC = apply_temperature(model.probs_NC, model.temperature.value) if scaled else model.probs_NC
    found = calibration(probs_NC, model.labels_N)(np.ones((1, len(model.labels_N))))
    return {name: float(values[0]) for name, values in found.items()}

"""Tables of calibration: with and without a temperature, round by round, and what it does to a choice of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from al_cxr.evaluation.calibration import apply_temperature, ranking_change
from al_cxr.evaluation.calibration_error import BINS, calibration, calibration_estimates
from al_cxr.evaluation.intervals import columns
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.report.classes import mean_sd
from al_cxr.report.evaluation_tables import INTERVALS, patients_drawn, with_ensemble
from al_cxr.report.kit.numbers import MISSING, Kind
from al_cxr.report.kit.tables import Column, Table


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
        Column("calibration error, %", "ece_mass", "percent", "interval"),
        Column("of equal-width bins, %", "ece_width", "percent", "interval"),
        Column("confidence − accuracy", "gap", "points", "interval"),
        Column("Brier score, 0 to 2", "brier", "area", "interval"),
        Column("log-likelihood, nats", "nll", "area", "interval"),
    )
    notes = (
        "Rows without a temperature are the probabilities as they are given; the others' logits are divided by the "
        "temperature with the smallest negative log-likelihood on validation (Guo et al. 2017), each model by its own; "
        "where few validation images, or few wrong answers, cannot tell it, by one at which the answers are no surer "
        "than they allow (said below). "
        "Where that would be 1.000 there is no such row: a bundle's probabilities are calibrated as they are.",
        f"Expected calibration error of the predicted class in {BINS} bins of equally many images. It is "
        "never below 0, so chance alone lifts it; what resampling adds is taken off its interval. *Log-likelihood* is "
        "the negative one, a mean.",
        INTERVALS.partition("; exact")[0] + "." + patients_drawn(study),
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes)


def ranking_table(groups: Sequence[Group], study: StudyDesign) -> Table:
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
    notes = (
        "Entropy of one pass with and without the temperature, on the test images in place of a pool (the pool's "
        "probabilities are not stored): Spearman's correlation of the rankings, and how much of the most uncertain "
        "tenth stays.",
        "For two classes a temperature cannot change this ranking; for more it can, since it also moves mass between "
        "the unlikely classes. Monte-Carlo scores are the entropy of a mean over passes and can change for two too.",
    )
    title = "What a temperature does to the choice of images"
    return Table("calibration-ranking", title, pd.DataFrame(rows), shown, notes)


def rounds_table(
    models: Mapping[tuple[str, int], Sequence[Predicted]],
    same_batch: Mapping[tuple[str, int], Sequence[float]] = MappingProxyType({}),
) -> Table:
    """Calibration of every arm at every round, (arm, round) -> one model a seed: mean ± standard deviation.

    `same_batch` is of the queries that were scored with the temperature: which share of a batch it did not change.
    """
    rows = []
    for (arm, number), some in models.items():
        row: dict[str, object] = {"arm": arm, "round": number, "seeds": len(some)}
        found: dict[str, list[float | None]] = {"temperature": [m.temperature.value for m in some]}
        for m in some:
            for suffix, probs_NC in (
                ("", m.probs_NC),
                ("_scaled", apply_temperature(m.probs_NC, m.temperature.value)),
            ):
                measured = calibration(probs_NC, m.labels_N)(np.ones((1, len(m.labels_N))))
                for name in ("ece_mass", "brier", "nll"):
                    found.setdefault(name + suffix, []).append(float(measured[name][0]))
        for name, values in found.items():
            row[name], row[f"{name}_sd"] = mean_sd(values)
        row["same_batch"], row["same_batch_sd"] = mean_sd(list(same_batch.get((arm, number), [])))
        rows.append(row)
    scores: tuple[tuple[str, str, Kind], ...] = (
        ("ece_mass", "calibration error, %", "percent"),
        ("brier", "Brier score, 0 to 2", "area"),
        ("nll", "log-likelihood, nats", "area"),
    )
    shown = [
        Column("arm", "arm"),
        Column("round", "round", "count"),
        Column("temperature", "temperature", "area", "sd"),
    ]
    for name, title, kind in scores:
        shown += [
            Column(title, name, kind, "sd"),
            Column("scaled", f"{name}_scaled", kind, "sd"),
        ]
    notes = [
        "On the test images, mean ± standard deviation over seeds. *Scaled*: the column before, with the temperature "
        "from validation.",
    ]
    frame = pd.DataFrame(rows)
    if same_batch:
        shown.append(Column("same batch, %", "same_batch", "percent", "sd"))
        notes.append(
            "*Same batch*: how much of what the round's model asked for it would have asked for without the "
            f"temperature too; {MISSING} where the score is made of several networks' probabilities, or of none."
        )
    return Table(
        "calibration-rounds",
        "Calibration of every arm and round",
        frame,
        (*shown, Column("seeds", "seeds", "count")),
        tuple(notes),
    )


def _estimates(models: Sequence[Predicted], group: Group, study: StudyDesign, scaled: bool) -> dict[str, float]:
    """Cells of what `calibration` measures, of the probabilities as trained or scaled by each model's temperature."""
    probs_KNC = [apply_temperature(m.probs_NC, m.temperature.value if scaled else 1.0) for m in models]
    return columns(calibration_estimates(probs_KNC, group.labels_N, study.clusters_N))

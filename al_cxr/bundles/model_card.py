"""The card of a model bundle, for people: Mitchell et al. 2019, https://arxiv.org/abs/1810.03993."""

from __future__ import annotations

import pandas as pd

from al_cxr.bundles.record import UNPROVEN, BundleRecord, Interval, columns
from al_cxr.report.classes import per_class
from al_cxr.report.evaluation_tables import BY_LARGEST
from al_cxr.report.kit.numbers import MISSING, Kind, number
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape

_ROWS: tuple[tuple[str, str, Kind], ...] = (
    ("accuracy by the largest probability, %", "accuracy", "percent"),
    ("macro F1 by the largest probability, %", "macro_f1", "percent"),
    ("{target} F1 by the largest probability, %", "f1", "percent"),
    ("{target} ROC-AUC", "roc_auc", "area"),
    ("{target} sensitivity at the threshold, %", "sensitivity", "percent"),
    ("{target} specificity at the threshold, %", "specificity", "percent"),
    ("answered (not abstained), %", "coverage", "percent"),
    ("accuracy by the largest probability, of the answered, %", "answered_accuracy", "percent"),
    ("expected calibration error, %", "ece", "percent"),
    ("the same before the temperature, %", "ece_uncalibrated", "percent"),
    ("negative log-likelihood, nats", "nll", "area"),
)
_UNCERTAINTY = {
    "members": "disagreement of the ensemble's members (mutual information, nats)",
    "passes": "mutual information over {passes} Monte-Carlo-dropout passes, nats",
    "none": "none: one network with nothing random in it",
}


def model_card(record: BundleRecord) -> str:
    """The page, as markdown."""
    r = record
    warnings = ["**Not a medical device**, not for diagnosis. Research software."]
    if r.data.synthetic:
        warnings.append("Trained on synthetic images: no patient was imaged. It says nothing about radiographs.")
    warnings += [escape(note) for note in (*r.data.notes, *r.cautions)]
    if a := r.adapted:
        warnings.append(
            f"{a.members} of its {r.members} networks were adapted to {a.images:,} images of another place, without "
            "labels: all figures below are of the networks before that, and threshold and temperature are those that "
            f"were chosen then. {escape(r.mix)}. {escape(UNPROVEN)}."
        )
    parts = [
        f"# Model card: {escape(r.name)}",
        _list("Warnings", warnings),
        _list("Intended use", _use(r)),
        _list("Data", _data(r)),
        _list("The model", _model(r)),
        _list("How an answer is made", _answers(r)),
        _list("The columns of predictions.csv", [f"`{name}`: {escape(what)}" for name, what in columns(r).items()]),
        "## On the test split",
        _tested(r).markdown(_stamp(r)),
        per_class("per-class", f"Class by class, {BY_LARGEST}", [r.tested.metrics]).markdown(_stamp(r)),
        _list("Limits", _limits(r)),
        _list("Made with", [f"`{' '.join(r.command.split())}`", f"commit {escape(r.commit)}", _versions(r)]),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _list(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {line}" for line in lines)])


def _use(r: BundleRecord) -> list[str]:
    classes = ", ".join(map(escape, r.classes))
    return [
        f"Research on chest radiographs: sorting images into {classes}, with {escape(r.target)} as the target.",
        "Frontal radiographs like those it was trained on, one image a file. It abstains from an image with nothing to "
        "see on it, or that does not look like an upright frontal radiograph of a chest; it does not notice all of "
        "these.",
        "Out of scope: any decision about a patient; classes that are not listed; several findings in one image.",
    ]


def _data(r: BundleRecord) -> list[str]:
    def counts(split: str) -> str:
        by_class = r.data.counts[split]
        each = ", ".join(f"{escape(name)} {n:,}" for name, n in by_class.items())
        return f"{split}: {sum(by_class.values()):,} images ({each})"

    labelled = ", ".join(f"{n:,}" for n in r.n_labelled)
    return [
        f"{escape(r.data.name)}, fingerprint {r.data.fingerprint}",
        f"attribution: {escape(r.data.attribution) or 'none given'}",
        *(counts(split) for split in ("train", "val", "test")),
        f"labelled training images used: {labelled}",
        "validation chose the epoch, the temperature, the threshold and the abstention; test chose none of them",
    ]


def _model(r: BundleRecord) -> list[str]:
    networks = "one network" if r.members == 1 else f"an ensemble of {r.members} networks; probabilities are means"
    lines = [f"{escape(r.archs)}, {networks}"]
    lines += dict.fromkeys(
        f"input of {escape(n.arch)}: {r.image_size} × {r.image_size} pixels, squashed, "
        f"{'grey' if n.in_channels == 1 else 'grey as RGB'}, 0..1 minus {n.mean:g}, divided by {n.std:g}"
        for n in r.networks
    )
    if r.random_sites:
        lines.append(f"random sites: {escape('; '.join(r.random_sites))}")
    return lines


def _answers(r: BundleRecord) -> list[str]:
    d, a, target = r.decision, r.abstention, escape(r.target)
    lines = [f"probabilities: softmax of the logits divided by {r.temperature:.3f} (temperature, by validation)"]
    if d.threshold is None:
        lines.append(f"decision: no threshold for {d.goal} ({escape(d.note)}); the most probable class is the answer")
    else:
        lines.append(
            f"decision: {target} where P({target}) ≥ {d.threshold:.4f}, chosen for {d.goal} on {r.val_images:,} "
            f"validation images (there: sensitivity {number(d.val_sensitivity, 'percent')} %, specificity "
            f"{number(d.val_specificity, 'percent')} %); below it the most probable of the other classes"
        )
    lines.append(
        f"abstain where the largest probability is below {a.confidence:.4f}, so that {100 * a.coverage:g} % of "
        f"validation were answered (there: accuracy of the answered, {BY_LARGEST}, "
        f"{number(a.val_accuracy, 'percent')} %)"
    )
    lines.append(f"uncertainty: {_UNCERTAINTY[r.uncertainty].format(passes=r.passes)}")
    return lines


def _tested(r: BundleRecord) -> Table:
    rows, kinds = [], []
    for title, name, kind in _ROWS:
        found = r.tested.intervals[name]
        rows.append({"what": title.format(target=r.target), "value": found.value, "interval": _interval(found, kind)})
        kinds.append(kind)
    shown = (Column("", "what"), Column("value", "value", tuple(kinds)), Column("95 % interval", "interval"))
    drawn = "patients" if r.tested.patients else "images"
    notes = (
        "Of the calibrated probabilities, once, after everything was chosen.",
        f"Intervals: shares at the threshold and of answers exact (Clopper and Pearson), the others bootstrap over "
        f"{drawn}. They hold for images like these and say nothing about another hospital.",
    )
    return Table("test", "All images", pd.DataFrame(rows), shown, notes)


def _interval(found: Interval, kind: Kind) -> str:
    return MISSING if found.low is None else f"{number(found.low, kind)} to {number(found.high, kind)}"


def _stamp(r: BundleRecord) -> str:
    name = f"{r.data.name} (synthetic: no patient was imaged)" if r.data.synthetic else r.data.name
    return f"{name} · test set {r.tested.metrics.n:,} images"


def _limits(r: BundleRecord) -> list[str]:
    few = min(r.data.counts["val"].values())
    return [
        "Labels follow sources in most public collections; a network may have learnt the source and not the disease. "
        "Run `al-cxr evaluate` on images of your own hospital before believing any figure.",
        f"Temperature, threshold and abstention rest on {r.val_images:,} validation images, {few:,} of the rarest "
        "class.",
        "Predictive values change with the prevalence, which is not that of this data set where you are.",
        "Figures by sex, age and source are not in this card; `al-cxr evaluate` has them where a data set knows them.",
    ]


def _versions(r: BundleRecord) -> str:
    return escape(", ".join(f"{name} {version}" for name, version in r.versions.items()))

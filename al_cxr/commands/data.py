"""What each command about a data set does: evaluate on it, audit it, show it, fetch it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from al_cxr import evaluate as external
from al_cxr import provenance
from al_cxr.adaptation import CANNOT, require_enough
from al_cxr.config import DataSettings, Machine, MedmnistSource
from al_cxr.data import kaggle, medmnist, sources
from al_cxr.data.audit import audit as measure
from al_cxr.data.dataset import Dataset
from al_cxr.data.store import dataset_fingerprint, default_cache
from al_cxr.errors import UserError
from al_cxr.evaluate import Named
from al_cxr.report.audit import write_audit
from al_cxr.report.contact import reader
from al_cxr.report.contact import show as show_images
from al_cxr.report.evaluation import Judged, write_evaluation
from al_cxr.runtime import plain
from al_cxr.trust.operating import Goal
from al_cxr.trust.trial import PREVALENCES

SHOWN_SIZE = 224
"""Pixels a side of the images on contact sheets."""


def evaluate(
    folders: list[Path],
    data: str,
    out: Path | None,
    attribution: str,
    target: str | None = None,
    goal: Goal | None = None,
    prevalences: str | None = None,
    adapt: bool = False,
) -> None:
    """`al-cxr evaluate`: trained models on data that they have not seen; those of several runs also as one."""
    shares = _prevalences(prevalences)
    if len(folders) > 1 and out is None:
        raise UserError("--out: several runs were named, so say which folder the report goes to")
    models = external.find_all(folders)
    frozen = [model.fit.card().tune == "frozen" for model in models]
    if adapt and not any(frozen):
        raise UserError(f"--adapt: {CANNOT}")
    card = models[0].fit.card()
    run = models[0].run
    target = target or (external.target_of(run) if run else None)
    if target is not None and target not in card.classes:
        raise UserError(f"--target: the models know no class {target!r}, but {', '.join(card.classes)}")
    dataset = sources.load_for_evaluation(sources.parse(data), card.classes)
    if adapt:
        require_enough(len(dataset))
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {card.image_size} × {card.image_size} pixels")
    machine = Machine()
    runtime = plain(machine).activate()
    store = external.open_store(models, dataset, machine)
    notes = list(dataset.notes)
    if seen := external.seen_before(models, store):
        notes.insert(0, f"{seen:,} of {len(dataset):,} images trained or chose the models: no external test")
    known_N = {run: external.known_labels(run) if run else None for run in {m.run for m in models}}
    if any(labels is None for labels in known_N.values()):
        notes.append("the models' own validation labels cannot be read: neither a temperature nor a threshold")
    for note in notes:
        print(f"warning   {note}")
    loaders = external.Loaders(store, runtime, default_cache())

    def judge(model: Named, adapt: bool = False) -> Judged:
        return _said(external.evaluate(model, dataset, loaders, runtime, known_N[model.run], adapt))

    variants = [[judge(model) for model in models]]
    if adapt:
        variants.append(
            [judge(m, True) if can else one for m, can, one in zip(models, frozen, variants[0], strict=True)]
        )
    if len(folders) > 1:
        variants = [[*some, _said(external.together(models, some, dataset.labels_N))] for some in variants]
    judged = list(dict.fromkeys(one for some in variants for one in some))
    if adapt:
        notes.append(
            f"models called adapted standardise by the features of the {len(dataset):,} images themselves, "
            "without their labels: what they would do where so many unlabelled images are at hand"
        )
    trained = dict.fromkeys(f"{c.data} ({c.fingerprint[:12]})" for c in (model.fit.card() for model in models))
    facts = {
        "command": provenance.command(),
        "commit": provenance.commit(),
        "models": f"{', '.join(map(str, folders))}, trained on {', '.join(trained)}",
        "data set": f"{dataset.stamp}, fingerprint {dataset_fingerprint(dataset, store)}",
        "attribution": attribution or dataset.attribution or "none given",
    }
    names = [dataset.images.name(i) for i in range(len(dataset))]
    page = write_evaluation(
        out or folders[0] / "evaluations" / dataset.name,
        judged,
        names,
        dataset.labels_N,
        dataset.stamp,
        facts,
        notes,
        target=target,
        goal=goal,
        prevalences=shares,
        table=dataset.table,
    )
    print(f"report    {page}")


def _said(one: Judged) -> Judged:
    tested = one.metrics
    print(f"{one.name}: accuracy {100 * tested.accuracy:.1f} % · macro F1 {100 * tested.macro.f1:.1f} %", flush=True)
    return one


def audit(data: str, out: Path) -> None:
    """`al-cxr data audit`: everything that can be wrong with a data set, as a report."""
    dataset = _load(data)
    print(f"data      {dataset.stamp} · {len(dataset):,} images")
    found = measure(dataset)
    for warning in found.warnings:
        print(f"warning   {warning}")
    if not found.warnings:
        print("nothing was found to warn of")
    folder = out / dataset.name / "audit"
    page = write_audit(found, dataset, reader(dataset.images, SHOWN_SIZE), folder, folder / "gallery")
    print(f"report    {page}")


def show(data: str, per_class: int, seed: int, split: str | None, label: str | None, out: Path) -> None:
    """`al-cxr data show`: a contact sheet."""
    dataset = _load(data)
    counts = ", ".join(f"{name} {int((dataset.labels_N == i).sum()):,}" for i, name in enumerate(dataset.classes))
    print(f"data      {dataset.stamp} · {len(dataset):,} images: {counts}")
    path = out / dataset.name / "contact-sheet.png"
    print(f"sheet     {show_images(dataset, reader(dataset.images, SHOWN_SIZE), path, per_class, seed, split, label)}")


def fetch(what: str, out: Path | None, size: int) -> None:
    """`al-cxr data fetch`: download a public data set; the only command that uses the network unasked for weights."""
    kind, _, name = what.partition(":")
    if kind == "kaggle":
        folder = kaggle.fetch(name or kaggle.DEFAULT_SLUG, out or Path("data/chest-xray"))
        print(f"fetched   {folder}; try `al-cxr data audit {folder}`")
    elif kind == "medmnist" and name:
        root = out or Path("data/medmnist")
        root.mkdir(parents=True, exist_ok=True)
        source = MedmnistSource.model_validate(
            {"kind": "medmnist", "flag": name, "pixels": size, "root": str(root), "download": True}
        )
        try:
            dataset = medmnist.load(source, DataSettings(sources=[source], image_size=max(28, size)))
        except UserError:
            with contextlib.suppress(OSError):  # not empty: there was something before
                os.removedirs(root)
            raise
        print(f"fetched   {len(dataset):,} images; use them with --data medmnist:{name}-{size}@{root}")
    else:
        raise UserError(f"{what!r}: nothing is known under this name; give kaggle, kaggle:OWNER/NAME or medmnist:FLAG")


def _prevalences(text: str | None) -> tuple[float, ...]:
    if text is None:
        return PREVALENCES
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--prevalence {text}: numbers with commas between them, such as 0.005,0.02") from None
    if not all(0 < share < 1 for share in shares):
        raise UserError(f"--prevalence {text}: a prevalence lies between 0 and 1; 2 % is 0.02")
    return shares


def _load(data: str) -> Dataset:
    return sources.load(DataSettings(sources=[sources.parse(data)]))

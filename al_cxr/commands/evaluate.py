"""What `al-cxr evaluate` does: trained models of runs, and bundles, on data that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from al_cxr import evaluate as external
from al_cxr import provenance, seen
from al_cxr.adaptation import CANNOT, require_enough
from al_cxr.bundles import evaluate as bundled
from al_cxr.bundles.bundle import is_bundle
from al_cxr.config import Machine
from al_cxr.data import sources
from al_cxr.data.store import dataset_fingerprint, default_cache
from al_cxr.errors import UserError
from al_cxr.report.evaluation import Judged, write_evaluation
from al_cxr.runtime import plain
from al_cxr.trust.operating import Goal, goal_from
from al_cxr.trust.trial import PREVALENCES


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
    """`al-cxr evaluate`: trained models on data that they have not seen; those of several runs also as one.

    Without a `goal` thresholds are those that the first bundle was made for, or the usual ones.
    """
    shares = _prevalences(prevalences)
    bundles = bundled.find_bundles([folder for folder in folders if is_bundle(folder)])
    runs = [folder for folder in folders if not is_bundle(folder)]
    models = external.find_all(runs) if runs else []
    if out is None and len(folders) > 1:
        raise UserError("--out: several models were named, so say which folder the report goes to")
    if out is None and bundles:
        raise UserError("--out: a bundle holds nothing but itself, so say which folder the report goes to")
    frozen = [model.fit.card().tune == "frozen" for model in models]
    if adapt and not any(frozen):
        own = "; a bundle is adapted by `al-cxr adapt`, and then named here beside the first" if bundles else ""
        raise UserError(f"--adapt: {CANNOT}{own}")
    cards = [model.fit.card() for model in models] + [named.bundle.fits[0].card() for named in bundles]
    card = cards[0]
    for named in bundles:
        if (found := named.bundle.record.classes) != card.classes:
            what = f"its classes are {', '.join(found)}, those of the first model {', '.join(card.classes)}"
            raise UserError(f"{named.name}: {what}; evaluate them one by one")
    if target is None:
        target = _target(models, bundles)
    elif target not in card.classes:
        raise UserError(f"--target: the models know no class {target!r}, but {', '.join(card.classes)}")
    dataset = sources.load_for_evaluation(sources.parse(data), card.classes)
    if adapt:
        require_enough(len(dataset))
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {card.image_size} × {card.image_size} pixels")
    machine = Machine()
    store = external.open_store(cards, dataset, machine)
    notes = list(dataset.notes)
    known = external.seen_by(models).union(*(named.bundle.seen for named in bundles))
    if seen_before := seen.count(store, known):
        notes.insert(0, f"{seen_before:,} of {len(dataset):,} images trained or chose the models: no external test")
    known_N = {run: external.known_labels(run) if run else None for run in {m.run for m in models}}
    if any(labels is None for labels in known_N.values()):
        notes.append("the models' own validation labels cannot be read: neither a temperature nor a threshold")
    notes += [
        f"{named.name} holds no validation answers, as older bundles do: no threshold; make it anew with al-cxr bundle"
        for named in bundles
        if named.bundle.validation is None
    ]
    for note in notes:
        print(f"warning   {note}")
    runtime = plain(machine).activate()
    loaders = external.Loaders(store, runtime, default_cache())

    def judge(model: external.Named, adapt: bool = False) -> Judged:
        return _said(external.evaluate(model, dataset, loaders, runtime, known_N[model.run], adapt))

    variants = [[judge(model) for model in models]]
    if adapt:
        variants.append(
            [judge(m, True) if can else one for m, can, one in zip(models, frozen, variants[0], strict=True)]
        )
    if len(runs) > 1:
        variants = [[*some, _said(external.together(models, some, dataset.labels_N))] for some in variants]
    judged = list(dict.fromkeys(one for some in variants for one in some))
    for named in bundles:
        with tqdm(total=len(dataset), desc=named.name, unit=" images", disable=None, leave=False) as bar:
            judged.append(bundled.evaluate(named, dataset, store, bar.update))
        _said(judged[-1])
    if adapt:
        notes.append(
            f"models called adapted standardise by the features of the {len(dataset):,} images themselves, "
            "without their labels: what they would do where so many unlabelled images are at hand"
        )
    trained = dict.fromkeys(f"{c.data} ({c.fingerprint[:12]})" for c in cards)
    facts = {
        "command": provenance.command(),
        "commit": provenance.commit(),
        "models": f"{', '.join(map(str, folders))}, trained on {', '.join(trained)}",
        "data set": f"{dataset.stamp}, fingerprint {dataset_fingerprint(dataset, store)}",
        "attribution": attribution or dataset.attribution or "none given",
    }
    facts |= {named.name: bundled.described(named.bundle) for named in bundles}
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
        goal=goal or next((goal_from(named.bundle.record.decision.goal) for named in bundles), None),
        prevalences=shares,
        table=dataset.table,
    )
    print(f"report    {page}")


def _target(models: Sequence[external.Named], bundles: Sequence[bundled.Named]) -> str | None:
    """The class that the first model is about; None of a fit that was taken out of its run."""
    if models:
        return external.target_of(models[0].run) if models[0].run else None
    return bundles[0].bundle.record.target


def _said(one: Judged) -> Judged:
    tested = one.metrics
    print(f"{one.name}: accuracy {100 * tested.accuracy:.1f} % · macro F1 {100 * tested.macro.f1:.1f} %", flush=True)
    return one


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

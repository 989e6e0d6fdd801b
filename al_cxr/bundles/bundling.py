"""From the fits of an experiment to a bundle: everything that is chosen, chosen on validation, then tested once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from al_cxr.bundles.answers import serving_runtime
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.choices import choose, measure_on_test
from al_cxr.bundles.measured import split
from al_cxr.bundles.record import BundleRecord, Network
from al_cxr.bundles.validation import Validation
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord, read
from al_cxr.data.quality.usual import FILE as USUAL
from al_cxr.data.quality.usual import Usual, read_usual
from al_cxr.evaluation.operating import Goal
from al_cxr.experiment.external_test import Named, find_models
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.seen import of_run
from al_cxr.sampling.operators import NoRandomSite
from al_cxr.sampling.sites import find_sites

GOAL = Goal("sensitivity", 0.90)
COVERAGE = 0.90


def assemble(paths: Sequence[Path], goal: Goal = GOAL, coverage: float = COVERAGE) -> Bundle:
    """The bundle of a fit, of one arm's seed, of several seeds of an arm or baseline (an ensemble), or of several of
    these, trained on the same data set.

    Temperature, threshold (for the `goal`) and abstention (answering the share `coverage` of validation) come from the
    validation predictions that the fits hold. UserError where the path names several arms, or where the labels are not
    those that the fits were measured on.
    """
    if not 0 < coverage <= 1:
        raise UserError(f"--coverage {coverage:g}: must be a share of the validation images, above 0 and at most 1")
    found = _found(paths)
    fits = tuple(model.fit for model in found)
    runs = {model.run: read(model.run / "experiment.json", ExperimentRecord) for model in found if model.run}
    (run, experiment), card = next(iter(runs.items())), fits[0].model_card()
    target = str(experiment.settings["data"]["target"])
    val, test = split(run, experiment, fits, "val"), split(run, experiment, fits, "test")

    t = card.classes.index(target)
    chosen = choose(val.probs_NC, val.labels_N, t, goal, coverage)
    sites = _sites(fits)
    record = BundleRecord(
        version=2,
        name=_name(found, runs),
        classes=card.classes,
        target=target,
        image_size=card.image_size,
        networks=[
            Network(arch=c.arch, in_channels=c.in_channels, mean=c.mean, std=c.std) for c in map(Fit.model_card, fits)
        ],
        temperature=chosen.temperature.value,
        temperature_note=chosen.temperature.note,
        decision=chosen.decision,
        abstention=chosen.abstention,
        uncertainty=_uncertainty(len(fits), bool(sites)),
        passes=experiment.settings["scoring"]["passes"],
        random_sites=sites,
        data=experiment.data.model_copy(
            update={"notes": list(dict.fromkeys(n for r in runs.values() for n in r.data.notes))}
        ),
        n_labelled=[fit.record.n_labelled for fit in fits],
        command=" ; ".join(dict.fromkeys(one.command for one in runs.values())),
        commit=", ".join(dict.fromkeys(commit for one in runs.values() for commit in one.commit.split(", "))),
        versions=experiment.versions,
        val_images=len(val.labels_N),
        tested=measure_on_test(test, chosen, tuple(card.classes), t),
    )
    seen = frozenset().union(*map(of_run, runs))
    return Bundle(record, fits, seen, Validation(val.probs_NC, val.labels_N), usual_of(list(runs)))


def usual_of(runs: Sequence[Path]) -> Usual | None:
    """What the training images of runs on one data set look like, as the first that knows it has noted it."""
    return next((read_usual(run / USUAL) for run in runs if (run / USUAL).is_file()), None)


def _found(paths: Sequence[Path]) -> list[Named]:
    """The models that the paths stand for; UserError where they make no bundle."""
    found: list[Named] = []
    for path in paths:
        models = find_models(path)
        if len(groups := sorted({model.group for model in models})) > 1:
            raise UserError(f"{path}: holds the models of {', '.join(groups)}; name one of them, e.g. {path}/arms/ARM")
        if models[0].run is None:
            raise UserError(
                f"{path}: not inside a run folder; a bundle needs the labels that the run has of its validation images"
            )
        found += models
    if len({model.fit.folder.resolve() for model in found}) < len(found):
        raise UserError(f"{', '.join(map(str, paths))}: some of these hold the same models; name each once")
    first = found[0].fit.model_card()
    for path, card in ((model.fit.folder, model.fit.model_card()) for model in found):
        if (card.classes, card.image_size, card.fingerprint) != (first.classes, first.image_size, first.fingerprint):
            raise UserError(
                f"{path}: trained on {card.data} at {card.image_size} px, {found[0].fit.folder} on {first.data} at "
                f"{first.image_size} px; an ensemble's networks share their data set and image size"
            )
    return found


def _name(found: Sequence[Named], runs: Mapping[Path, ExperimentRecord]) -> str:
    """The experiments with their arm, or seed where there is one network alone."""
    if len(found) == 1:
        return f"{next(iter(runs.values())).name} {found[0].name}"
    return " + ".join(dict.fromkeys(f"{runs[m.run].name} {m.group}" for m in found if m.run))


def _uncertainty(networks: int, random: bool) -> Literal["members", "passes", "none"]:
    """What the mutual information of an image is between."""
    if networks > 1:
        return "members"
    return "passes" if random else "none"


def _sites(fits: Sequence[Fit]) -> list[str]:
    """The random sites of the networks; none where nothing in them is random."""
    runtime = serving_runtime()
    found: list[str] = []
    for fit in {fit.model_card().model_dump_json(): fit for fit in fits}.values():  # one of each card
        size = fit.model_card().image_size
        _, image = next(fit.loader(np.zeros((1, size, size), np.uint8), runtime).batches(np.arange(1), 1))
        with contextlib.suppress(NoRandomSite):
            found += [str(site) for site in find_sites(fit.model(runtime), torch.as_tensor(image))]
    return list(dict.fromkeys(found))

"""Hyper-parameters by trial on validation data, with a stated budget, the same for all arms.

Trial 0 is the experiment as it stands; the others are proposed by a tree-structured Parzen estimator (Bergstra et al.
2011, Algorithms for Hyper-Parameter Optimization) from those before. What is proposed depends on nothing else, so a
search that was killed goes on as if it had not been. No model is trained on, chosen by or measured on a test image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from al_cxr import models
from al_cxr.comparison.search_records import MeasuredRecord, SearchRecord, Trial, all_nested, load_trials, trial_folder
from al_cxr.config import Budget, Dimension, Search, Settings, Value
from al_cxr.config.files import differences, merge, validate
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.records import Timing, read, write
from al_cxr.core.seeds import rng, stream
from al_cxr.experiment.run_folder import note_commit
from al_cxr.experiment.workspace import Workspace, reopen
from al_cxr.sampling.scoring import predict
from al_cxr.strategies.budget import seed_set, seed_size
from al_cxr.training.trainer import Diverged, fit

SECTIONS = ("train", "model")
"""Of the settings, those that a search may vary; the others would change the question."""
DIGITS = 3
"""Significant digits of a proposed number: settings are to be read, and to be typed again."""


def check(settings: Settings, where: str) -> Search:
    """The search section; UserError where there is none, a key of its space is unknown or has no effect, or a value at
    an end of a range or among choices is no valid setting. `where` is the experiment file, for messages."""
    if settings.search is None:
        raise UserError(f"{where}: search: missing; add this section, with the settings to try under search.space")
    m = settings.model
    for key, dimension in settings.search.space.items():
        parts = key.split(".")
        if parts[0] not in SECTIONS and parts[0] in Settings.model_fields:
            raise UserError(
                f"{where}: search.space.{key}: only settings under {' and '.join(SECTIONS)} can be searched"
            )
        if parts[:2] == ["model", "options"] and parts[2:3] != [m.arch]:
            raise UserError(
                f"{where}: search.space.{key}: has no effect, as model.arch is {m.arch}; write "
                f"model.options.{m.arch}.OPTION"
            )
        for value in dimension.ends():
            tried = override(settings, {key: value}, f"{where}: search.space").model
            if parts[0] == "model":
                try:
                    models.build(tried.arch, tried.in_channels, 2, settings.data.image_size, tried.arguments())
                except UserError as error:
                    raise UserError(f"{where}: search.space: {error}") from None
    return settings.search


def search(
    workspace: Workspace,
    trials: int,
    seconds: float | None = None,
    tell: Callable[[list[Trial]], None] = lambda done: None,
) -> list[Trial]:
    """All trials of a search, of which those that are in the workspace's folder are not done again.

    At least one is done; no other is begun once there are `trials`, or once they took `seconds` in all. `tell` gets
    the trials so far after each new one. Everything runs in this process, one training after the other. UserError
    where the folder holds another search.
    """
    settings, folder = workspace.settings, workspace.folder
    assert settings.search is not None
    record = _record(workspace, settings.search)
    _keep(folder / "search.json", record)
    done = before = load_trials(folder, record.seeds)
    while not done or (len(done) < trials and (seconds is None or sum(t.seconds for t in done) < seconds)):
        if done is before:
            note_commit(workspace.folder)
        _perform(workspace, record, done)
        done = load_trials(folder, record.seeds)
        tell(done)
    return done


def override(settings: Settings, values: Mapping[str, Any], where: str) -> Settings:
    """Settings with some of them replaced, by dotted name; UserError where they are not valid."""
    return validate(merge(settings.model_dump(mode="json"), all_nested(values)), where)


def current(settings: Settings) -> dict[str, Value]:
    """What the settings of the space are in the experiment as it stands; null where a part of the name is null."""
    assert settings.search is not None
    m = settings.model
    data = settings.model_dump(mode="json")
    data["model"]["options"][m.arch] = {**models.defaults(m.arch), **m.arguments()}
    return {key: _at(data, key.split(".")) for key in settings.search.space}


def _at(data: Any, parts: list[str]) -> Value:
    for part in parts:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data if isinstance(data, (str, int, float, bool)) else None


def propose(record: SearchRecord, target: str, done: list[Trial]) -> dict[str, Value]:
    """The values of the next trial, a function of the record and the trials so far alone."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=stream(record.seeds[0], "search", len(done)) % 2**32)
    direction = "minimize" if record.objective == "loss" else "maximize"
    study = optuna.create_study(sampler=sampler, direction=direction)
    space = {key: _distribution(optuna, dimension) for key, dimension in record.space.items()}
    for trial in done:
        value = trial.mean(record.objective, target)
        # The experiment as it stands need not lie in the space; a trial that failed teaches the sampler nothing.
        if np.isfinite(value) and all(record.space[key].holds(v) for key, v in trial.values.items()):
            study.add_trial(optuna.trial.create_trial(value=value, params=trial.values, distributions=space))
    proposed = study.ask(fixed_distributions=space).params
    return {key: dimension.rounded(proposed[key], DIGITS) for key, dimension in record.space.items()}


def _perform(workspace: Workspace, record: SearchRecord, done: list[Trial]) -> None:
    """Train the next trial once a seed; seeds that are on disk are not trained again."""
    settings, number = workspace.settings, len(done)
    place = trial_folder(workspace.folder, number)
    begun = [path for path in (place / f"seed-{s}.json" for s in record.seeds) if path.exists()]
    if begun:
        values = read(begun[0], MeasuredRecord).values
    else:
        values = propose(record, settings.data.target, done) if number else current(settings)
    tried = override(settings, values, f"trial {number}") if number else settings
    own = reopen(workspace.folder, tried)
    for seed in record.seeds:
        path = place / f"seed-{seed}.json"
        if not path.exists():
            _measure(own, record, number, values, seed, path)


def _measure(
    workspace: Workspace, record: SearchRecord, number: int, values: dict[str, Value], seed: int, path: Path
) -> None:
    """Train on the seed's labelled images, and measure the model of the monitored epoch on validation."""
    dataset, runtime = workspace.dataset, workspace.runtime
    labelled = seed_set(workspace.train_index, record.n_labelled, rng(seed, "seed_set"))
    checkpoint = path.with_suffix(".safetensors")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    model, started = workspace.build_model(seed), time.perf_counter()
    try:
        fitted = fit(model, workspace.task(record.loss, seed, labelled), checkpoint, f"trial {number} seed {seed}")
    except Diverged as error:  # which is an answer: these settings do not train
        timing = Timing(train=time.perf_counter() - started)
        measured = MeasuredRecord(trial=number, seed=seed, values=values, best_epoch=None, val=None, failed=str(error))
    else:
        started = time.perf_counter()
        val = dataset.indices("val")
        probs_NC = predict(fitted.model, workspace.loader.batches(val, runtime.score_batch))
        metrics = measure(probs_NC, dataset.labels_N[val], dataset.classes)
        timing = Timing(
            train=fitted.seconds, evaluate=time.perf_counter() - started, images_per_second=fitted.images_per_second
        )
        measured = MeasuredRecord(trial=number, seed=seed, values=values, best_epoch=fitted.best_epoch, val=metrics)
    write(path.with_suffix(".timing.json"), timing)
    write(path, measured)  # last: its presence says that this training is done
    checkpoint.unlink(missing_ok=True)


def _record(workspace: Workspace, search: Search) -> SearchRecord:
    _optuna()
    return SearchRecord(
        space=search.space,
        seeds=search.seeds,
        labels=search.labels,
        n_labelled=seed_size(Budget(seed=search.labels), len(workspace.train_index)),
        objective=search.objective,
        loss=workspace.settings.baseline.loss,
        sampler=f"optuna {version('optuna')}, TPE",
    )


def _keep(path: Path, record: SearchRecord) -> None:
    """Write what is searched, or compare it with what the folder holds."""
    if not path.exists():
        write(path, record)
        return
    old, new = (r.model_dump(mode="json", exclude={"sampler"}) for r in (read(path, SearchRecord), record))
    if changed := differences(old, new):
        raise UserError(
            f"{path.parent} holds another search:\n  "
            + "\n  ".join(changed)
            + "\ngive this one another --name, or delete the folder"
        )


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    if dimension.choices is not None:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    kind = optuna.distributions.IntDistribution if dimension.whole else optuna.distributions.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError('a search needs the package optuna; install it with: pip install "al-cxr[search]"') from None
    return optuna

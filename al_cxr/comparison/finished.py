"""Finished runs, read back from their records; arms that cannot be compared are refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from al_cxr.comparison.images import read_images
from al_cxr.config import Settings
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import EDITED, first_reason
from al_cxr.core.nearest import hint
from al_cxr.core.records import (
    BaselineRecord,
    ExperimentRecord,
    FitRecord,
    QueryRecord,
    RoundRecord,
    StopRecord,
    Timing,
    fits_folder,
    read,
)

SHARED = ("seed_set", "initial_weights", "loader", "masks", "test_set", "data")
BASELINE_SHARED = ("initial_weights", "loader", "test_set", "data")


@dataclass(frozen=True, eq=False)
class Finished:
    """All that a run folder holds, as far as it got; `gaps` says in words what is missing.

    Two are equal where they are the same object, so that what is computed from one can be kept beside it.
    """

    folder: Path
    experiment: ExperimentRecord
    settings: Settings
    rounds: dict[tuple[str, int], list[RoundRecord]] = field(default_factory=dict)
    """(arm, seed) -> rounds 0, 1, 2, ... without a hole, arms and seeds in the order of the settings."""
    queries: dict[tuple[str, int], list[QueryRecord]] = field(default_factory=dict)
    baselines: dict[int, BaselineRecord] = field(default_factory=dict)
    timings: dict[tuple[str, int, int], Timing] = field(default_factory=dict)
    """(arm, seed, round): training of the round's model and of the other members of an ensemble that chose the round's
    images, and scoring of the pool that did."""
    baseline_timings: dict[int, Timing] = field(default_factory=dict)
    images: pd.DataFrame | None = None
    """What is known of each image, a row at its absolute index; None in runs that were made without images.csv."""
    stopped: dict[tuple[str, int], StopRecord] = field(default_factory=dict)
    """(arm, seed) -> why it asked for no more labels before its budget was spent."""
    gaps: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.settings.data.target

    @property
    def train_size(self) -> int:
        return sum(self.experiment.data.counts["train"].values())

    def fit(self, key: str) -> FitRecord:
        return read(self.fit_folder(key) / "fit.json", FitRecord)

    def fit_folder(self, key: str) -> Path:
        """Folder of one trained model; UserError where the key would leave the run's folder."""
        if Path(key).name != key or key == "..":
            raise UserError(
                f"{self.folder}: a record names the model {key!r}, which cannot be one; put the record back"
            )
        return fits_folder(self.folder, self.experiment.regime) / key

    def random_counterpart(self, arm: str) -> str | None:
        """The random arm with the loss of an arm; None where there is none, and of that arm itself."""
        arms = self.settings.arms
        counterpart = next((n for n, a in arms.items() if a.strategy == "random" and a.loss == arms[arm].loss), None)
        return None if counterpart == arm else counterpart

    @property
    def count(self) -> int:
        """Rounds of the longest run, round 0 among them."""
        return max((len(rounds) for rounds in self.rounds.values()), default=0)

    def at(self, arm: str, seed: int, number: int) -> RoundRecord | None:
        """The model that stands for an arm at a round: the round's own or, where the arm asks for no more labels (a
        rule stopped it, or the pool is empty), its last one, so that it does not leave the means. None: not yet there.
        """
        rounds = self.rounds.get((arm, seed), [])
        if number < len(rounds):
            return rounds[number]
        ended = (arm, seed) in self.stopped or (rounds and rounds[-1].n_labelled >= self.train_size)
        return rounds[-1] if rounds and ended else None

    def last(self, arm: str) -> list[RoundRecord]:
        """The arm at its last finished round, one record a seed that got there or stopped before; empty: none did."""
        end = max((len(rounds) for (name, _), rounds in self.rounds.items() if name == arm), default=0)
        there = [self.at(arm, seed, end - 1) for (name, seed) in self.rounds if name == arm and end]
        return [record for record in there if record is not None]


def _timing(record: Path) -> Timing:
    beside = record.with_suffix(".timing.json")
    return read(beside, Timing) if beside.exists() else Timing(train=float("nan"), score=float("nan"))


def _open(run_dir: Path) -> Finished:
    """The experiment and its baselines, without the arms."""
    path = run_dir / "experiment.json"
    if not path.exists():
        example = Path("runs") / (run_dir.name if (Path("runs") / run_dir.name).is_dir() else "tb_entropy")
        raise UserError(
            f"{run_dir}: no such run folder; name one that `al-cxr run` or `al-cxr baseline` wrote, such as {example}"
        )
    experiment = read(path, ExperimentRecord)
    try:
        settings = Settings.model_validate(experiment.settings)
    except ValidationError as error:
        raise UserError(f"{path}: settings.{first_reason(error)}: {EDITED}; run it again") from None
    if settings.data.target not in experiment.data.classes:
        raise UserError(
            f"{path}: no class {settings.data.target!r}{hint(settings.data.target, experiment.data.classes)}"
        )
    if "train" not in experiment.data.counts or "test" not in experiment.data.counts:
        raise UserError(f"{path}: data.counts has no train or no test images: {EDITED}")
    finished = Finished(run_dir, experiment, settings, images=read_images(run_dir))
    for seed in settings.seeds:
        record = run_dir / "baseline" / f"seed-{seed}.json"
        if record.exists():
            baseline = read(record, BaselineRecord)
            finished.baselines[seed] = baseline
            finished.baseline_timings[seed] = _timing(finished.fit_folder(baseline.fit) / "fit.json")
    return finished


def _with_gaps(finished: Finished, gaps: list[str]) -> Finished:
    gaps += [f"baseline seed {s}: not finished" for s in finished.settings.seeds if s not in finished.baselines]
    return replace(finished, gaps=tuple(gaps))


def load_baseline(run_dir: Path) -> Finished:
    """The fully labelled models of a folder that `al-cxr baseline` (or `al-cxr run`) wrote; UserError if none."""
    finished = _open(run_dir)
    if not finished.baselines:
        raise UserError(f"{run_dir}: no baseline is finished there yet; start the same command again to go on")
    return _with_gaps(finished, [])


def load(run_dir: Path) -> Finished:
    """Read an experiment back, as far as it got.

    Parameters
    ----------
    run_dir : Path
        The folder that `al-cxr run` wrote.

    Returns
    -------
    Finished
        Its records; `gaps` says in words what is missing.

    Raises
    ------
    UserError
        The folder is missing or has no finished round, or arms do not share what arms of a seed must share: seed set,
        initial weights, test set, data.
    """
    finished = _open(run_dir)
    settings = finished.settings
    if not settings.arms:
        raise UserError(f"{run_dir}: holds fully labelled models and no arms; it was written by `al-cxr baseline`")
    gaps = []
    for arm in settings.arms:
        for seed in settings.seeds:
            folder = run_dir / "arms" / arm / f"seed-{seed}"
            rounds: list[RoundRecord] = []
            while (path := folder / f"round-{len(rounds)}.json").exists():
                rounds.append(read(path, RoundRecord))
            queries = [folder / f"query-{r}.json" for r in range(len(rounds))]
            finished.rounds[arm, seed] = rounds
            finished.queries[arm, seed] = [read(path, QueryRecord) for path in queries if path.exists()]
            asked = {query.round: query for query in finished.queries[arm, seed]}
            for r, record in enumerate(rounds):
                timing = _timing(finished.fit_folder(record.fit) / "fit.json")
                score = _timing(queries[r - 1]).score if r else float("nan")
                others = asked[r - 1].members[1:] if r - 1 in asked else []
                train = timing.train + sum(_timing(finished.fit_folder(k) / "fit.json").train for k in others)
                finished.timings[arm, seed, r] = timing.model_copy(update={"train": train, "score": score})
            if not rounds:
                gaps.append(f"{arm} seed {seed}: no round is finished")
            elif (folder / "stopped.json").exists():
                finished.stopped[arm, seed] = read(folder / "stopped.json", StopRecord)
            # An emptied pool ends a run early: that is complete too.
            elif len(rounds) <= settings.budget.rounds and rounds[-1].n_labelled < finished.train_size:
                reached = f"rounds 0-{len(rounds) - 1}" if len(rounds) > 1 else "round 0"
                gaps.append(f"{arm} seed {seed}: {reached} of {settings.budget.rounds}")
    if not any(finished.rounds.values()):
        raise UserError(f"{run_dir}: no round is finished there yet; `al-cxr run` on the same experiment goes on")
    _check_shared(finished)
    return _with_gaps(finished, gaps)


def _check_shared(finished: Finished) -> None:
    """Arms of a seed are comparable only where they started alike."""
    first: dict[tuple[int, int], RoundRecord] = {}
    for (arm, seed), rounds in finished.rounds.items():
        for record in rounds:
            other = first.setdefault((seed, record.round), record)
            for key in SHARED:
                if key not in record.hashes or record.hashes[key] != other.hashes.get(key):
                    raise UserError(
                        f"{finished.folder}: arms {other.arm} and {arm} of seed {seed} differ in {key} at round "
                        f"{record.round}, so they cannot be compared; delete the folder of one and run again"
                    )
    for (seed, number), record in first.items():
        baseline = finished.baselines.get(seed)
        for key in BASELINE_SHARED:
            if baseline and baseline.hashes.get(key) != record.hashes[key]:
                raise UserError(
                    f"{finished.folder}: the baseline and arm {record.arm} of seed {seed} differ in {key} at round "
                    f"{number}, so they cannot be compared; delete the folder of one and run again"
                )

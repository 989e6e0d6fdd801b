"""One arm, one seed: train, record, query, ask, tell, again. Goes on wherever it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from al_cxr import strategies
from al_cxr.config import Budget
from al_cxr.core.errors import UserError
from al_cxr.core.records import QueryRecord, RoundRecord, StopRecord, Timing, read, write
from al_cxr.core.seeds import digest, loader_hash, masks_hash, rng
from al_cxr.experiment.executor import Executor
from al_cxr.experiment.fits import Fit, obtain, obtain_members
from al_cxr.experiment.pool_scoring import PoolScoring
from al_cxr.experiment.query import choose
from al_cxr.experiment.workspace import Workspace
from al_cxr.strategies import stopping
from al_cxr.strategies.budget import seed_set, seed_size
from al_cxr.strategies.pool import Pool

STOPPED = "stopped.json"
"""File in the folder of an arm that stopped before its budget was spent."""

Oracle = Callable[[np.ndarray], np.ndarray]
"""Absolute indices (n,) -> their labels (n,). In a simulation the data set knows them; a person may answer as well."""


class Arm:
    """One arm with one seed: its pool, its folder, and the models that it has trained so far.

    What is on disk already is replayed, not computed: rounds and queries are written atomically and in order, so a
    folder that was left at any moment is a prefix of the finished one.
    """

    def __init__(self, workspace: Workspace, name: str, seed: int, oracle: Oracle, executor: Executor) -> None:
        self.workspace, self.name, self.seed = workspace, name, seed
        self.oracle, self.executor = oracle, executor
        self.settings, self.budget = workspace.settings.arms[name], workspace.settings.budget
        self.folder = arm_folder(workspace.folder, name, seed)
        dataset, train = workspace.dataset, workspace.train_index
        self.seed_set = seed_labels(self.budget, train, seed)
        self.pool = Pool(len(dataset), train, len(dataset.classes))
        self.fits: list[Fit] = []
        """The model of each round."""
        self.uncertainties: list[float | None] = []
        """The mean uncertainty of the pool in each query."""

    def run(self) -> None:
        """Active learning: to the end of the budget, or until the stopping rule says so."""
        chosen = self.seed_set
        for number in range(self.budget.rounds + 1):
            new = self.ask(chosen)
            self.pool.tell(new, self.oracle(new))
            self.train(number)
            self.record(number, new)
            if number == self.budget.rounds or len(self.pool.unlabelled) == 0 or self.stops():
                return
            chosen = np.array(self.query(number).indices, np.int64)
            if self.stops():
                return

    def ask(self, chosen: np.ndarray) -> np.ndarray:
        """The images to be labelled: the pool checks that they may be asked for, and no strategy gets around it."""
        return self.pool.ask(len(chosen), lambda candidates, count: chosen)

    def train(self, number: int) -> None:
        """Train on what is labelled."""
        title = f"{self.name} seed {self.seed} round {number}"
        self.fits.append(obtain(self.workspace, self.settings.loss, self.seed, self.pool.labelled, title))

    def record(self, number: int, new: np.ndarray) -> None:
        """Write down how the model of a round does; UserError where the folder holds another result of the round."""
        workspace, fit = self.workspace, self.fits[-1].record
        record = RoundRecord(
            arm=self.name,
            strategy=self.settings.acquisition,
            loss=self.settings.loss,
            seed=self.seed,
            round=number,
            n_labelled=len(self.pool.labelled),
            labelled_classes=workspace.labels_by_class(self.pool.labelled),
            acquired=workspace.labels_by_class(new),
            hashes={
                "seed_set": digest(self.seed_set),
                "initial_weights": fit.initial_weights_hash,
                "loader": loader_hash(self.seed, workspace.settings.train.parts),
                "masks": masks_hash(self.seed, number, workspace.settings.scoring.passes),
                "test_set": digest(workspace.dataset.indices("test")),
                "data": workspace.data_card.fingerprint,
            },
            fit=fit.key,
            steps=fit.steps,
            val=fit.val,
            test=fit.test,
        )
        path = self.folder / f"round-{number}.json"
        if not path.exists():
            write(path, record)
        elif read(path, RoundRecord) != record:
            raise UserError(
                f"{path}: these settings, data and code now give another result, so the run cannot go on from it; "
                f"delete {self.folder} to compute it again, or give this run another --name"
            )

    def query(self, number: int) -> QueryRecord:
        """Choose what to label next, and write it down."""
        path = self.folder / f"query-{number}.json"
        if path.exists():
            query = read(path, QueryRecord)
        else:
            strategy = strategies.get(self.settings.strategy, self.settings.options, f"arms.{self.name}")
            fits = [self.fits[-1]]
            if "ensemble" in strategy.needs:
                title = f"{self.name} seed {self.seed} round {number}"
                fits = obtain_members(self.workspace, self.settings.loss, self.seed, self.pool.labelled, title)
            started = time.perf_counter()
            scoring = PoolScoring(self.workspace, strategy, self.pool, self.seed, number, self.executor)
            query = choose(scoring, self.name, fits)
            write(self.folder / f"query-{number}.timing.json", Timing(score=time.perf_counter() - started))
            write(path, query)
        self.uncertainties.append(query.uncertainty)
        return query

    def stops(self) -> bool:
        """Whether the stopping rule ends the arm after what is known so far; it is written down then."""
        stop, target = self.workspace.settings.stop, self.workspace.settings.data.target
        if stop.rule == "budget":
            return False
        not_asked = [None] * (len(self.fits) - len(self.uncertainties))
        history = stopping.History(
            f1=tuple(fit.record.val.of(target).f1 for fit in self.fits),
            uncertainty=(*self.uncertainties, *not_asked),
            predictions=tuple(fit.predictions("val")[1].argmax(axis=1) for fit in self.fits),
        )
        reason = stopping.decide(stop.rule, history, **stop.options)
        if reason is not None:
            write(self.folder / STOPPED, StopRecord(round=len(self.fits) - 1, reason=reason))
        return reason is not None


def seed_labels(budget: Budget, train_index: np.ndarray, seed: int) -> np.ndarray:
    """The images that are labelled at the start of a seed, the same for all arms; absolute indices, ascending."""
    return seed_set(train_index, seed_size(budget, len(train_index)), rng(seed, "seed_set"))


def arm_folder(run: Path, arm: str, seed: int) -> Path:
    """Where the records of an arm with a seed lie in a run folder."""
    return run / "arms" / arm / f"seed-{seed}"

"""What a project chooses by: the archive's features, the head that is trained between answers, and what it proposes.

Before there is a head, typical images are proposed (TypiClust), or those that the bundle of `--start` is least sure of.
Training takes nobody's time: whoever asks gets what the last head proposed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.core.seeds import rng
from al_cxr.labelling import heads
from al_cxr.labelling.acquisition import UNIFORM, Proposal, propose
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.features import ProjectFeatures
from al_cxr.labelling.heads import HeadModel
from al_cxr.labelling.learner import Learner, statistics_of
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.start import StartModel
from al_cxr.labelling.state import State
from al_cxr.labelling.streams import TO_LEARN, Streams
from al_cxr.strategies import PoolStatistics, get

AHEAD = 64
"""Questions that a ranking is made for; more are proposed when they are used up."""
CLUSTERED = 10_000
"""Images among which typical ones are looked for."""


@dataclass(frozen=True, eq=False)
class Known:
    """What the answers say by now, as far as choosing hangs on it."""

    index_M: np.ndarray
    """Images that may be learned from: labelled, with features, of patients who are not set aside."""
    labels_M: np.ndarray
    pool_M: np.ndarray
    """Images with features that may be asked for next, ascending."""
    learned: int
    """Questions of the streams to learn from that are closed."""
    turn: int
    """Questions in all."""
    news: int
    """Answers since the last head was trained."""


class Chooser:
    """Trains heads and proposes images. Threads may share one."""

    def __init__(self, folder: Path, settings: ProjectSettings, archive: Archive) -> None:
        self._folder, self._settings, self._archive = folder, settings, archive
        self.features = ProjectFeatures(folder, settings, archive)
        self.start = StartModel(folder, settings, archive) if settings.start else None
        self.learner = Learner(len(settings.classes), settings.head.penalty, settings.seed)
        self.strategy = get(settings.acquisition.strategy, settings.acquisition.options, "acquisition")
        self.model: HeadModel | None = None
        """The last head."""
        self._proposal: Proposal | None = None
        self._made = (0, "", 0, 0)
        """Turn up to which the proposal is good, its model, the images with features that it was made from, and all."""
        self._lock = threading.RLock()

    def known(self, state: State, streams: Streams) -> Known:
        """Read off the state, in a moment, so that nobody who answers waits."""
        ready_N, classes, index_of = self.features.ready_N, self._settings.classes, self._archive.index_of
        labels = [(index_of[image], classes.index(label)) for image, label in state.labels().items()]
        lesson = sorted((i, label) for i, label in labels if ready_N[i] and not streams.reserved_N[i])
        index_M, labels_M = np.array(lesson, np.int64).reshape(-1, 2).T
        questions, last = state.questions.values(), state.models[-1].number if state.models else 0
        left_N = ready_N & self._archive.present_N & ~streams.reserved_N
        left_N[[i for i, _ in labels]] = False
        left_N[[index_of[q.image] for q in questions if q.closed]] = False
        left_N[[index_of[image] for image in state.dropped()]] = False
        return Known(
            index_M,
            labels_M,
            np.flatnonzero(left_N),
            sum(q.stream in TO_LEARN and q.closed for q in questions),
            len(questions),
            sum(q.outcome is not None and q.outcome.number > last for q in questions),
        )

    def recall(self, state: State) -> None:
        """Take the last head that was trained from the disk, by whatever process."""
        if state.models and (self.model is None or self.model.key != state.models[-1].model):
            self.model = heads.kept(self._folder, str(state.models[-1].model)) or self.model

    def due(self, known: Known) -> bool:
        """Whether there are labels enough that the last head has not seen."""
        if len(np.unique(known.labels_M)) < 2:
            return False
        return self.model is None or known.news >= self._settings.head.every

    def fit(self, known: Known) -> HeadModel:
        """The head of what is labelled now, kept in the project."""
        features_NK, ready_N = self.features.features_NK, self.features.ready_N
        model = self.learner.fit(features_NK, ready_N, known.index_M, known.labels_M)
        heads.keep(self._folder, model)
        return model

    def train(self, known: Known) -> HeadModel:
        """The same, which chooses from now on. It proposes first: who asks meanwhile gets what the last one did."""
        model = self.fit(known)
        if known.learned < self._settings.acquisition.first:
            with self._lock:
                self.model = model
            return model
        made = (known.turn + AHEAD, model.key, int(self.features.ready_N.sum()), len(self._archive))
        proposal = self._propose(known, model, AHEAD)
        with self._lock:
            self.model, self._proposal, self._made = model, proposal, made
        return model

    def proposal(self, known: Known, n: int) -> Proposal:
        """What to ask for next, good for n questions; made anew where the head is new or a ranking is used up."""
        model = self.model if known.learned >= self._settings.acquisition.first else None
        key, ready, size = model.key if model else "", int(self.features.ready_N.sum()), len(self._archive)
        with self._lock:
            until, made_key, made_ready, made_size = self._made
            # As the features come in, typical images are looked for anew at every doubling.
            more = not model and ready >= 2 * made_ready and ready > made_ready
            stale = more or (key, size) != (made_key, made_size)
            if self._proposal is None or stale or known.turn + n > until:
                ahead = max(n, AHEAD)
                self._proposal = self._propose(known, model, ahead)
                self._made = (known.turn + ahead, key, ready, size)
            return self._proposal

    def _propose(self, known: Known, model: HeadModel | None, count: int) -> Proposal:
        s, size, pool_M = self._settings, len(self._archive), known.pool_M
        chance = rng(s.seed, "propose", known.turn)
        if model is not None and len(pool_M):
            statistics = statistics_of(
                self.strategy,
                model,
                self.learner,
                self.features.features_NK,
                pool_M,
                known.index_M,
                known.labels_M,
                s.classes.index(s.target),
                s.head.passes,
                s.head.dropout,
            )
            return propose(self.strategy, statistics, count, size, model.key, chance)
        if self.start is not None:
            return self.start.proposal(pool_M, count, chance)
        if len(pool_M) < count:
            return UNIFORM
        some_M = np.sort(chance.permutation(pool_M)[:CLUSTERED])
        statistics = PoolStatistics(some_M, features_NK=self.features.features_NK[some_M])
        return propose(get("typiclust"), statistics, count, size, "", chance)

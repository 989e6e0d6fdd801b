"""Which image is asked for next, and in which stream: to learn from, to test on, or to measure the readers.

The streams come in a random order that follows from the project's seed; what a reader is given says nothing of them.

- **audit**: a share of the patients is set aside before anything is asked, by a hash of the seed and the patient: of
  them nothing is ever trained on. They are asked for in a random order, one image of each, drawn at random. So the
  audited images are a uniform random sample of the archive's patients, and q is 1 / (patients left) / (their images).
- **seed**, **acquisition**: from all other patients, one image after another, as `al_cxr.labelling.acquisition` says.
- **second**, **repeat**: drawn uniformly from audited images that another reader, or this one some time ago, has
  labelled, so that agreement is measured on a random sample too.

A stream that has nothing to ask gives way to acquisition, and that to audit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from al_cxr.core.seeds import rng
from al_cxr.labelling.acquisition import Proposal
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.pool import pool_of
from al_cxr.labelling.questions import Question
from al_cxr.labelling.queues import repeats, second_reads
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.state import State

TO_LEARN = ("seed", "acquisition")
DEALT = (*TO_LEARN, "audit", "second", "repeat")
"""Streams whose turns come by chance."""


@dataclass(frozen=True)
class Deal:
    """One image to ask for."""

    index: int
    stream: str
    q: float | None
    """Probability with which it was chosen, given its stream and all that happened before; None where that is not
    known, as no chance was in it."""
    strategy: str
    model: str = ""


class Streams:
    """The streams of a project's archive as it is now."""

    def __init__(self, settings: ProjectSettings, archive: Archive) -> None:
        self._settings, self._archive = settings, archive
        self._patients = archive.patients
        shares = {patient: _share(settings.seed, "reserve", patient) for patient in set(self._patients)}
        self.reserved_N = np.array([shares[p] < settings.streams.audit for p in self._patients], bool)
        """Whether an image's patient is set aside to be tested on, and never trained on."""
        aside = {self._patients[i] for i in np.flatnonzero(self.reserved_N).tolist()}
        order = {p: rank for rank, p in enumerate(sorted(aside, key=lambda p: _share(settings.seed, "order", p)))}
        self.rank_N = np.array([order.get(patient, -1) for patient in self._patients], np.int64)
        """Place of an image's patient in the order of the audit; -1 of those who are not set aside."""

    def deal(
        self, state: State, reader: str, now: datetime, n: int, proposal: Proposal, readable_N: np.ndarray
    ) -> list[Deal]:
        """The next n questions of a reader; fewer where there is nothing left that the reader could be asked.

        `readable_N` is False for images that are known to be unreadable.
        """
        table = _Table(self, state, reader, now, self._archive.present_N & readable_N)
        turn = sum(question.stream in DEALT for question in state.questions.values())
        dealt: list[Deal] = []
        while len(dealt) < n and (deal := self._next(table, turn + len(dealt), proposal)) is not None:
            dealt.append(deal)
            table.take(deal)
        return dealt

    def stream_of(self, turn: int) -> str:
        """The stream whose turn it is, as chance has it."""
        s, drawn = self._settings.streams, rng(self._settings.seed, "stream", turn).random()
        for stream, share in (("audit", s.audit), ("second", s.second), ("repeat", s.repeat)):
            if drawn < share:
                return stream
            drawn -= share
        return "acquisition"

    def _next(self, table: _Table, turn: int, proposal: Proposal) -> Deal | None:
        chance, stream = rng(self._settings.seed, "deal", turn), self.stream_of(turn)
        if stream in ("second", "repeat"):
            among = table.second if stream == "second" else table.repeat
            if among:
                return Deal(among[int(chance.integers(len(among)))], stream, 1 / len(among), "random")
        if stream == "audit" and (deal := self._audit(table)) is not None:
            return deal
        allowed_N = table.open_N & ~self.reserved_N
        if not allowed_N.any():
            return self._audit(table)
        early = table.learned < self._settings.acquisition.first and not proposal.model
        explore = max(self._settings.acquisition.explore, 0.5) if early else self._settings.acquisition.explore
        index, q = proposal.draw(allowed_N, explore, chance)
        return Deal(index, "acquisition" if proposal.model else "seed", q, proposal.strategy, proposal.model)

    def _audit(self, table: _Table) -> Deal | None:
        """One image of the next patient who is set aside."""
        open_N = table.open_N & self.reserved_N & ~np.isin(self.rank_N, list(table.audited))
        images_R = np.bincount(self.rank_N[open_N])  # those that are left of each patient, by rank
        left = np.flatnonzero(images_R)
        if not len(left):
            return None
        among = np.flatnonzero(open_N & (self.rank_N == left[0])).tolist()
        index = min(among, key=lambda i: _share(self._settings.seed, "image", self._archive.images[i].digest))
        return Deal(index, "audit", 1 / len(left) / len(among), "random")


class _Table:
    """What may be asked of one reader now."""

    def __init__(self, streams: Streams, state: State, reader: str, now: datetime, usable_N: np.ndarray) -> None:
        self._rank_N = streams.rank_N
        index_of = streams._archive.index_of
        self.open_N = np.zeros_like(usable_N)
        self.open_N[pool_of(state, index_of, streams._settings.classes, now).free] = True
        self.open_N &= usable_N
        self.audited: set[int] = set()
        """Ranks of the patients who were asked for."""
        self.learned = 0
        for question in state.questions.values():
            if (at := index_of.get(question.image)) is None:
                continue  # another process found the image a moment ago
            if question.reader == reader:
                self.open_N[at] = False  # what this reader skipped is for others
            if question.closed or question.held(now):
                self.learned += question.stream in TO_LEARN
                if question.stream == "audit":
                    self.audited.add(int(self._rank_N[at]))

        def to_measure(images: Iterable[str]) -> list[int]:
            labelled = (i for i in images if state.verdict(i).status in ("labelled", "disagreed"))
            return sorted(at for at in map(index_of.__getitem__, labelled) if usable_N[at] and self._rank_N[at] >= 0)

        self.second = to_measure(second_reads(state, reader, now))
        self.repeat = to_measure(repeats(state, reader, streams._settings.streams.gap))

    def take(self, deal: Deal) -> None:
        """What was dealt is not dealt again."""
        self.open_N[deal.index] = False
        self.learned += deal.stream in TO_LEARN
        if deal.stream == "audit":
            self.audited.add(int(self._rank_N[deal.index]))
        for among in (self.second, self.repeat):
            if deal.index in among:
                among.remove(deal.index)


def _share(seed: int, purpose: str, *of: str) -> float:
    """A number in 0..1 that hangs on the seed, the purpose and the patient alone, however the archive grows."""
    text = "\0".join([str(seed), purpose, *of])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56


def audited(state: State, archive: Archive, streams: Streams) -> list[Question]:
    """The audit's questions that have been closed, in the order in which they were asked, one a patient."""
    found: dict[int, Question] = {}
    for question in state.questions.values():
        if question.stream == "audit" and question.closed:
            found.setdefault(int(streams.rank_N[archive.index_of[question.image]]), question)
    return list(found.values())

"""Labels to read again: those that models doubt which have not learned from them, each once.

They come in a stream of their own and from nobody who is set aside, so that no figure of the audit hangs on what a
model thought of an answer. The reader sees neither the label nor that it is doubted. What the reader says counts as any
answer: of the same reader it corrects the first, of another it agrees, or goes to who decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from al_cxr.evaluation.doubt import active_lab, confident_errors, self_confidence
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.chooser import Chooser, Known
from al_cxr.labelling.folds import out_of_fold
from al_cxr.labelling.queues import holders
from al_cxr.labelling.state import State
from al_cxr.labelling.streams import Deal
from al_cxr.labelling.verdicts import reads

STREAM = "doubt"


@dataclass(frozen=True, eq=False)
class Doubts:
    """Labelled images, those whose labels are doubted most first."""

    index_M: np.ndarray
    score: str
    """What they are ranked by, for the log."""

    def deal(self, state: State, archive: Archive, reader: str, now: datetime, n: int) -> list[Deal]:
        """The next n for a reader: nobody has read them again or has them in hand, and nobody has decided on them."""
        held = holders(state, now)

        def free(index: int) -> bool:
            image = archive.images[index]
            again = [q for q in state.images[image.digest].questions if q.stream == STREAM]
            settled = state.verdict(image.digest).adjudicated or any(q.closed for q in again)
            mine = any(q.reader == reader for q in again)
            return image.present and not settled and not mine and image.digest not in held

        left = [index for index in self.index_M.tolist() if free(index)]
        return [Deal(index, STREAM, None, self.score) for index in left[: max(n, 0)]]

    def left(self, state: State, archive: Archive) -> int:
        """How many were not read again yet."""
        images = [state.images[archive.images[index].digest] for index in self.index_M.tolist()]
        return sum(not any(q.stream == STREAM and q.closed for q in image.questions) for image in images)


def doubts_of(state: State, known: Known, chooser: Chooser, archive: Archive) -> Doubts:
    """Which of the labels that are learned from confident learning takes for wrong; none where labels are too few.

    They are ranked by the confidence in the label, or by ActiveLab where some images were read by several.
    """
    patients = [archive.patients[i] for i in known.index_M.tolist()]
    probs_MC = out_of_fold(chooser, known.index_M, known.labels_M, patients)
    return none() if probs_MC is None else ranked(state, known, archive, probs_MC)


def none() -> Doubts:
    """Where nothing can be doubted yet."""
    return Doubts(np.zeros(0, np.int64), "self_confidence")


def ranked(state: State, known: Known, archive: Archive, probs_MC: np.ndarray) -> Doubts:
    """The same from probabilities of labels out of fold."""
    answers_MR = _answers(state, known, [archive.images[i].digest for i in known.index_M.tolist()])
    several = bool(((answers_MR >= 0).sum(axis=1) > 1).any())
    scores_M = active_lab(probs_MC, answers_MR) if several else self_confidence(probs_MC, known.labels_M)
    wrong_M = np.flatnonzero(confident_errors(probs_MC, known.labels_M))
    order_M = wrong_M[np.argsort(scores_M[wrong_M], kind="stable")]
    return Doubts(known.index_M[order_M], "active_lab" if several else "self_confidence")


def _answers(state: State, known: Known, digests: Sequence[str]) -> np.ndarray:
    """What each reader (R) says an image (M) shows; -1 where a reader did not say."""
    classes = {name: number for number, name in enumerate(state.settings["classes"])}

    def said() -> Iterator[list[int]]:
        for digest in digests:
            of = {reader: outcome.label for reader, outcome in reads(state.images[digest].questions).items()}
            yield [classes.get(of.get(reader) or "", -1) for reader in state.readers]

    return np.array(list(said()), np.int64).reshape(len(digests), len(state.readers))

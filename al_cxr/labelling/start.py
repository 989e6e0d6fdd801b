"""The first questions by a model of another hospital: the images that its bundle is least sure of.

It looks at the archive chunk by chunk, after the features; what it said is kept in the project.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from al_cxr.bundles.answers import Answerer
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.opening import open_bundle
from al_cxr.core.checkpoint import load_tensors, save_tensors
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import EDITED
from al_cxr.core.names import class_name
from al_cxr.labelling.acquisition import UNIFORM, Proposal
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.strategies.statistics import entropy

FILE = "start.safetensors"
MODEL = "start"
"""What the log calls the bundle."""


class StartModel:
    """The entropies (nats) that the bundle of `start` gives the images of a project."""

    def __init__(self, folder: Path, settings: ProjectSettings, archive: Archive) -> None:
        self._file, self._archive, self._settings = folder / FILE, archive, settings
        self._nats = _read(self._file) if self._file.exists() else {}
        self._answer: Answerer | None = None
        self._size = 0

    def look(self, index_M: Sequence[int]) -> None:
        """Ask the bundle for some images, unless it was asked before; those that cannot be read are passed over."""
        left = [i for i in index_M if self._archive.images[i].digest not in self._nats]
        if not left:
            return
        if self._answer is None:
            bundle = start_bundle(self._settings)
            self._answer, self._size = bundle.answerer(), bundle.record.image_size
        pixels = []
        for index in left:
            try:
                pixels.append((self._archive.images[index].digest, self._archive.read(index, self._size).pixels))
            except UserError:
                continue
        if pixels:
            probs_NC = self._answer(np.stack([of for _, of in pixels])).probs_NC
            self._nats |= dict(zip((digest for digest, _ in pixels), entropy(probs_NC).tolist(), strict=True))
            nats = torch.tensor(list(self._nats.values()), dtype=torch.float64)
            save_tensors(self._file, {"nats": nats}, list(self._nats))

    def proposal(self, pool_M: np.ndarray, count: int, chance: np.random.Generator) -> Proposal:
        """The images of a pool that it is least sure of; any, before it has seen some."""
        seen_M = np.array([i for i in pool_M.tolist() if self._archive.images[i].digest in self._nats], np.int64)
        if not len(seen_M):
            return UNIFORM
        nats_M = np.array([self._nats[self._archive.images[i].digest] for i in seen_M.tolist()])
        order_M = np.lexsort((chance.random(len(seen_M)), -nats_M))[:count]
        return Proposal("entropy", MODEL, ranking_M=seen_M[order_M])


def start_bundle(settings: ProjectSettings) -> Bundle:
    """The bundle that asks first; UserError where it is none, or knows other classes than the project."""
    bundle = open_bundle(settings.start)
    known = {class_name(name) for name in bundle.record.classes}
    if known != set(settings.classes):
        raise UserError(
            f"--start {settings.start}: it tells {', '.join(bundle.record.classes)} apart, the project "
            f"{', '.join(settings.classes)}; give a bundle of the same classes, or leave --start out"
        )
    return bundle


def _read(file: Path) -> dict[str, float]:
    tensors, digests = load_tensors(file)
    if "nats" not in tensors or not isinstance(digests, list) or len(digests) != len(tensors["nats"]):
        raise UserError(f"{file}: not what al-cxr wrote; {EDITED}; delete the file")
    return dict(zip(map(str, digests), tensors["nats"].tolist(), strict=True))

"""What the images of an archive usually look like, so that a bundle tells whether a new one is unlike them.

Of images drawn at random, and not of those that were chosen to learn from, as these are the unusual ones. The distances
are those of images of other patients, who are set aside. No label is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.seeds import rng
from al_cxr.data.quality import usual
from al_cxr.data.quality.odd import framed
from al_cxr.data.quality.usual import Usual
from al_cxr.data.store import cores
from al_cxr.labelling.project import Project

IMAGES = 500
"""That are drawn of each kind, at most."""


def usual_of(project: Project) -> Usual | None:
    """None where the archive is too small, or too few of its patients are set aside."""
    features, reserved_N = project.chooser.features, project.streams.reserved_N
    ready_N = features.ready_N & project.archive.present_N
    chance = rng(project.settings.seed, "usual")
    parts = [chance.permutation(np.flatnonzero(ready_N & of_N))[:IMAGES] for of_N in (~reserved_N, reserved_N)]
    read = [list(_pixels(project, part.tolist())) for part in parts]
    described = [usual.features(framed(np.stack(found))) for found in read if found]
    return usual.fit(*described) if len(described) == 2 else None


def _pixels(project: Project, indices: Sequence[int]) -> Iterator[np.ndarray]:
    """Images at the size at which a bundle reads them; those that cannot be read any more are passed over."""

    def one(index: int) -> np.ndarray | None:
        try:
            return project.archive.read(index, project.settings.network.image_size).pixels
        except UserError:
            return None

    with ThreadPoolExecutor(project.settings.machine.workers or cores()) as pool:
        yield from (pixels for pixels in pool.map(one, indices) if pixels is not None)

"""Which images a model has seen: those that it, or whatever its weights come from, was trained on or chosen by.

A test on an image that was seen before measures memory. Each run notes the digests of its training and validation
images, a bundle carries them on, and a run that starts from the weights of either adds them to its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.store import PixelStore

SEEN = "seen.sha256"
"""File in a run folder or a bundle: a line an image, the hex SHA-256 of the bytes it was decoded from, sorted."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def write_seen(folder: Path, digests: Iterable[str]) -> None:
    write_atomically(folder / SEEN, "".join(f"{digest}\n" for digest in sorted(set(digests))).encode())


def read_seen(folder: Path) -> frozenset[str]:
    """The digests noted in a folder, none where there are no notes; UserError where they are not digests."""
    try:
        lines = (folder / SEEN).read_text("ascii").splitlines()
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / SEEN}: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not _DIGEST.fullmatch(line):
            raise UserError(
                f"{folder / SEEN}: line {number}: this is no SHA-256 of an image: the file was edited or damaged; put "
                "it back, or compute the run again"
            )
    return frozenset(lines)


def of_run(run: Path) -> frozenset[str]:
    """What the models of a run have seen; the regimes of an experiment share theirs, and each has noted its own."""
    return frozenset().union(*(read_seen(folder) for folder in (run, *(p.parent for p in run.glob(f"*/{SEEN}")))))


def of_weights(weights: str) -> frozenset[str]:
    """What the setting `weights` of a model has seen: nothing that is known of but for a file of al-cxr's own."""
    path = Path(weights).expanduser().absolute()
    if not path.is_file() or len(path.parents) < 3:
        return frozenset()
    return of_run(path.parents[2])  # RUN/fits/KEY/model.safetensors, BUNDLE/members/1/model.safetensors


def warnings(dataset: Dataset, store: PixelStore, weights: str, seen: Collection[str]) -> list[str]:
    """A sentence for each of the test and validation splits that the weights a model starts from have seen."""
    found = []
    for split, what in (("test", "what is measured on them is memory"), ("val", "what is chosen by them is flattered")):
        rows_M = dataset.indices(split)
        if known := _known(store, rows_M, seen):
            found.append(f"{known:,} of {len(rows_M):,} {split} images were seen by the weights {weights}: {what}")
    return found


def count(store: PixelStore, seen: Collection[str]) -> int:
    """How many images of a store were seen."""
    return _known(store, np.arange(len(store.digests)), seen)


def _known(store: PixelStore, rows_M: np.ndarray, seen: Collection[str]) -> int:
    return sum(store.digests[row] in seen for row in rows_M.tolist())

"""DICOM files with a sound header and pixels that cannot be decoded: left out like those whose header says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from al_cxr.data.dataset import Dataset, Refusing
from al_cxr.data.store import PixelStore

ATTEMPTS = 4
"""To read the data set, in case files are changed meanwhile."""


def without_undecodable(
    dataset: Dataset,
    load: Callable[[], Dataset],
    size: int,
    cache: Path | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Dataset:
    """The data set that `load` has read, without DICOM files that are gone or whose pixels cannot be decoded.

    Its images are decoded for it, as `PixelStore.open` with these arguments does, and are in the cache then. Where such
    files are met it is noted and said, and the data set is read again, before anything depends on the numbers of its
    images: so this start sees what every later one sees. Images that are no DICOM stay; whoever opens the pixels names
    those that cannot be used.
    """
    before = None
    for _ in range(ATTEMPTS):
        if not isinstance(dataset.images, Refusing) or not dataset.images.any_dicom:
            break
        store = PixelStore.open(
            dataset.images, size, cache, workers, progress, verify=False, unusable=True, before=before
        )
        refused = dataset.images.refuse(store.unusable)
        if not refused:
            break
        if progress:
            first = store.unusable[refused[0]]
            count = f"{len(refused):,} of {len(dataset):,} images"
            print(f"warning   {count} cannot be decoded, e.g. {first}; the data set is read again without them")
        before = dataset.images, store
        dataset = load()
    return dataset

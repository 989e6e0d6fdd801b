"""Images of a user's own: a tensor or a torch DataLoader, read in the order of their positions.

A loader says which images are meant and how they are read; the order in which it would draw them does not matter here,
so one that shuffles is read in order all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, TensorDataset

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.sampling.engine import Batch


@dataclass(frozen=True)
class OwnImages:
    """Some images of a data set, which can be read as often as wanted; made by `own_images`."""

    index_N: np.ndarray
    """Their positions in the data set, int64, ascending."""
    _loader: DataLoader[Any]
    _generator: torch.Generator

    def batches(self, device: torch.device, dtype: torch.dtype, bar: Progress, passes: int = 1) -> Iterator[Batch]:
        """All images in order, on the device, those of floating point in the dtype; `bar` counts their passes.

        Every reading starts torch's CPU generator and the loader's workers from the same state, so a data set with
        random transforms gives the same images again. To be read inside `torch.random.fork_rng`.
        """
        torch.default_generator.manual_seed(0)
        self._generator.manual_seed(0)
        at = 0
        for collated in self._loader:
            images_B = _images_in(collated)
            index_B = self.index_N[at : at + len(images_B)]
            at += len(images_B)
            yield index_B, images_B.to(device, dtype if images_B.is_floating_point() else None)
            bar.update(passes * len(index_B))
        if at != len(self.index_N):
            raise UserError(
                f"the loader gave {at:,} images for {len(self.index_N):,} positions of its data set, so it is not "
                "known which is which; its collate_fn must keep every image"
            )


def own_images(images: Tensor | DataLoader[Any], batch_size: int) -> OwnImages:
    """A tensor (N, ...) in batches of `batch_size`, or what a loader reads, in the order of the positions.

    The loader's data set, collate_fn, batch size and workers are used. UserError for anything else, for a data set
    without positions, for images that are drawn more than once, and where there are none.
    """
    if isinstance(images, Tensor):
        images = DataLoader(TensorDataset(images), batch_size)
    if not isinstance(images, DataLoader):
        raise UserError(
            f"the images are a {type(images).__name__}; give a tensor (images, channels, height, width), as "
            "torch.from_numpy makes it of an array, or a torch.utils.data.DataLoader"
        )
    if isinstance(images.dataset, IterableDataset):
        raise UserError(
            "the loader's data set is an IterableDataset, whose images have no positions to be named by; give a data "
            "set with __getitem__ and __len__"
        )
    index_N, size = _drawn(images)
    if len(index_N) == 0:
        raise UserError("there are no images to score: the data set, or what the sampler draws of it, is empty")
    index_N, times_N = np.unique(index_N, return_counts=True)
    if times_N.max() > 1:
        raise UserError(
            f"the loader's sampler draws position {index_N[times_N > 1][0]} {times_N.max()} times; to score a pool, "
            "give a loader that draws each image once, e.g. with shuffle=False and no sampler"
        )
    generator = torch.Generator()
    in_order = DataLoader(
        images.dataset,
        batch_sampler=[index_N[start : start + size].tolist() for start in range(0, len(index_N), size)],
        num_workers=images.num_workers,
        collate_fn=images.collate_fn,
        pin_memory=images.pin_memory,
        timeout=images.timeout,
        worker_init_fn=images.worker_init_fn,
        multiprocessing_context=images.multiprocessing_context,
        prefetch_factor=images.prefetch_factor,
        generator=generator,
    )
    return OwnImages(index_N, in_order, generator)


def _drawn(loader: DataLoader[Any]) -> tuple[np.ndarray, int]:
    """The positions that a loader draws, and how many it puts into a batch; its generators are as before."""
    if loader.batch_sampler is None:
        raise UserError("the loader has batch_size=None, so its batches are not known; give it a batch_size")
    generators = {getattr(owner, "generator", None) for owner in (loader, loader.sampler)}
    states = [(generator, generator.get_state()) for generator in generators if generator is not None]
    with torch.random.fork_rng(devices=[]):
        if type(loader.batch_sampler) is BatchSampler:  # whose batches leave out the last images with drop_last
            positions, size = list(loader.sampler), loader.batch_sampler.batch_size
        else:
            batches = list(loader.batch_sampler)
            positions, size = list(chain.from_iterable(batches)), max(map(len, batches), default=1)
    for generator, state in states:
        generator.set_state(state)
    if not all(isinstance(position, (int, np.integer)) for position in positions):
        raise UserError("the loader's sampler draws keys that are no whole numbers; number the images of the data set")
    return np.array(positions, np.int64), size


def _images_in(collated: object) -> Tensor:
    """The images of a batch: a tensor, or the first of a tuple or list such as (images, labels)."""
    if isinstance(collated, (tuple, list)) and collated:
        collated = collated[0]
    if isinstance(collated, Tensor):
        return collated
    what = f"a {type(collated).__name__}"
    if isinstance(collated, Mapping):
        what = f"a dictionary ({', '.join(map(str, collated))})"
    raise UserError(
        f"the loader's batches hold {what} where images are expected; each batch must be a tensor of images, or a "
        "tuple or list that begins with one, as (images, labels): give the loader a collate_fn that returns that"
    )

"""8-bit pixels in, float batches on the device out. Random order, no copies of the data set, no worker processes."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from al_cxr.config import AugmentSettings
from al_cxr.data.augment import augment

RESIDENT_SHARE = 0.3
"""A data set that fits into this share of the GPU's free memory is kept there whole."""
PIECE = 64 * 2**20
"""Bytes in which it is sent there, so that the machine's own memory never holds all of it."""


class Loader:
    """Batches of radiographs by absolute index.

    `pixels` is uint8 (N, S, S), usually memory-mapped: a batch reads only its own rows. On a GPU the 8-bit data set
    stays resident where it fits; otherwise a thread gathers the next batch into pinned memory while this one computes.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        device: str = "cpu",
        channels: int = 1,
        mean: float = 0.5,
        std: float = 0.5,
        memory_format: torch.memory_format = torch.contiguous_format,
    ):
        self.device = torch.device(device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self.channels, self.mean, self.std, self.memory_format = channels, mean, std, memory_format
        self._pixels = pixels
        self._resident: Tensor | None = None
        if self.device.type == "cuda" and pixels.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(self.device)[0]:
            self._resident = resident(pixels, self.device)

    def raw(self, order: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """(index_B, images float32 (B, 1, S, S) in 0..1 on the device) in the order given."""
        chunks = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        if self._resident is not None:
            for chunk in chunks:
                yield chunk, self._as_float(self._resident[torch.from_numpy(chunk).to(self.device)])
        elif self.device.type == "cuda":
            for chunk, stored in prefetched(self._pixels, chunks, self.device):
                yield chunk, self._as_float(stored.to(self.device, non_blocking=True))
        else:
            for chunk in chunks:
                yield chunk, self._as_float(torch.from_numpy(self._pixels[chunk]))

    def prepare(self, images: Tensor) -> Tensor:
        """Normalised, with the model's number of channels and memory layout: (B, channels, S, S)."""
        images = (images - self.mean) / self.std
        if self.channels > 1:
            images = images.expand(-1, self.channels, -1, -1)
        return images.contiguous(memory_format=self.memory_format)

    def varied(
        self, index_B: np.ndarray, images: Tensor, settings: AugmentSettings, generator: torch.Generator
    ) -> Tensor:
        """A randomly changed copy of the batch, as `raw` gave it; `generator` lives on the CPU."""
        return augment(images, settings, generator)

    def batches(self, order: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """(index_B, images ready for the model), without augmentation: what scoring and evaluation read."""
        for index_B, images in self.raw(order, batch_size):
            yield index_B, self.prepare(images)

    def _as_float(self, stored: Tensor) -> Tensor:
        return stored.unsqueeze(1).to(torch.float32).mul_(1 / 255)


class FeatureLoader(Loader):
    """The same for features (N, K), float32, that stand for the radiographs: batches (B, K), as they are.

    `key` names all that they were computed from, `backbone` is the hash of the weights. `views_VMK` are the features of
    V varied copies of the images `viewed_M`; `originals` is the probability that `varied` takes the image itself and
    not a copy, None as often as each of the copies.
    """

    def __init__(
        self,
        features_NK: np.ndarray,
        key: str,
        backbone: str,
        device: str = "cpu",
        views_VMK: Sequence[np.ndarray] = (),
        viewed_M: np.ndarray | None = None,
        originals: float | None = None,
    ):
        super().__init__(features_NK, device)
        self.features_NK, self.key, self.backbone = features_NK, key, backbone
        self._views_VMK, self._originals = views_VMK, originals
        self._row_N = np.full(len(features_NK), -1)
        if viewed_M is not None:
            self._row_N[viewed_M] = np.arange(len(viewed_M))

    @property
    def width(self) -> int:
        """K."""
        return int(self.features_NK.shape[1])

    def moments(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each feature over some images and their varied copies, float32 (K,).

        No label is looked at.
        """
        chosen = np.concatenate([self.features_NK[index], *(view[self._rows(index)] for view in self._views_VMK)])
        mean_K, std_K = chosen.mean(axis=0, dtype=np.float64), chosen.std(axis=0, dtype=np.float64)
        return torch.from_numpy(mean_K).float(), torch.from_numpy(std_K).float()

    def varied(
        self, index_B: np.ndarray, images: Tensor, settings: AugmentSettings, generator: torch.Generator
    ) -> Tensor:
        """The features of one of the varied copies of each image, or of the image itself."""
        views, images_B = len(self._views_VMK), (len(index_B),)
        if self._originals is None or not views:
            drawn_B = torch.randint(views + 1, images_B, generator=generator).numpy() - 1
        else:
            copies_B = torch.randint(views, images_B, generator=generator).numpy()
            drawn_B = np.where(torch.rand(images_B, generator=generator).numpy() < self._originals, -1, copies_B)
        rows_B, out = self._rows(index_B), images.clone()
        for view in np.unique(drawn_B[drawn_B >= 0]):
            at = np.flatnonzero(drawn_B == view)
            out[torch.from_numpy(at)] = torch.from_numpy(self._views_VMK[view][rows_B[at]]).to(out.device)
        return out

    def prepare(self, images: Tensor) -> Tensor:
        return images

    def _rows(self, index: np.ndarray) -> np.ndarray:
        rows = self._row_N[index]
        if len(self._views_VMK) and (rows < 0).any():
            raise ValueError("these images have no varied copies")
        return np.asarray(rows)

    def _as_float(self, stored: Tensor) -> Tensor:
        return stored


def resident(stored: np.ndarray, device: torch.device) -> Tensor:
    """All rows (N, ...) on a device, sent there piece by piece."""
    first = torch.from_numpy(np.array(stored[:1]))
    kept = torch.empty((len(stored), *first.shape[1:]), dtype=first.dtype, device=device)
    rows = max(PIECE // max(first.nbytes, 1), 1)
    for start in range(0, len(stored), rows):
        kept[start : start + rows] = torch.from_numpy(np.array(stored[start : start + rows])).to(device)
    return kept


def prefetched(
    stored: np.ndarray, chunks: Sequence[np.ndarray], device: torch.device
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Each chunk of rows and what is stored there, gathered by a thread two chunks ahead, in the machine's own memory.

    For a GPU that memory is pinned, so that it can fetch the rows while it computes. An error of the thread is raised
    here; a reader who stops early ends it.
    """
    ready: queue.Queue[tuple[np.ndarray, Tensor] | BaseException] = queue.Queue(maxsize=2)
    stop = threading.Event()

    def hand_over(item: tuple[np.ndarray, Tensor] | BaseException) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def gather() -> None:
        try:
            if device.type == "cuda":
                torch.cuda.set_device(device)  # a new thread begins on the first GPU
            for chunk in chunks:
                rows = torch.from_numpy(stored[chunk])
                hand_over((chunk, rows.pin_memory() if device.type == "cuda" else rows))
                if stop.is_set():
                    return
        except BaseException as error:
            hand_over(error)

    thread = threading.Thread(target=gather, daemon=True)
    thread.start()
    try:
        for _ in chunks:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()

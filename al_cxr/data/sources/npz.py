"""Images and labels in one .npz file, as MedMNIST sets are published: six arrays of bytes, two a split."""

from __future__ import annotations

import hashlib
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as numpy_file
from PIL import Image

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dataset import SPLITS
from al_cxr.data.square import resize

MAX_BYTES = 16 * 2**30
"""Of one array: above the largest published one (TissueMNIST at 224 pixels, 8.3 GB)."""

Shapes = dict[str, tuple[int, ...]]

_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError)
"""What reading a .npz that is cut off, damaged or encrypted raises."""


class ArrayImages:
    """Images (see `al_cxr.data.dataset`) from the arrays of one .npz, each unpacked when it is first read."""

    def __init__(self, path: Path, counts: dict[str, int]) -> None:
        """`counts`: split -> images; the indices run through train, val, test in that order."""
        self._path = path
        self._at = [(split, i) for split in SPLITS for i in range(counts[split])]
        self._arrays: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()
        # The archive's own checksums of its arrays belong to it: a file can be replaced by one of equal size and time.
        text = f"npz\0{path.resolve()}\0{_checksums(path)}"
        self.key = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._at)

    def read(self, index: int, size: int) -> decode.Reading:
        split, i = self._at[index]
        with self._lock:
            if split not in self._arrays:
                self._arrays[split] = read_array(self._path, f"{split}_images")
        pixels = self._arrays[split][i]
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        grey = np.asarray(Image.fromarray(pixels).convert("L")) if pixels.ndim == 3 else pixels
        return decode.Reading(resize(grey, size), digest)

    def digest(self, index: int) -> None:
        return None

    def name(self, index: int) -> str:
        split, i = self._at[index]
        return f"{split}-{i:05d}"


def checked_shapes(path: Path, pixels: int) -> dict[str, int]:
    """Images of each split, from the headers of the arrays alone; UserError where they are not those of a set."""
    shapes = _shapes(path)
    return {split: _check(path, shapes, split, pixels) for split in SPLITS}


def _shapes(path: Path) -> Shapes:
    """Shape of every array, from its header alone; UserError if it is no .npz of 8-bit arrays."""
    shapes: Shapes = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as f:
                    if numpy_file.read_magic(f) == (1, 0):
                        shape, _, dtype = numpy_file.read_array_header_1_0(f)
                    else:
                        shape, _, dtype = numpy_file.read_array_header_2_0(f)
                if dtype != np.uint8 or np.prod(shape, dtype=float) > MAX_BYTES:
                    raise UserError(f"{path}: {member} is {dtype} {shape}, not an array of bytes of a sensible size")
                shapes[member.removesuffix(".npy")] = shape
    except _DAMAGE as error:
        raise UserError(f"{path}: not a whole .npz file ({error}); delete it and fetch it again") from None
    return shapes


def _checksums(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and CRC-32 of every array of a .npz, from its directory alone; whoever reads an array checks them."""
    with zipfile.ZipFile(path) as archive:
        return [(member.filename, member.file_size, member.CRC) for member in archive.infolist()]


def _check(path: Path, shapes: Shapes, split: str, pixels: int) -> int:
    """Number of images of a split, when both its arrays have the right shapes."""
    images, labels = shapes.get(f"{split}_images"), shapes.get(f"{split}_labels")
    if images is None or labels is None:
        raise UserError(f"{path}: has no {split}_images and {split}_labels; it holds {', '.join(shapes)}")
    n = images[0] if images else 0
    if n == 0 or images[1:] not in ((pixels, pixels), (pixels, pixels, 3)):
        raise UserError(f"{path}: {split}_images has shape {images}, expected (N, {pixels}, {pixels}) or (.., 3)")
    if labels not in ((n,), (n, 1)):
        raise UserError(f"{path}: {split}_labels has shape {labels}, expected ({n}, 1): one label an image")
    return n


def read_array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    except _DAMAGE as error:
        raise UserError(f"{path}: {name} is damaged ({error}); delete the file and fetch it again") from None

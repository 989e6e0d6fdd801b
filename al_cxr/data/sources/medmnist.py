"""2-D, single-label MedMNIST sets through the medmnist package (Yang et al. 2023, Scientific Data 10:41)."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from al_cxr.config import DataSettings, MedmnistSource
from al_cxr.core.drafts import remedy
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.core.names import class_name
from al_cxr.core.nearest import hint
from al_cxr.data import decode, splits
from al_cxr.data.dataset import SPLITS, Dataset

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
                self._arrays[split] = _array(self._path, f"{split}_images")
        pixels = self._arrays[split][i]
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        grey = np.asarray(Image.fromarray(pixels).convert("L")) if pixels.ndim == 3 else pixels
        return decode.Reading(decode.resize(grey, size), digest)

    def digest(self, index: int) -> None:
        return None

    def name(self, index: int) -> str:
        split, i = self._at[index]
        return f"{split}-{i:05d}"


def exists(source: MedmnistSource) -> bool:
    """Whether the set is there or may be fetched; UserError for a set that cannot be used at all."""
    _info(source.flag)
    return source.download or _path(source).exists()


def load(source: MedmnistSource, settings: DataSettings) -> Dataset:
    """The set with its own three splits; classes in the order of its labels, in lower case."""
    dataset = splits.complete(read(source), settings)
    if source.pixels < settings.image_size:
        note = f"stored at {source.pixels} px and enlarged to {settings.image_size} px"
        dataset = dataset.with_notes(note)
    return dataset


def read(source: MedmnistSource) -> Dataset:
    """The set as it is; UserError if the file is not there, is damaged or does not fit its description."""
    info = _info(source.flag)
    path = _path(source)
    if not path.exists():
        if not source.download:
            raise UserError(
                f"{path}: no such file; fetch {info[_key('url', source)]} and put it there, or set download: true"
            )
        _download(source, path)
    shapes = _shapes(path)
    classes = tuple(class_name(info["label"][str(c)]) for c in range(len(info["label"])))
    labels: list[int] = []
    split_N: list[str] = []
    for split in SPLITS:
        n = _check(path, shapes, split, source.pixels)
        labels_n = _array(path, f"{split}_labels").astype(np.int64).reshape(-1)
        if len(labels_n) != n or labels_n.min(initial=0) < 0 or labels_n.max(initial=0) >= len(classes):
            raise UserError(f"{path}: {split}_labels does not fit {split}_images and the {len(classes)} classes")
        labels += labels_n.tolist()
        split_N += [split] * n
    images = ArrayImages(path, {split: split_N.count(split) for split in SPLITS})
    names = [images.name(i) for i in range(len(images))]
    table = pd.DataFrame(
        {"image": names, "label": [classes[c] for c in labels], "split": split_N, "patient_id": "", "source": ""}
    )
    return Dataset(
        name=f"{source.flag}-{source.pixels}",
        classes=classes,
        labels_N=np.array(labels, dtype=np.int64),
        split_N=np.array(split_N),
        table=table,
        images=images,
        attribution=f"{info['python_class']} of MedMNIST v2 (Yang et al. 2023), {info['license']}",
    )


def _info(flag: str) -> dict[str, Any]:
    """What the package knows of a set; UserError for unknown, 3-D and multi-label ones."""
    import medmnist  # here, because it imports torch and makes a folder in the user's home

    info = medmnist.INFO.get(flag)
    if info is None:
        raise UserError(f"no MedMNIST set {flag!r}{hint(flag, medmnist.INFO)}")
    if info["python_class"].endswith("3D"):
        raise UserError(f"MedMNIST set {flag} is 3-D; only 2-D sets can be used")
    if "multi-label" in info["task"]:
        raise UserError(f"MedMNIST set {flag} is multi-label; only sets with one label an image can be used")
    return info


def _key(name: str, source: MedmnistSource) -> str:
    return name if source.pixels == 28 else f"{name}_{source.pixels}"


def _path(source: MedmnistSource) -> Path:
    if source.root is not None:
        root = Path(source.root).expanduser()
    else:
        from medmnist.info import DEFAULT_ROOT

        root = Path(DEFAULT_ROOT or "~/.medmnist").expanduser()
    return root / f"{_key(source.flag, source)}.npz"


def _download(source: MedmnistSource, path: Path) -> None:
    """Fetches through the package, which checks the MD5; beside the place first, so that no half file stays there."""
    import medmnist

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as draft:
            kind = getattr(medmnist, _info(source.flag)["python_class"])
            kind(split="test", root=draft, size=source.pixels, download=True)
            os.replace(Path(draft, path.name), path)
    except RuntimeError as error:
        lines = " ".join(str(error).split())
        raise UserError(f"{path.name}: {lines.replace(draft, str(path.parent))}") from None
    except OSError as error:
        raise CannotWrite(f"{path.parent}: cannot be written: {remedy(error)}") from None


def _shapes(path: Path) -> Shapes:
    """Shape of every array, from its header alone; UserError if it is no .npz of 8-bit arrays."""
    shapes: Shapes = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as f:
                    version = np.lib.format.read_magic(f)
                    header = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = header(f)
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


def _array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[name]
    except _DAMAGE as error:
        raise UserError(f"{path}: {name} is damaged ({error}); delete the file and fetch it again") from None

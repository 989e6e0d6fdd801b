"""2-D, single-label MedMNIST sets through the medmnist package (Yang et al. 2023, Scientific Data 10:41)."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from al_cxr.core.drafts import remedy, writing
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.core.names import class_name
from al_cxr.core.nearest import hint
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.sources.npz import ArrayImages, checked_shapes, read_array
from al_cxr.data.sources.source import KIND, Source, register

FETCHED = "data/medmnist"
"""Folder that a set is downloaded into unless another is named."""

_TEXT = re.compile(r"(?P<flag>[^@]+?)(-(?P<pixels>\d+))?(@(?P<root>.+))?")


@register
class MedmnistSource(Source):
    """A 2-D set of MedMNIST with one label an image.

    References
    ----------
    Yang et al. 2023, MedMNIST v2, Scientific Data 10:41, https://doi.org/10.1038/s41597-022-01721-8

    Examples
    --------
    >>> source = MedmnistSource.from_text("pneumoniamnist-28@data/medmnist")
    >>> source.flag, source.pixels, source.root
    ('pneumoniamnist', 28, 'data/medmnist')
    """

    usage = "medmnist:FLAG[-PIXELS][@FOLDER]"
    fetchable = True

    kind: Literal["medmnist"] = Field("medmnist", description=KIND)
    flag: str = Field("pneumoniamnist", description="name of the set, such as pneumoniamnist")
    pixels: Literal[28, 64, 128, 224] = Field(64, description="side of the stored images, in pixels")
    root: str | None = Field(None, description="folder that holds the .npz files; null = the medmnist package's own")
    download: bool = Field(False, description="fetch the file when it is not there")

    @classmethod
    def from_text(cls, text: str) -> MedmnistSource:
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("no MedMNIST set is named")
        given: dict[str, Any] = {key: value for key, value in match.groupdict().items() if value is not None}
        if "pixels" in given:
            given["pixels"] = int(given["pixels"])
        return cls.model_validate(given)

    def exists(self) -> bool:
        """Whether the set is there or may be fetched; UserError for a set that cannot be used at all."""
        _info(self.flag)
        return self.download or _path(self).exists()

    def read(self) -> Dataset:
        return _read(self)

    def describe(self) -> str:
        return f"medmnist {self.flag} at {self.pixels} px in {self.root or 'its own folder'}"

    def short_name(self) -> str:
        return self.flag

    def warnings(self, image_size: int) -> tuple[str, ...]:
        if self.pixels < image_size:
            return (f"stored at {self.pixels} px and enlarged to {image_size} px",)
        return ()

    def fetch(self, folder: Path | None) -> str:
        root = folder or Path(self.root or FETCHED)
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
        try:
            self.model_copy(update={"root": str(root), "download": True}).read()
        except UserError:
            with contextlib.suppress(OSError):  # not empty: there was something before
                os.removedirs(root)
            raise
        return f"medmnist:{self.flag}-{self.pixels}@{root}"


def _read(source: MedmnistSource) -> Dataset:
    """The set as it is; UserError if the file is not there, is damaged or does not fit its description."""
    info = _info(source.flag)
    path = _path(source)
    if not path.exists():
        if not source.download:
            raise UserError(
                f"{path}: no such file; fetch {info[_key('url', source)]} and put it there, or set download: true"
            )
        _download(source, path)
    counts = checked_shapes(path, source.pixels)
    classes = tuple(class_name(info["label"][str(c)]) for c in range(len(info["label"])))
    labels: list[int] = []
    split_N: list[str] = []
    for split in SPLITS:
        n = counts[split]
        labels_n = read_array(path, f"{split}_labels").astype(np.int64).reshape(-1)
        if len(labels_n) != n or labels_n.min(initial=0) < 0 or labels_n.max(initial=0) >= len(classes):
            raise UserError(f"{path}: {split}_labels does not fit {split}_images and the {len(classes)} classes")
        labels += labels_n.tolist()
        split_N += [split] * n
    images = ArrayImages(path, counts)
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

    info: dict[str, Any] | None = medmnist.INFO.get(flag)
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

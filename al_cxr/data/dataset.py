"""The one Dataset that every data source returns."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from al_cxr.core.names import known_class
from al_cxr.data.decode import Reading

SPLITS = ("train", "val", "test")


class Images(Protocol):
    """Where pixels come from before they are in the pixel store."""

    key: str
    """Identifies the pixels without reading them (paths + sizes + modification times, or a seed and settings)."""

    def __len__(self) -> int: ...

    def read(self, index: int, size: int) -> Reading:
        """One image at size x size pixels."""
        ...

    def digest(self, index: int) -> str | None:
        """The digest that `read` would give, without decoding; None where equal keys promise equal pixels."""
        ...

    def name(self, index: int) -> str:
        """What a person calls this image: the path relative to its root, or `phantom-00017`."""
        ...


@runtime_checkable
class Refusing(Images, Protocol):
    """Images of which the next reading of the data set leaves out what could not be used, where it is DICOM."""

    any_dicom: bool

    def refuse(self, unusable: Mapping[int, str]) -> list[int]:
        """Note what is wrong with images, by index; returns those that will be left out, ascending."""
        ...


@dataclass(frozen=True)
class Dataset:
    """N labelled radiographs, each with one integer index for life.

    Attributes
    ----------
    name : str
        What tables and figures call it.
    classes : tuple of str
        Names of the C classes.
    labels_N : ndarray of int64, shape (N,)
        Label of each image: a position in `classes`.
    split_N : ndarray of str, shape (N,)
        "train", "val" or "test"; "" everywhere as long as no split was drawn.
    table : DataFrame
        One row an image, with the columns ``image``, ``label``, ``split``, ``patient_id`` and ``source`` ("" where
        unknown) and whatever else is known, such as ``age``, ``sex`` and ``view``.
    images : Images
        Reads pixels: ``images.read(index, size).pixels`` is uint8 (size, size), 0 = black.
    synthetic : bool
        Whether no patient was imaged; then every table and figure says so.
    attribution : str
        Who made the images and under which terms.
    notes : tuple of str
        Warnings found while loading; they are printed and go into the report.
    left_out : tuple of (str, str)
        Name of each DICOM file that is not among the images, and why.

    Examples
    --------
    >>> from al_cxr import load_data
    >>> data = load_data("phantom:60")
    >>> data.indices("val")
    array([10, 39, 49, 54, 55, 56])
    >>> data.class_index("Tuberculosis")
    2
    """

    name: str
    classes: tuple[str, ...]
    labels_N: np.ndarray
    split_N: np.ndarray
    table: pd.DataFrame
    images: Images
    synthetic: bool = False
    attribution: str = ""
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.images)
        if not (len(self.labels_N) == len(self.split_N) == len(self.table) == n):
            raise ValueError(f"labels, splits, table and images of {self.name} differ in length")

    def __len__(self) -> int:
        return len(self.labels_N)

    def indices(self, split: str) -> np.ndarray:
        """Absolute indices of one split, ascending, int64.

        Parameters
        ----------
        split : str
            "train", "val" or "test".

        Returns
        -------
        ndarray of int64

        Raises
        ------
        ValueError
            If there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}: one of {SPLITS}")
        return np.flatnonzero(self.split_N == split)

    def class_index(self, name: str) -> int:
        """Position of a class by name.

        Parameters
        ----------
        name : str
            The class, in capitals or not.

        Returns
        -------
        int

        Raises
        ------
        UserError
            If there is no such class; the message has the nearest name.
        """
        return self.classes.index(known_class(name, self.classes, f"data set {self.name}"))

    @property
    def stamp(self) -> str:
        """The words that stand in every table and figure made from this data set."""
        return f"{self.name} (synthetic: no patient was imaged)" if self.synthetic else self.name

    def with_notes(self, *notes: str) -> Dataset:
        """The same data set with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))


def take(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """Some images of a data set, in a given order, as a data set of their own."""
    return dataclasses.replace(
        dataset,
        labels_N=dataset.labels_N[rows],
        split_N=dataset.split_N[rows],
        table=dataset.table.iloc[rows].reset_index(drop=True),
        images=SomeImages(dataset.images, rows),
    )


class SomeImages:
    """Some of other images, in a given order."""

    def __init__(self, images: Images, rows_N: np.ndarray) -> None:
        self._images = images
        self._rows = [int(row) for row in rows_N]
        self.any_dicom = isinstance(images, Refusing) and images.any_dicom
        self.key = hashlib.sha256(f"some\0{images.key}\0{self._rows}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int, size: int) -> Reading:
        return self._images.read(self._rows[index], size)

    def digest(self, index: int) -> str | None:
        return self._images.digest(self._rows[index])

    def name(self, index: int) -> str:
        return self._images.name(self._rows[index])

    def refuse(self, unusable: Mapping[int, str]) -> list[int]:
        if not isinstance(self._images, Refusing):
            return []
        refused = set(self._images.refuse({self._rows[i]: reason for i, reason in unusable.items()}))
        return [i for i in sorted(unusable) if self._rows[i] in refused]

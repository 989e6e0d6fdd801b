"""How unlike the radiographs of a set another image is, from what needs no network: where it is bright, and how rough.

An image is described by 79 numbers: its grey levels in 8 x 8 fields, twelve numbers of its brightness (`brightness`),
and three of its texture. Its distance is that of Mahalanobis to the training images, with their covariance shrunk
(Ledoit and Wolf 2004); its unlikeness is the share of the validation images that lie nearer, which is one minus a
conformal p-value (Vovk et al. 2005): uniform on 0..1 for images like those of validation, near 1 for others. It says
that an image is unusual and not that an answer to it is wrong.

What is kept of the images is a mean, a covariance and sorted distances: no image can be had back from them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from al_cxr.core.checkpoint import load_tensors, save_tensors
from al_cxr.core.errors import UserError

FILE = "usual.safetensors"
"""In a run folder and in a bundle."""

SIDE, FEATURES = 8, 79
FRAME = 64
"""Pixels of the side at which images are looked at; smaller ones as they are."""

ENOUGH = 20
"""Images without which a mean says nothing; half of them for the distances of validation."""

BATCH = 1024
"""Images that are described at once."""

BORDER = 16
"""The border is this part of the side: one 16th."""


@dataclass(frozen=True, eq=False)
class Usual:
    """Training images by mean (K,), scale (K,) and inverse covariance (K, K) of what is divided by it, and the
    distances (M,) of the validation images, ascending; float64, K = FEATURES."""

    mean_K: np.ndarray
    scale_K: np.ndarray
    precision_KK: np.ndarray
    distances_M: np.ndarray

    def identity(self) -> str:
        """Hex SHA-256 of all its numbers."""
        return hashlib.sha256(b"".join(getattr(self, f.name).tobytes() for f in fields(self))).hexdigest()

    def unlike(self, features_NK: np.ndarray) -> np.ndarray:
        """Share of the validation images that are less unusual than each of N images, float64 in 0..1."""
        return np.searchsorted(self.distances_M, self._distances(features_NK)) / len(self.distances_M)

    def likeness(self, features_NK: np.ndarray) -> np.ndarray:
        """Correlation of N images with the mean training image upright, and turned by 90, 180 and 270 degrees: (N, 4).

        Of grey levels in 8 x 8 fields; 0 where either is one grey.
        """
        fields_NP = _centred(features_NK[:, : SIDE**2])
        mean = self.mean_K[: SIDE**2].reshape(SIDE, SIDE)
        turned_4P = _centred(np.stack([np.rot90(mean, quarter).ravel() for quarter in range(4)]))
        return np.asarray(fields_NP @ turned_4P.T)

    def _distances(self, features_NK: np.ndarray) -> np.ndarray:
        z_NK = (features_NK - self.mean_K) / self.scale_K
        return np.asarray(np.sqrt(np.maximum(((z_NK @ self.precision_KK) * z_NK).sum(axis=1), 0)))


def fit(train_NK: np.ndarray, val_MK: np.ndarray) -> Usual | None:
    """Of the `features` of training and validation images; None where there are too few of either."""
    if len(train_NK) < ENOUGH or 2 * len(val_MK) < ENOUGH:
        return None
    from sklearn.covariance import ledoit_wolf  # slow to import, and not needed where a summary is read

    mean_K, scale_K = train_NK.mean(axis=0), np.maximum(train_NK.std(axis=0), 1e-3)
    covariance_KK, _ = ledoit_wolf((train_NK - mean_K) / scale_K, assume_centered=True)
    # What never varied in training (the colour of a drawn border) must not make every other image infinitely far.
    precision_KK = np.linalg.inv(covariance_KK + 1e-3 * np.eye(FEATURES))
    found = Usual(mean_K, scale_K, precision_KK, np.zeros(0))
    return Usual(mean_K, scale_K, precision_KK, np.sort(found._distances(val_MK)))


def features(pixels_NSS: np.ndarray) -> np.ndarray:
    """Numbers that describe N images, uint8 (N, S, S), S <= FRAME: float64 (N, FEATURES), grey levels as 0..1.

    Some images at a time: as float64 an image takes eight times its pixels, several times over.
    """
    starts = range(0, max(len(pixels_NSS), 1), BATCH)
    return np.concatenate([_features(pixels_NSS[start : start + BATCH]) for start in starts])


def _features(pixels_NSS: np.ndarray) -> np.ndarray:
    n = len(pixels_NSS)
    values_NSS = pixels_NSS.astype(np.float64) / 255
    steps = [np.abs(np.diff(values_NSS, n=k, axis=axis)).mean(axis=(1, 2)) for k, axis in ((1, 1), (1, 2), (2, 2))]
    texture_N3 = np.log(np.stack(steps, axis=1) + 1e-3)
    return np.hstack([_fields(values_NSS).reshape(n, SIDE**2), brightness(pixels_NSS) / 255, texture_N3])


def brightness(pixels_NSS: np.ndarray) -> np.ndarray:
    """12 numbers in grey levels, float64 (N, 12), that know nothing of shapes.

    Mean, standard deviation, percentiles 1, 25, 50, 75, 99; means of the upper, lower, left and right border, and the
    standard deviation of all four.
    """
    n, width = len(pixels_NSS), max(1, pixels_NSS.shape[1] // BORDER)
    flat_NP = pixels_NSS.reshape(n, pixels_NSS.shape[1] * pixels_NSS.shape[2])
    upper_and_lower = (pixels_NSS[:, :width], pixels_NSS[:, -width:])
    left_and_right = (pixels_NSS[:, :, :width], pixels_NSS[:, :, -width:])
    borders = [part.reshape(n, part.shape[1] * part.shape[2]) for part in (*upper_and_lower, *left_and_right)]
    around = np.concatenate(borders, axis=1).std(axis=1)
    shares = np.percentile(flat_NP, [1, 25, 50, 75, 99], axis=1)
    means = [border.mean(axis=1) for border in borders]
    return np.stack([flat_NP.mean(axis=1), flat_NP.std(axis=1), *shares, *means, around], axis=1).astype(np.float64)


def write_usual(path: Path, usual: Usual) -> None:
    """Equal summaries give equal bytes."""
    arrays = {field.name: getattr(usual, field.name) for field in fields(Usual)}
    save_tensors(path, {name: torch.from_numpy(np.ascontiguousarray(a, np.float64)) for name, a in arrays.items()})


def read_usual(path: Path) -> Usual:
    """What `write_usual` wrote; UserError for anything else."""
    tensors, _ = load_tensors(path)
    k = FEATURES
    m = tensors["distances_M"].numel() if "distances_M" in tensors else 0
    shapes = {"mean_K": (k,), "scale_K": (k,), "precision_KK": (k, k), "distances_M": (m,)}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes or m == 0:
        raise UserError(f"{path}: not a summary of images of {k} numbers each; refused")
    found = Usual(**{name: tensor.numpy().astype(np.float64) for name, tensor in tensors.items()})
    finite = all(np.isfinite(getattr(found, name)).all() for name in shapes)
    if not finite or (found.scale_K <= 0).any() or (np.diff(found.distances_M) < 0).any():
        raise UserError(f"{path}: numbers that no summary of images has; refused")
    return found


def _fields(values_NSS: np.ndarray) -> np.ndarray:
    """Means of 8 x 8 fields, (N, 8, 8), of any side of 8 or more."""
    edges = np.linspace(0, values_NSS.shape[1], SIDE + 1).round().astype(int)
    heights = np.diff(edges)
    sums = np.add.reduceat(np.add.reduceat(values_NSS, edges[:-1], axis=1), edges[:-1], axis=2)
    return np.asarray(sums / np.outer(heights, heights))


def _centred(values_NP: np.ndarray) -> np.ndarray:
    values_NP = values_NP - values_NP.mean(axis=1, keepdims=True)
    return np.asarray(values_NP / np.maximum(np.linalg.norm(values_NP, axis=1, keepdims=True), 1e-6))

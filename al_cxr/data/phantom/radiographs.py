"""The embedded synthetic data set: patients that never lived, made from a seed. Its tables always say so.

Image i is a function of (seed, i, difficulty) alone. Images come in blocks of ten from seven patients, so that any
image can be made without those before it; classes are stratified within a block.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd

from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import Reading
from al_cxr.data.phantom.findings import draw_findings, fill_fraction
from al_cxr.data.phantom.grid import Blobs, Grid, Pose
from al_cxr.data.phantom.patients import CLASSES, Patient, block_of, rng_of
from al_cxr.data.phantom.sites import SITES, draw_pose, draw_technique
from al_cxr.data.phantom.thorax import Anatomy, draw_anatomy
from al_cxr.data.phantom.xray import attenuation, expose

VERSION = 1
"""Goes up whenever a pixel changes."""
SPLIT_SHARES = {"val": 0.10, "test": 0.20}
INNER_SIDE = 96
"""Smaller images are means over an image of this side, so that thin lines do not alias."""


@lru_cache(maxsize=8)  # a patient's images follow one another
def _body(seed: int, patient: Patient, difficulty: float) -> tuple[Anatomy, Blobs]:
    body = draw_anatomy(rng_of(seed, 1, patient.number), patient.age, patient.sex)
    return body, draw_findings(rng_of(seed, 2, patient.number), body, patient.scenario, difficulty)


class PhantomImages:
    """`count` radiographs; see al_cxr.data.dataset.Images."""

    def __init__(self, count: int, seed: int, difficulty: float) -> None:
        self.count, self.seed, self.difficulty = count, seed, float(difficulty)
        self.key = f"phantom-v{VERSION}-count{count}-seed{seed}-difficulty{self.difficulty!r}"

    def __len__(self) -> int:
        return self.count

    def patient(self, index: int) -> tuple[Patient, int]:
        """Who is on image `index`, and which of the patient's images it is, from 0."""
        if not 0 <= index < self.count:
            raise IndexError(f"no image {index} in a phantom of {self.count}")
        return block_of(self.seed, index // 10, self.difficulty)[index % 10]

    def body(self, index: int) -> tuple[Anatomy, Blobs]:
        """Anatomy and findings, the same in all images of a patient."""
        return _body(self.seed, self.patient(index)[0], self.difficulty)

    def finding_map(self, index: int, size: int) -> np.ndarray:
        """Share of the lung's air that the findings replace, float32 (size, size), below 1, 0 = nothing found.

        Defined over the whole image; outside of the lungs it has no effect on the radiograph.
        """
        _, findings = self.body(index)
        return fill_fraction(self._grid(index, size, rng_of(self.seed, 3, index)), findings)

    def read(self, index: int, size: int) -> Reading:
        """uint8 (size, size), 0 = black, and the SHA-256 of these pixels."""
        patient, nth = self.patient(index)
        inner = max(size, INNER_SIDE)
        rng = rng_of(self.seed, 3, index)
        grid = self._grid(index, inner, rng)
        technique = draw_technique(rng, SITES[patient.site])
        body, findings = self.body(index)
        if patient.views[nth] == "AP":  # the heart is further from the detector, so its shadow is larger
            x, y, long, short, tilt = body.heart
            body = replace(body, heart=(x, y, 1.1 * long, 1.1 * short, tilt))
        fill = fill_fraction(grid, findings) if len(findings.x_M) else 0.0
        grey = expose(attenuation(grid, body, fill), grid, technique, rng)
        pixels = np.rint(_area_mean(grey, size) * 255).astype(np.uint8)
        return Reading(pixels, hashlib.sha256(pixels.tobytes()).hexdigest())

    def digest(self, index: int) -> None:
        return None

    def name(self, index: int) -> str:
        return f"phantom-{index:05d}"

    def _grid(self, index: int, size: int, rng: np.random.Generator) -> Grid:
        patient, nth = self.patient(index)
        return Grid(size, draw_pose(rng, SITES[patient.site], patient.views[nth]))


def standing(count: int, seed: int = 5) -> list[np.ndarray]:
    """`count` adults in the standard pose (no turn, zoom or shift), uint8 (96, 96): what a chest looks like here."""
    images = _Standing(2 * count, seed, difficulty=0.5)
    adults = [i for i in range(len(images)) if images.patient(i)[0].age >= 15]
    return [images.read(i, INNER_SIDE)[0] for i in adults[:count]]


class _Standing(PhantomImages):
    def _grid(self, index: int, size: int, rng: np.random.Generator) -> Grid:
        return Grid(size, Pose())


def _area_mean(grey: np.ndarray, size: int) -> np.ndarray:
    """Mean over each coarse pixel's share of the fine ones, (fine, fine) -> (size, size)."""
    fine = len(grey)
    if fine == size:
        return grey
    edges = np.linspace(0, fine, size + 1)
    whole = np.minimum(edges.astype(int), fine - 1)
    for _ in range(2):  # rows, then columns
        below = np.concatenate([np.zeros((1, grey.shape[1])), np.cumsum(grey, axis=0, dtype=np.float64)])
        grey = np.diff(below[whole] + (edges - whole)[:, None] * grey[whole], axis=0).T * (size / fine)
    return grey


def make_phantom(count: int, seed: int, difficulty: float) -> Dataset:
    """The phantom as a Dataset: 70 / 10 / 20 % train / val / test by patient, within each class."""
    images = PhantomImages(count, seed, difficulty)
    shown = [images.patient(i) for i in range(count)]
    numbers_N = np.array([p.number for p, _ in shown])
    labels_N = np.array([CLASSES.index(p.label) for p, _ in shown], dtype=np.int64)
    split_N = np.full(count, "train", dtype="<U5")
    rng = rng_of(seed, 4, count)
    for c in range(len(CLASSES)):
        patients = rng.permutation(np.unique(numbers_N[labels_N == c]))
        start = 0
        for split, share in SPLIT_SHARES.items():
            stop = start + max(1, round(share * len(patients)))
            split_N[np.isin(numbers_N, patients[start:stop])] = split
            start = stop
    table = pd.DataFrame(
        {
            "image": [images.name(i) for i in range(count)],
            "label": [p.label for p, _ in shown],
            "split": split_N,
            "patient_id": [f"phantom-p{p.number:05d}" for p, _ in shown],
            "source": [p.site for p, _ in shown],
            "age": [p.age for p, _ in shown],
            "sex": [p.sex for p, _ in shown],
            "view": [p.views[nth] for p, nth in shown],
            "difficulty": difficulty,
            "ambiguous": [int(len(p.scenario) > 1) for p, _ in shown],
        }
    )
    return Dataset(
        name="phantom",
        classes=CLASSES,
        labels_N=labels_N,
        split_N=split_N,
        table=table,
        images=images,
        synthetic=True,
        attribution="al-cxr phantom, synthetic: no patient was imaged",
    )

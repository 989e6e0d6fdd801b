"""The embedded synthetic data set: patients that never lived, made from a seed. Its tables always say so.

Image i is a function of (seed, i, difficulty) alone. Images come in blocks of ten from seven patients, so that any
image can be made without those before it; classes are stratified within a block.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import Reading
from al_cxr.data.phantom.findings import draw_findings, fill_fraction
from al_cxr.data.phantom.grid import Blobs, Grid, Pose
from al_cxr.data.phantom.thorax import Anatomy, draw_anatomy
from al_cxr.data.phantom.xray import Technique, attenuation, expose

VERSION = 1
"""Goes up whenever a pixel changes."""
CLASSES = ("normal", "pneumonia", "tuberculosis")
SHARES = (0.40, 0.32, 0.28)
SPLIT_SHARES = {"val": 0.10, "test": 0.20}
SITES = ("site-a", "site-b", "site-c")
INNER_SIDE = 96
"""Smaller images are means over an image of this side, so that thin lines do not alias."""
AMBIGUOUS_SHARE = 0.16
"""Of all patients at difficulty 1; it grows linearly from none at 0."""

# With these halves both labels of an ambiguous pair are equally frequent: 0.22, 0.18 and 0.10 of all patients each.
_PARTNER = {
    "normal": {"pneumonia": 0.22 / 0.40, "tuberculosis": 0.18 / 0.40},
    "pneumonia": {"normal": 0.22 / 0.32, "tuberculosis": 0.10 / 0.32},
    "tuberculosis": {"normal": 0.18 / 0.28, "pneumonia": 0.10 / 0.28},
}
_SITE_SHARES = {"normal": (0.34, 0.34, 0.32), "pneumonia": (0.48, 0.32, 0.20), "tuberculosis": (0.18, 0.32, 0.50)}
_IMAGES_A_BLOCK = (1, 1, 1, 1, 1, 2, 3)


@dataclass(frozen=True)
class Patient:
    number: int
    label: str
    scenario: tuple[str, ...]
    """The classes that the picture leaves open: one, or two in an ambiguous patient."""
    site: str
    age: int
    sex: str
    views: tuple[str, ...]


def _rng(seed: int, stream: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((seed, stream, number)))


@lru_cache(maxsize=64)
def _block(seed: int, block: int, difficulty: float) -> tuple[tuple[Patient, int], ...]:
    """Ten images as (patient, which of the patient's images)."""
    rng = _rng(seed, 0, block)
    sizes = rng.permutation(_IMAGES_A_BLOCK)
    quantiles = (rng.permutation(7) + rng.random(7)) / 7
    images: list[tuple[Patient, int]] = []
    for k in range(7):
        label = CLASSES[int(np.searchsorted(np.cumsum(SHARES[:-1]), quantiles[k], side="right"))]
        scenario: tuple[str, ...] = (label,)
        if rng.random() < AMBIGUOUS_SHARE * difficulty:
            other = str(rng.choice(list(_PARTNER[label]), p=list(_PARTNER[label].values())))
            scenario = (min(label, other), max(label, other))
        # From here on only the scenario counts, so that nothing tells the two labels of an ambiguous pair apart.
        site = str(rng.choice(SITES, p=np.mean([_SITE_SHARES[c] for c in scenario], axis=0)))
        child = rng.random() < {"site-a": 0.45, "site-b": 0.05, "site-c": 0.08}[site]
        age = int(rng.integers(1, 14)) if child else int(np.clip(rng.normal(46, 17), 15, 90))
        sex = str(rng.choice(["F", "M"]))
        lying = {"site-a": 0.5, "site-b": 0.55, "site-c": 0.08}[site]
        views = tuple("AP" if u < lying else "PA" for u in rng.random(3))
        patient = Patient(7 * block + k, label, scenario, site, age, sex, views)
        images += [(patient, j) for j in range(sizes[k])]
    return tuple(images)


def _technique(rng: np.random.Generator, site: str) -> Technique:
    """Each site has its own habits; within a site every exposure differs a little."""
    a, b, c = (site == s for s in SITES)
    latitude = rng.normal(2.9 if a else 3.1 if b else 2.4, 0.3)
    framed = rng.random() < (0.15 if a else 0.35 if b else 0.25)
    open_N = np.where(framed & (rng.random(4) < 0.7), rng.uniform(0.9, 0.99, 4), 1.2)
    right = rng.random() < (0.9 if c else 0.5)
    left_edge, top = rng.uniform(-0.93, -0.7) + (0.0 if right else 1.55), rng.uniform(-0.95, -0.55 if a else -0.8)
    marker = ("R" if right else "L", float(left_edge), float(top), float(rng.uniform(0.07, 0.12)))
    return Technique(
        dose=float(np.exp(rng.normal(11.6 if b else 12.2, 0.4))),
        latitude=float(np.clip(latitude, 1.9, 4.6)),
        brightness=float(rng.normal(-0.1 if a else -0.25 if b else -0.35, 0.2)),
        scatter=float(rng.uniform(0.02, 0.12 if b else 0.06)),
        flatten=float(rng.uniform(0.1, 0.45)),
        blur=float(rng.uniform(0.002, 0.005 if b else 0.0035)),
        black=float(rng.uniform(0.0, 0.06)),
        white=float(rng.uniform(0.83, 0.93) if a else rng.uniform(0.88, 0.97)),
        collimator=(-float(open_N[0]), float(open_N[1]), -float(open_N[2]), float(open_N[3])),
        margin=float(rng.uniform(0.0, 0.05)),
        marker=marker if rng.random() < 0.6 else None,
    )


def _pose(rng: np.random.Generator, patient: Patient, view: str) -> Pose:
    tight = patient.site == "site-a"
    return Pose(
        rotation=float(rng.normal(0, 0.035 if view == "AP" else 0.018)),
        zoom=float(np.clip(rng.normal(1.08 if tight else 0.96, 0.08), 0.8, 1.3)),
        aspect=float(np.exp(rng.normal(0.08 if tight else 0.0, 0.04))),
        shift=(float(rng.normal(0, 0.035)), float(rng.normal(0.02, 0.04))),
    )


@lru_cache(maxsize=8)  # a patient's images follow one another
def _body(seed: int, patient: Patient, difficulty: float) -> tuple[Anatomy, Blobs]:
    body = draw_anatomy(_rng(seed, 1, patient.number), patient.age, patient.sex)
    return body, draw_findings(_rng(seed, 2, patient.number), body, patient.scenario, difficulty)


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
        return _block(self.seed, index // 10, self.difficulty)[index % 10]

    def body(self, index: int) -> tuple[Anatomy, Blobs]:
        """Anatomy and findings, the same in all images of a patient."""
        return _body(self.seed, self.patient(index)[0], self.difficulty)

    def finding_map(self, index: int, size: int) -> np.ndarray:
        """Share of the lung's air that the findings replace, float32 (size, size), below 1, 0 = nothing found.

        Defined over the whole image; outside of the lungs it has no effect on the radiograph.
        """
        _, findings = self.body(index)
        return fill_fraction(self._grid(index, size, _rng(self.seed, 3, index)), findings)

    def read(self, index: int, size: int) -> Reading:
        """uint8 (size, size), 0 = black, and the SHA-256 of these pixels."""
        patient, nth = self.patient(index)
        inner = max(size, INNER_SIDE)
        rng = _rng(self.seed, 3, index)
        grid = self._grid(index, inner, rng)
        technique = _technique(rng, patient.site)
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
        return Grid(size, _pose(rng, patient, patient.views[nth]))


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
    rng = _rng(seed, 4, count)
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

"""The patients of the phantom, who never lived: which class, where, how old, and how many images of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from al_cxr.data.phantom.sites import SITES

CLASSES = ("normal", "pneumonia", "tuberculosis")
SHARES = (0.40, 0.32, 0.28)
"""Of the classes, among all patients."""
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
    """One patient; `number` counts from 0 through all blocks."""

    number: int
    label: str
    scenario: tuple[str, ...]
    """The classes that the picture leaves open: one, or two in an ambiguous patient."""
    site: str
    age: int
    sex: str
    views: tuple[str, ...]


def rng_of(seed: int, stream: int, number: int) -> np.random.Generator:
    """The chance of one patient or image: `stream` is what for, so that nothing depends on what was drawn before."""
    return np.random.default_rng(np.random.SeedSequence((seed, stream, number)))


@lru_cache(maxsize=64)
def block_of(seed: int, block: int, difficulty: float) -> tuple[tuple[Patient, int], ...]:
    """Ten images as (patient, which of the patient's images)."""
    rng = rng_of(seed, 0, block)
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
        site = str(rng.choice(list(SITES), p=np.mean([_SITE_SHARES[c] for c in scenario], axis=0)))
        child = rng.random() < SITES[site].children
        age = int(rng.integers(1, 14)) if child else int(np.clip(rng.normal(46, 17), 15, 90))
        sex = str(rng.choice(["F", "M"]))
        views = tuple("AP" if u < SITES[site].lying else "PA" for u in rng.random(3))
        patient = Patient(7 * block + k, label, scenario, site, age, sex, views)
        images += [(patient, j) for j in range(sizes[k])]
    return tuple(images)

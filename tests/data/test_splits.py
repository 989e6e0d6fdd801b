"""Splits that are drawn: no patient in two, each class in its share, the same in any order."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from al_cxr.data import splits
from al_cxr.data.dataset import SPLITS


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    patients=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=60),
    val=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    seed=st.integers(0, 3),
)
def test_split_is_patient_disjoint_stratified_and_free_of_order(
    patients: list[tuple[int, int]], val: float, test: float, seed: int
) -> None:
    labels_N = np.array([label for label, n in patients for _ in range(n)])
    patients_N = [f"p{i}" for i, (_, n) in enumerate(patients) for _ in range(n)]
    fractions = {"test": test, "val": val}
    split_N = splits.assign(labels_N, patients_N, fractions, seed)
    of: dict[str, set[str]] = {}
    for patient, split in zip(patients_N, split_N.tolist(), strict=True):
        of.setdefault(patient, set()).add(split)
    assert all(len(s) == 1 for s in of.values())
    for label in range(3):
        members = [f"p{i}" for i, (c, _) in enumerate(patients) if c == label]
        got = Counter(next(iter(of[p])) for p in members)
        for split, fraction in fractions.items():
            assert abs(got[split] - fraction * len(members)) <= 1.5
        assert len(members) < 3 or all(got[split] for split in SPLITS)
    order = np.random.default_rng(0).permutation(len(labels_N))
    again = splits.assign(labels_N[order], [patients_N[i] for i in order], fractions, seed)
    assert np.array_equal(again, split_N[order])


def test_a_patient_of_two_classes_counts_for_the_rarer() -> None:
    labels_N = np.array([0] * 30 + [1] * 3 + [0] * 3)
    patients_N = [f"p{i}" for i in range(30)] + ["x", "y", "z", "x", "y", "z"]
    split_N = splits.assign(labels_N, patients_N, {"test": 0.1, "val": 0.1}, 0)
    assert sorted(split_N[30:33]) == ["test", "train", "val"] and (split_N[30:33] == split_N[33:]).all()

"""Subgroups: ages as people write them, groups that are too small to be blamed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from al_cxr.core.enough import FEW
from al_cxr.evaluation.subgroups import MOST, age_group, subgroups


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("0", "under 18"),
        ("17", "under 18"),
        ("17.9", "under 18"),
        ("18", "18 to 39"),
        ("058Y", "40 to 64"),
        ("64", "40 to 64"),
        ("65", "65 and over"),
        ("120", "65 and over"),
        ("011M", "under 18"),
        ("300M", "18 to 39"),
        ("121", "unknown"),
        ("-3", "unknown"),
        ("adult", "unknown"),
        ("", "unknown"),
    ],
)
def test_ages(text: str, group: str) -> None:
    assert age_group(text) == group


def test_every_image_is_in_one_slice_of_a_column() -> None:
    table = pd.DataFrame(
        {
            "source": ["a"] * 30 + ["b"] * 10,
            "sex": ["M", "f", "Male", ""] * 10,
            "age": ["5", "30", np.nan, "70"] * 10,
            "view": ["pa"] * 40,  # the same everywhere: says nothing
            "site": ["x", "y"] * 20,
        }
    )
    found = subgroups(table)
    assert [str(s) for s in found] == [
        "source a",
        "source b",
        "sex male",
        "sex female",
        "sex unknown",
        "age under 18",
        "age 18 to 39",
        "age 65 and over",
        "age unknown",
    ]
    for column in ("source", "sex", "age"):
        assert (np.sum([s.mask_N for s in found if s.column == column], axis=0) == 1).all()
    assert {str(s) for s in found if s.nameable} == {"source a", "sex male"}  # 30 and 20 images


def test_nothing_known_makes_no_slices_and_a_flood_of_values_is_pooled() -> None:
    assert subgroups(pd.DataFrame({"source": [""] * 5, "sex": ["?"] * 5})) == []
    assert subgroups(pd.DataFrame(index=range(5))) == []
    many = subgroups(pd.DataFrame({"source": [f"s{i % 50}" for i in range(2000)]}))
    assert len(many) == MOST + 1 and many[-1].value == "other" and not many[-1].nameable
    assert all(s.nameable for s in many[:-1]) and many[0].mask_N.sum() == 40 >= FEW

"""Whole sources as test and validation sets: no image of them is trained on, and nothing else is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import shared

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.sources.named import named_source

SITES = ("site-a", "site-b", "site-c")


def load(data: str = "phantom:120", **options: str) -> Dataset:
    return load_first(DataSettings.model_validate({"sources": [named_source(data)], **options}))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["", *SITES]), st.sampled_from(["", *SITES]))
def test_every_image_is_where_it_belongs(test: str, val: str) -> None:
    plain = load()
    if test and test == val:
        with pytest.raises(UserError, match=r"data\.val_source: site-. is the test set already"):
            load(test_source=test, val_source=val)
        return
    held = load(test_source=test, val_source=val)
    before = plain.table.set_index("image")
    now = held.table.set_index("image")
    assert (held.split_N == held.table["split"]).all()
    assert [held.classes[label] for label in held.labels_N] == list(held.table["label"])
    assert [held.images.name(i) for i in range(len(held))] == list(held.table["image"])
    if test:
        assert set(now.index[now["split"] == "test"]) == set(before.index[before["source"] == test])
        assert set(before.index) - set(now.index) == set(
            before.index[(before["split"] == "test") & (before["source"] != test)]
        )
    else:
        assert set(now.index) == set(before.index)
        assert set(now.index[now["split"] == "test"]) == set(before.index[before["split"] == "test"])
    if val:
        inside = now[now["split"] != "test"]
        assert set(inside.index[inside["split"] == "val"]) == set(inside.index[inside["source"] == val])
    for name in (test, val):
        assert not name or name not in set(now["source"][now["split"] == "train"])
    pixels, digest, *_ = held.images.read(0, 28)
    expected, origin, *_ = plain.images.read(int(np.flatnonzero(plain.table["image"] == held.table["image"][0])[0]), 28)
    assert digest == origin and (pixels == expected).all()


def test_what_cannot_be_held_out_is_said() -> None:
    with pytest.raises(
        UserError, match=r"data\.test_source: no image of phantom is from the source 'x'; known: site-a, "
    ):
        load(test_source="x")
    root = shared("data", "cxr")
    with pytest.raises(UserError, match=r"data\.test_source: without shenzhen no image of tuberculosis is left"):
        load(str(root / "cxr3.csv"), test_source="shenzhen")


def test_one_hospital_of_the_real_radiographs_held_out() -> None:
    path = shared("data", "cxr") / "cxr3.csv"
    table = pd.read_csv(path)
    held = load(str(path), test_source="nih14")
    assert (held.split_N == "test").sum() == (table["source"] == "nih14").sum() == 999
    assert set(held.table["source"][held.split_N != "test"]) == {"shenzhen", "kermany"}
    chosen = load(str(path), val_source="kermany")
    assert set(chosen.table["source"][chosen.split_N == "train"]) == {"shenzhen", "nih14"}
    assert len(chosen) == len(table)

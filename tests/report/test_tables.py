"""Tables: numbers as printed, three forms of one table, classes against scikit-learn and closed forms."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from fake_run import CLASSES, fake_probs, labels
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report

from al_cxr.core.metrics import Metrics, measure
from al_cxr.report.classes import class_accuracy, per_class
from al_cxr.report.kit.numbers import number
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import file_name
from al_cxr.report.trivial import always, majority


def some_metrics(skill: float = 1.5, seed: int = 0) -> Metrics:
    y = labels()[-120:]
    return measure(fake_probs(y, skill, seed), y, CLASSES)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.8312, "percent", "83.1"),
        (1.0, "percent", "100.0"),
        (0.0123, "points", "+1.2"),
        (-0.0123, "points", "−1.2"),
        (-0.0001, "points", "0.0"),
        (0.0, "points", "0.0"),
        (0.98765, "area", "0.988"),
        (7564.0, "count", "7,564"),
        (6.5, "count", "6.5"),
        (12.34, "seconds", "12.3"),
        (1234.4, "seconds", "1,234"),
        (float("nan"), "percent", "—"),
        (None, "area", "—"),
        ("a|b", "text", "a|b"),
    ],
)
def test_numbers_as_printed(value: object, kind: str, text: str) -> None:
    assert number(value, kind) == text  # type: ignore[arg-type]


def test_spread_of_one_seed_is_a_dash() -> None:
    frame = pd.DataFrame(
        {"f1": [0.5, 0.25, 0.5, np.nan], "f1_sd": [0.1, np.nan, np.nan, np.nan], "seeds": [2, 1, np.nan, 0]}
    )
    cells = Column("F1", "f1", "percent", "sd").cells(frame)
    assert cells == ["50.0 ± 10.0", "25.0 ±    —", "50.0", "—"]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.text(min_size=1, max_size=10))
def test_no_text_can_break_a_table(names: list[str], title: str) -> None:
    frame = pd.DataFrame({"a": names, "b": range(len(names))})
    grid = Table("t", "T", frame, (Column(title, "a"), Column("n", "b", "count"))).grid()
    lines = grid.split("\n")
    assert len(lines) == len(names) + 2 == len(grid.splitlines())
    assert len({len(line) for line in lines}) == 1
    for line in lines:
        bare = re.sub(r"\\.", "", line)
        assert bare.count("|") == 3 and "<" not in bare


def test_an_estimate_has_five_forms_and_the_frame_stays_numeric() -> None:
    rows = {"x": [0.5, np.nan], "x_sd": [0.1, np.nan], "x_low": [0.25, np.nan], "x_high": [0.75, np.nan]}
    frame = pd.DataFrame(rows | {"x_seed_0": [0.4, np.nan], "x_seed_3": [0.6, np.nan], "said": [" of 3 †", ""]})
    printed = {
        "value": ["50.0", "—"],
        "sd": ["50.0 ± 10.0", "—"],
        "interval": ["50.0 (25.0 to 75.0)", "—"],
        "seeds": ["40.0 60.0", ""],
    }
    for form, cells in printed.items():
        assert Column("t", "x", "percent", form).cells(frame) == cells  # type: ignore[arg-type]
    assert Column("t", "x", "percent", note="said").cells(frame) == ["50.0 of 3 †", "—"]
    least = pd.DataFrame({"x_least": [2.0, 0.0], "x_most": [np.inf, np.inf], "x_low": [1.5, 0.0], "x_high": np.inf})
    assert Column("t", "x", "times", "bounds").cells(least) == ["at least 2.00 (1.50 or more)", "—"]
    labels = pd.DataFrame({"n": [199.2, np.inf], "n_low": [150, 180], "n_high": [np.inf, np.inf], "most": [400, 400]})
    shown = Column("t", "n", "labels", "interval", "most").cells(labels)
    assert shown == ["200 (150 to > 400)", "> 400 (180 to > 400)"]
    assert Column("p", "p", "p").cells(pd.DataFrame({"p": [1e-6]})) == [r"\< 0.0001"]


def test_a_table_in_three_forms() -> None:
    frame = pd.DataFrame({"arm": ["a", "b|c"], "f1": [0.123456789, np.nan], "labels": [10, 20]})
    columns = (Column("arm", "arm"), Column("F1, %", "f1", "percent"))
    files = Table("t", "Title", frame, columns, ("Said.",)).files("who · 3")
    text = files["t.md"]
    lines = ["| arm  | F1, % |", "| ---- | ----: |", "| a    |  12.3 |", "| b\\|c |     — |"]
    assert text == "\n".join(["# Title", "", *lines, "", "- Said.", "", "*who · 3*", ""])
    back = pd.read_csv(io.StringIO(files["t.csv"]))
    assert list(back["arm"]) == ["a", "b|c"] and back["f1"][0] == pytest.approx(0.123457) and np.isnan(back["f1"][1])
    assert set(back["data"]) == {"who · 3"}
    document = json.loads(files["t.json"])
    assert document["data"] == "who · 3"
    assert document["rows"] == [{"arm": "a", "f1": 0.123456789, "labels": 10}, {"arm": "b|c", "f1": None, "labels": 20}]


def test_file_names_stay_in_their_folder() -> None:
    assert "/" not in file_name("../../etc/x y") and file_name("focal+mc_entropy") == "focal+mc_entropy"


def test_per_class_is_scikit_learns_report() -> None:
    y = labels()[-120:]
    probs = fake_probs(y, 1.0, 3)
    told = classification_report(y, probs.argmax(1), target_names=CLASSES, output_dict=True)
    frame = per_class("t", "T", [measure(probs, y, CLASSES)]).frame.set_index("row")
    for row in (*CLASSES, "macro avg", "weighted avg"):
        for ours, theirs in (
            ("precision", "precision"),
            ("recall", "recall"),
            ("f1", "f1-score"),
            ("support", "support"),
        ):
            assert frame.loc[row, ours] == pytest.approx(told[row][theirs])
    assert frame.loc["accuracy", "f1"] == pytest.approx(told["accuracy"])


def test_per_class_is_the_mean_over_seeds() -> None:
    tests = [some_metrics(seed=s) for s in range(4)]
    row = per_class("t", "T", tests).frame.set_index("row").loc["tuberculosis"]
    values = [t.of("tuberculosis").f1 for t in tests]
    assert row["f1"] == pytest.approx(np.mean(values)) and row["f1_sd"] == pytest.approx(np.std(values, ddof=1))
    assert row["seeds"] == 4


def test_always_the_majority_class_in_closed_form() -> None:
    """PneumoniaMNIST's test set: 234 normal, 390 pneumonia; always pneumonia has accuracy 0.625 and F1 0.769."""
    y = np.repeat([0, 1], [234, 390])
    test = measure(np.full((624, 2), 0.5), y, ("normal", "pneumonia"))
    assert majority(test) == "pneumonia"
    constant = always(test, "pneumonia")
    assert constant.accuracy == pytest.approx(0.625) and constant.of("pneumonia").f1 == pytest.approx(2 * 0.625 / 1.625)
    table = per_class("t", "T", [test])
    frame = table.frame.set_index("row")
    assert frame.loc["always pneumonia: pneumonia", "f1"] == pytest.approx(0.7692, abs=1e-4)
    assert frame.loc["always pneumonia: macro avg", "f1"] == pytest.approx(0.7692 / 2, abs=1e-4)
    line = next(text for text in table.grid().splitlines() if "always pneumonia: accuracy" in text)
    assert "62.5" in line and "±" not in line


def test_class_accuracy_is_recall() -> None:
    test = some_metrics()
    frame = class_accuracy("t", "T", {"m": [test]}).frame.set_index("model")
    assert [frame.loc["m", f"class_{c}"] for c in CLASSES] == pytest.approx([c.recall for c in test.classes])
    assert frame.loc["always normal", "accuracy"] == pytest.approx(0.5)


def test_a_class_without_an_image_has_no_figures() -> None:
    y = labels()
    test = measure(fake_probs(y, 1.0, 3)[y != 2], y[y != 2], CLASSES)
    row = per_class("t", "T", [test]).frame.set_index("row").loc[CLASSES[2]]
    assert row["support"] == 0 and row[["precision", "recall", "f1", "roc_auc"]].isna().all()
    frame = class_accuracy("t", "T", {"m": [test]}).frame.set_index("model")
    assert np.isnan(frame.loc["m", f"class_{CLASSES[2]}"]) and frame.loc["m", "balanced"] > 0

"""From sources to a data set to learn from or to evaluate on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from source_files import GOOD, HEADER, KAGGLE, archive, settings, table, tree

from al_cxr.core import enough
from al_cxr.core.errors import UserError
from al_cxr.data.load import load_first, load_for_evaluation
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.medmnist import MedmnistSource
from al_cxr.data.sources.named import named_source
from al_cxr.data.sources.source import Source


def test_the_first_source_that_is_there(tmp_path: Path) -> None:
    absent: list[Source] = [
        FolderSource(kind="folder", path=str(tmp_path / "nowhere")),
        ManifestSource(kind="manifest", path=str(tmp_path / "nothing.csv"), root=None),
        MedmnistSource.model_validate({"kind": "medmnist", "root": str(tmp_path / "empty")}),
    ]
    good = table(tmp_path / "set", *GOOD)
    assert load_first(settings(*absent, good)).name == "set"
    assert load_first(settings(*absent, good, tree(tmp_path / "f", KAGGLE))).name == "set"
    with pytest.raises(UserError) as caught:
        load_first(settings(*absent))
    text = str(caught.value)
    assert "no data found: looked for folder " in text
    assert "nowhere" in text and "nothing.csv" in text and "pneumoniamnist at 64 px" in text


def test_a_broken_source_is_not_passed_over(tmp_path: Path) -> None:
    good = table(tmp_path / "set", *GOOD)
    with pytest.raises(UserError, match="no class folders"):
        load_first(settings(tree(tmp_path / "bare", {"": 1}), good))
    with pytest.raises(UserError, match="row 3: label is empty"):
        load_first(settings(table(tmp_path / "bad", GOOD[0], "01.png,,train,,,"), good))
    with pytest.raises(UserError, match="not a folder"):
        load_first(settings(FolderSource(kind="folder", path=good.path), good))
    with pytest.raises(UserError, match="no MedMNIST set"):
        load_first(settings(MedmnistSource.model_validate({"kind": "medmnist", "flag": "nomnist"}), good))


def test_phantom_is_a_source() -> None:
    source = named_source("phantom:60")
    dataset = load_first(settings(source))
    assert dataset.synthetic and len(dataset) == 60 and "tuberculosis" in dataset.classes
    assert load_for_evaluation(source, dataset.classes).synthetic


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phantom", {"kind": "phantom", "count": 2000}),
        ("phantom:300", {"kind": "phantom", "count": 300}),
        ("medmnist:breastmnist", {"kind": "medmnist", "flag": "breastmnist", "pixels": 64, "root": None}),
        ("medmnist:octmnist@/a/b@c", {"kind": "medmnist", "flag": "octmnist", "root": "/a/b@c"}),
        ("medmnist:octmnist-28@x", {"kind": "medmnist", "flag": "octmnist", "pixels": 28, "root": "x"}),
        ("x/y.CSV", {"kind": "manifest", "path": "x/y.CSV", "root": None}),
        ("data/chest-xray", {"kind": "folder", "path": "data/chest-xray"}),
        ("./phantom", {"kind": "folder", "path": "./phantom"}),
    ],
)
def test_parse(text: str, expected: dict[str, Any]) -> None:
    parsed = named_source(text).model_dump()
    assert {key: parsed[key] for key in expected} == expected


@pytest.mark.parametrize("text", ["", "phantom:3", "phantom:x", "medmnist:", "medmnist", "medmnist:octmnist-33"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UserError, match="data source"):
        named_source(text)


def test_evaluation_uses_the_test_split_or_everything(tmp_path: Path) -> None:
    source = table(tmp_path, *GOOD)
    dataset = load_for_evaluation(source, ["b", "c", "a"])
    assert dataset.classes == ("b", "c", "a") and dataset.labels_N.tolist() == [2, 0]
    assert dataset.table["image"].tolist() == ["04.png", "05.png"] == [dataset.images.name(i) for i in range(2)]
    assert dataset.images.read(1, 8)[0].max() == 5 and dataset.images.key != source.read().images.key
    assert "only the test split: 2 of 6 images" in dataset.notes
    for rows, header in (([f"{i:02d}.png,a" for i in range(3)], "path,label"), ([GOOD[0], GOOD[1], GOOD[3]], HEADER)):
        dataset = load_for_evaluation(table(tmp_path, *rows, header=header), ["a", "b"])
        assert len(dataset) == 3 and set(dataset.split_N) == {"test"} == set(dataset.table["split"])
    assert len(load_for_evaluation(table(tmp_path, *GOOD[4:]), ["a", "b"])) == 2
    assert len(load_for_evaluation(tree(tmp_path / "f", {"a": 4}), ["b", "a"])) == 4
    assert len(load_for_evaluation(archive(tmp_path / "m"), ["pneumonia", "normal"])) == 2


def test_evaluation_refuses_a_label_the_model_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"05\.png is labelled 'b', which the model does not know; known: a, c"):
        load_for_evaluation(table(tmp_path, *GOOD), ["a", "c"])
    ok = table(tmp_path, GOOD[1].replace(",b,", ",other,"), GOOD[4])  # in a split that is not used
    assert len(load_for_evaluation(ok, ["a"])) == 1


def test_warnings(tmp_path: Path) -> None:
    rows = [f"{i:02d}.png,{'a' if i < 9 else 'b'},train,p{i},{'x' if i < 6 else 'y'}" for i in range(12)]
    rows += [f"{i:02d}.png,{'ab'[i % 2]},{'val' if i < 16 else 'test'},p{i % 4},y" for i in range(12, 20)]
    notes = load_first(settings(table(tmp_path, *rows, header="path,label,split,patient_id,source"))).notes
    assert notes == (
        "4 patients are in both train and val: what val measures there is memory",
        "4 patients are in both train and test: what test measures there is memory",
        "4 patients are in both val and test: what test measures there is memory",
        "class imbalance in train: 9 a, 3 b (3.0 to 1)",
        "source shortcut: every image from x is a",
        "source shortcut: every image of b with a known source comes from y",
        *enough.of_split("val", {"a": 2, "b": 2}),
        *enough.of_split("test", {"a": 2, "b": 2}),
    )
    few = load_first(settings(tree(tmp_path / "f", KAGGLE))).notes
    assert len(few) == 2 and all(note.startswith(enough.PREFIX) for note in few)

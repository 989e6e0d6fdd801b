"""Cross-validation: every image is tested on once, by models that have not seen its patient."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from test_cli import fails
from tiny import write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.comparison.finished import load_baseline
from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.core.predictions import read_predictions
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.sources.named import named_source
from al_cxr.report.folds import write_folds_report

pytestmark = pytest.mark.usefixtures("undrawn_module")


def load(**options: object) -> Dataset:
    return load_first(DataSettings.model_validate({"sources": [named_source("phantom:150")], **options}))


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 7), st.integers(0, 3))
def test_each_image_is_tested_on_once_and_no_patient_is_in_two_splits(folds: int, seed: int) -> None:
    tested = np.zeros(150, int)
    for fold in range(folds):
        dealt = load(folds=folds, fold=fold, split_seed=seed)
        assert len(dealt) == 150 and (dealt.split_N == dealt.table["split"]).all()
        tested += dealt.split_N == "test"
        assert dealt.table.groupby("patient_id")["split"].nunique().max() == 1
        for split in ("train", "val", "test"):
            assert set(dealt.labels_N[dealt.split_N == split]) == {0, 1, 2}
        assert any(f"fold {fold + 1} of {folds}" in note for note in dealt.notes)
        assert abs((dealt.split_N == "test").mean() - 1 / folds) < 0.1
    assert (tested == 1).all()


def test_what_cannot_be_dealt_is_said() -> None:
    with pytest.raises(UserError, match=r"data\.folds: phantom has too few patients of .* for 20 folds"):
        load_first(DataSettings.model_validate({"sources": [named_source("phantom:30")], "folds": 20, "fold": 3}))
    for odd in ({"folds": 1}, {"folds": 3, "fold": 3}, {"fold": 1}, {"folds": 3, "test_source": "site-a"}):
        with pytest.raises(ValueError, match="fold"):
            DataSettings.model_validate({"sources": [named_source("phantom:30")], **odd})


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tiny(folder)
        assert main(["baseline", "tiny.yaml", "--folds", "3"]) == 0
    return folder


def test_the_page_pools_what_the_folds_said(here: Path) -> None:
    page = here / "results/baseline-tiny-3folds"
    assert "3-fold cross-validation on phantom" in (page / "README.md").read_text()
    runs = [load_baseline(here / f"runs/baseline-tiny-fold{k}of3/cnn") for k in (1, 2, 3)]
    right, areas, accuracies = [], [], []
    for seed in (0, 1):
        probs, labels = [], []
        for run in runs:
            assert run.images is not None
            index, fold_probs = read_predictions(run.fit_folder(run.baselines[seed].fit), "test")
            classes = run.experiment.data.classes
            probs.append(fold_probs)
            labels.append([classes.index(label) for label in run.images["label"].iloc[index]])
        pooled, y = np.concatenate(probs).astype(np.float64), np.concatenate(labels)
        pooled /= pooled.sum(axis=1, keepdims=True)
        assert len(y) == 90
        right.append((pooled.argmax(1) == y).mean())
        areas.append(roc_auc_score(y, pooled, multi_class="ovr"))
    models = pd.read_csv(page / "tables/models.csv").set_index("model")
    assert models.loc["cnn", "accuracy"] == pytest.approx(np.mean(right), abs=1e-5)
    assert models.loc["cnn", "roc_auc"] == pytest.approx(np.mean(areas), abs=1e-5)
    for run in runs:
        accuracies.append(np.mean([record.test.accuracy for record in run.baselines.values()]))
    folds = pd.read_csv(page / "tables/folds.csv").set_index("fold")
    assert folds.loc["mean of folds", "accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-5)
    assert folds.loc["mean of folds", "images"] == 90
    assert (page / "baseline-tiny-fold2of3/README.md").is_file()


def test_warnings_of_the_folds_stand_on_the_page_of_all(here: Path) -> None:
    """What is true of one fold alone is left out; what a reader must know of the data or the weights is not."""
    folders = [here / f"runs/baseline-tiny-fold{k}of3" for k in (1, 2, 3)]
    record = folders[1] / "cnn" / "experiment.json"
    before = record.read_text()
    try:
        said = json.loads(before)
        said["data"]["notes"].append(
            "4 of 30 test images were seen by the weights w: what is measured on them is memory"
        )
        record.write_text(json.dumps(said))
        text = write_folds_report([folders], here / "again").read_text()
    finally:
        record.write_text(before)
    assert "4 of 30 test images were seen by the weights w" in text and "fold 2 of 3:" not in text
    assert "have not seen its patient." in text


def test_it_goes_on_and_mistakes_are_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    before = {path: path.stat().st_mtime_ns for path in (here / "runs").rglob("fit.json")}
    assert main(["baseline", "tiny.yaml", "--folds", "3"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (here / "runs").rglob("fit.json")} == before
    capsys.readouterr()
    assert "--folds 1: must be 2 or more" in fails(capsys, "baseline", "tiny.yaml", "--folds", "1")
    assert "folds are 2 or more" in fails(capsys, "baseline", "tiny.yaml", "--set", "data.fold=2")


def test_several_cross_validations_are_also_one(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    assert main(["baseline", "tiny.yaml", "--folds", "3", "--name", "other", "--set", "train.lr=0.01"]) == 0
    assert main(["folds", "runs/baseline-tiny", "runs/baseline-other", "--out", "results/both"]) == 0
    assert "results/both/README.md" in capsys.readouterr().out
    models = pd.read_csv("results/both/tables/models.csv").set_index("model")
    for name in ("tiny", "other"):
        alone = pd.read_csv(f"results/baseline-{name}-3folds/tables/models.csv").set_index("model")
        assert models.loc[f"{name}: cnn", "accuracy"] == alone.loc["cnn", "accuracy"]
    probs, labels = [], []
    for fold in (1, 2, 3):
        of_fold = []
        for name in ("tiny", "other"):
            run = load_baseline(Path(f"runs/baseline-{name}-fold{fold}of3/cnn"))
            assert run.images is not None
            for record in run.baselines.values():
                index, one = read_predictions(run.fit_folder(record.fit), "test")
                of_fold.append(one.astype(np.float64) / one.sum(axis=1, keepdims=True, dtype=np.float64))
        assert len(of_fold) == 4
        probs.append(np.mean(of_fold, axis=0))
        labels += [run.experiment.data.classes.index(label) for label in run.images["label"].iloc[index]]
    together, y = models.loc["ensemble of 4 networks a fold"], np.array(labels)
    pooled = np.concatenate(probs)
    assert together["accuracy"] == pytest.approx((pooled.argmax(1) == y).mean(), abs=1e-5)
    assert together["roc_auc"] == pytest.approx(roc_auc_score(y, pooled, multi_class="ovr"), abs=1e-5)
    folds = pd.read_csv("results/both/tables/folds.csv")
    assert (folds["fold"] == "mean of folds").sum() == 3 and len(folds) == 12


def test_cross_validations_that_do_not_fit_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    out = ("--out", "results/odd")
    assert "no cross-validation has this name; there is no folder runs/tiny-fold1ofK" in fails(
        capsys, "folds", "runs/tiny", *out
    )
    assert "is named twice; name each once" in fails(capsys, "folds", "runs/baseline-tiny", "runs/baseline-tiny/", *out)
    dealt = ("--folds", "3", "--name", "dealt", "--set", "data.split_seed=7")
    assert main(["baseline", "tiny.yaml", *dealt]) == 0
    capsys.readouterr()
    wanted = "dealt: cnn: tested on other images, or in other folds, than tiny: cnn"
    assert wanted in fails(capsys, "folds", "runs/baseline-tiny", "runs/baseline-dealt", *out)
    Path("runs/baseline-dealt-fold2of3").rename("runs/elsewhere")
    assert "fold 2 of 3 is missing; finish it first" in fails(capsys, "folds", "runs/baseline-dealt", *out)
    assert not Path("results/odd").exists()

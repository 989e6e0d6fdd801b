"""`al-cxr evaluate`: intervals, thresholds and slices on data that the models have not seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_cli import fails
from tiny import write_tiny

from al_cxr.cli import main
from al_cxr.errors import UserError
from al_cxr.evaluate import find_models, known_labels, target_of
from al_cxr.trust.truth import judged

pytestmark = pytest.mark.usefixtures("undrawn_module")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a tiny baseline, and a manifest of another hospital with ages and sexes."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tiny(folder)
        assert main(["baseline", "tiny.yaml"]) == 0
    r = np.random.default_rng(0)
    rows = []
    for i in range(60):
        name = f"{i}.png"
        Image.fromarray(r.integers(0, 255, (32, 32), np.uint8)).save(folder / name)
        rows.append((name, ("normal", "tuberculosis")[i % 2], f"p{i // 2}", ("F", "M")[i % 3 > 0], 20 + i))
    frame = pd.DataFrame(rows, columns=["path", "label", "patient_id", "sex", "age"])
    frame.to_csv(folder / "other.csv", index=False)
    return folder


@pytest.fixture(autouse=True)
def _there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)


def test_the_page_has_intervals_thresholds_and_slices(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = "runs/baseline-tiny/cnn"
    asked = ["--target", "tuberculosis", "--sensitivity", "0.8", "--prevalence", "0.03"]
    assert main(["evaluate", run, "--data", "other.csv", "--out", "out", *asked]) == 0
    text = (here / "out" / "README.md").read_text()
    for said in (
        "sensitivity 80 % on validation",
        "sex female",
        "age 18 to 39",
        "3 %",
        "## Calibration",
        "patients with several",
        "## Other thresholds",
        "the best F1",
    ):
        assert said in text
    models = pd.read_csv(here / "out/tables/models.csv").set_index("model")
    assert list(models.index)[:2] == ["baseline", "baseline, ensemble of 2"]
    judged_rows = [pd.read_csv(here / f"out/predictions/baseline_seed-{s}.csv") for s in (0, 1)]
    accuracies = [(rows["true"] == rows["predicted"]).mean() for rows in judged_rows]
    row = models.loc["baseline"]
    assert row["accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-5)
    assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    mean = np.mean([rows[[c for c in rows if c.startswith("p_")]].to_numpy() for rows in judged_rows], axis=0)
    names = [c.removeprefix("p_") for c in judged_rows[0] if c.startswith("p_")]
    right = (np.array(names)[mean.argmax(axis=1)] == judged_rows[0]["true"]).mean()
    assert models.loc["baseline, ensemble of 2", "accuracy"] == pytest.approx(right, abs=1e-5)
    capsys.readouterr()


def test_several_runs_are_tested_side_by_side_and_as_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "tiny.yaml", "--arch", "mlp"]) == 0
    runs = ["runs/baseline-tiny/cnn", "runs/baseline-tiny/mlp"]
    asked = ["--data", "other.csv", "--target", "tuberculosis", "--out", "both"]
    assert main(["evaluate", *runs, *asked]) == 0
    models = pd.read_csv(here / "both/tables/models.csv").set_index("model")
    whole = "ensemble of 4 networks"
    assert list(models.index)[::2] == ["baseline-tiny-cnn", "baseline-tiny-mlp", whole]
    probs = [
        pd.read_csv(here / f"both/predictions/baseline-tiny-{arch}_seed-{seed}.csv").filter(like="p_").to_numpy()
        for arch in ("cnn", "mlp")
        for seed in (0, 1)
    ]
    table = pd.read_csv(here / "both/predictions" / f"{whole.replace(' ', '_')}.csv")
    np.testing.assert_allclose(table.filter(like="p_").to_numpy(), np.mean(probs, axis=0), atol=2e-6)
    # it has a threshold of its own, from the mean on validation
    validated = pd.read_csv(here / "both/tables" / f"operating-{whole.replace(' ', '_')}.csv")
    assert validated["threshold"].notna().all()
    assert capsys.readouterr().out.count("accuracy") >= 5

    assert "--out: several runs" in fails(capsys, "evaluate", *runs, "--data", "other.csv")
    assert "the same models" in fails(capsys, "evaluate", runs[0], f"{runs[0]}/baseline", *asked)


def test_thresholds_come_from_the_validation_split_of_the_run(here: Path) -> None:
    (model, _) = find_models(here / "runs/baseline-tiny/cnn")
    assert model.run == here / "runs/baseline-tiny/cnn" and target_of(model.run) == "tuberculosis"
    labels = known_labels(model.run)
    assert labels is not None and len(labels) == 90
    _, probs, y = judged(model.fit.folder, "val", labels, model.fit.record.val)
    assert len(probs) == len(y) == model.fit.record.val.n


@pytest.mark.parametrize("name", ["seed-1", "seed-1.json"])
def test_one_seed_of_a_baseline_can_be_named(here: Path, name: str) -> None:
    baseline = here / "runs/baseline-tiny/cnn/baseline"
    (one,) = find_models(baseline / name)
    assert one.name == "baseline/seed-1"
    with pytest.raises(UserError, match="no finished model"):
        find_models(baseline / "seed-7")


def test_a_fit_without_its_run_has_no_threshold(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = tmp_path / "alone" / "fit"
    shutil.copytree(find_models(here / "runs/baseline-tiny/cnn")[0].fit.folder, fit)
    assert main(["evaluate", str(fit), "--data", "other.csv", "--out", str(tmp_path / "a")]) == 0
    text = (tmp_path / "a" / "README.md").read_text()
    assert (
        "neither a temperature nor a threshold" in text and "No class was named" in text and "sensitivity" not in text
    )
    assert "validation labels cannot be read" in capsys.readouterr().out
    asked = ["--target", "tuberculosis", "--out", str(tmp_path / "b")]
    assert main(["evaluate", str(fit), "--data", "other.csv", *asked]) == 0
    sliced = pd.read_csv(tmp_path / "b/tables/slices-fit.csv")
    assert sliced["accuracy"].notna().all() and sliced["sensitivity"].isna().all()


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    run = ["evaluate", "runs/baseline-tiny/cnn", "--data", "other.csv"]
    assert "no class 'covid'" in fails(capsys, *run, "--target", "covid")
    assert "lies in 0..1" in fails(capsys, *run, "--sensitivity", "90")
    assert "2 % is 0.02" in fails(capsys, *run, "--prevalence", "2")
    assert "numbers with commas" in fails(capsys, *run, "--prevalence", "two")
    with pytest.raises(SystemExit):
        main([*run, "--sensitivity", "0.9", "--specificity", "0.9"])

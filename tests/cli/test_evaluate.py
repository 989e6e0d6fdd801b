"""`al-cxr evaluate`: intervals, thresholds and subgroups on data that the models have not seen."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_cli import fails
from tiny import TINY, write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.evaluation.truth import checked_predictions
from al_cxr.experiment.external_test import find_models, known_labels, target_of

pytestmark = pytest.mark.usefixtures("undrawn_module")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a tiny baseline, and a manifest of another hospital with ages and sexes."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tiny(folder, TINY.replace("count: 90", "count: 240"))
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


def test_the_page_has_intervals_thresholds_and_subgroups(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    accuracies = [(rows["true"] == rows["most_probable"]).mean() for rows in judged_rows]
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

    assert "--out: several models" in fails(capsys, "evaluate", *runs, "--data", "other.csv")
    assert "the same models" in fails(capsys, "evaluate", runs[0], f"{runs[0]}/baseline", *asked)


def test_a_bundle_is_tested_with_the_answers_that_it_gives(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = "runs/baseline-tiny/cnn"
    assert main(["bundle", f"{run}/baseline", "hospital", "--specificity", "0.7"]) == 0
    assert main(["predict", "hospital", "other.csv", "--out", "answers.csv"]) == 0
    assert main(["evaluate", "hospital", run, "--data", "other.csv", "--out", "bundled"]) == 0
    assert "bundle hospital: accuracy" in capsys.readouterr().out

    answers = pd.read_csv(here / "answers.csv").set_index("path")
    tested = pd.read_csv(here / "bundled/predictions/bundle_hospital.csv").set_index("name")
    columns = [column for column in tested if column.startswith("p_")]
    np.testing.assert_allclose(tested[columns], answers.loc[tested.index, columns], atol=1.1e-6)
    ill = tested["true"] == "tuberculosis"
    flagged = answers.loc[tested.index, "is_tuberculosis"] == 1
    models = pd.read_csv(here / "bundled/tables/models.csv").set_index("model")
    row = models.loc["bundle hospital"]
    assert row["sensitivity"] == pytest.approx(flagged[ill].mean(), abs=1e-5)
    assert row["specificity"] == pytest.approx((~flagged)[~ill].mean(), abs=1e-5)
    # as the networks of its run together, but for a temperature, which changes no class
    assert row["accuracy"] == pytest.approx(models.loc["baseline, ensemble of 2", "accuracy"], abs=1e-5)
    calibrated = pd.read_csv(here / "bundled/tables/calibration.csv")
    assert list(calibrated["model"]).count("bundle hospital") == 1, "calibrated twice"
    text = (here / "bundled/README.md").read_text()
    for said in ("specificity 70 % on validation", "2 networks (cnn)", "calibrated, with its temperature"):
        assert said in text
    assert "was made for" not in text
    asked = ["--out", "asked", "--sensitivity", "0.8"]
    assert main(["evaluate", "hospital", "--data", "other.csv", *asked]) == 0
    text = (here / "asked/README.md").read_text()
    assert "sensitivity 80 % on validation" in text
    assert "was made for specificity 70 %, and is judged here at the threshold for sensitivity 80 %" in text


def test_a_bundle_brings_what_it_has_seen_and_an_older_one_no_threshold(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "runs/baseline-tiny/cnn/baseline", "now"]) == 0
    shutil.copytree("now", "older")
    (here / "older/validation.safetensors").unlink()
    with open(here / "older/seen.sha256", "a") as f:
        f.write(f"{hashlib.sha256((here / '7.png').read_bytes()).hexdigest()}\n")
    files = sorted(p for p in (here / "older").rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(here / 'older')}\n" for p in files]
    (here / "older/SHA256SUMS").write_text("".join(lines))

    other = ["--data", "other.csv"]
    assert main(["evaluate", "now", "older", *other, "--out", "two"]) == 0
    text = (here / "two/README.md").read_text()
    assert "1 of 60 images trained or chose the models" in text and "bundle older holds no validation answers" in text
    models = pd.read_csv(here / "two/tables/models.csv").set_index("model")
    assert models.loc["bundle older", "accuracy"] == models.loc["bundle now", "accuracy"]
    assert np.isnan(models.loc["bundle older", "sensitivity"]) and models.loc["bundle now", "sensitivity"] >= 0

    assert "--out: nothing may be added to a bundle" in fails(capsys, "evaluate", "now", *other)
    assert "the same bundle" in fails(capsys, "evaluate", "now", "./now", *other, "--out", "x")
    assert "adapted by `al-cxr adapt`" in fails(capsys, "evaluate", "now", *other, "--out", "x", "--adapt")
    assert main(["baseline", "tiny.yaml", "--data", "other.csv", "--arch", "mlp", "--name", "two"]) == 0
    assert main(["bundle", "runs/baseline-two/mlp/baseline", "binary"]) == 0
    said = fails(capsys, "evaluate", "now", "binary", *other, "--out", "x")
    assert "bundle binary: its classes are normal, tuberculosis, those of the first model normal, pneumonia" in said
    assert not (here / "x").exists()


def test_thresholds_come_from_the_validation_split_of_the_run(here: Path) -> None:
    (model, _) = find_models(here / "runs/baseline-tiny/cnn")
    assert model.run == here / "runs/baseline-tiny/cnn" and target_of(model.run) == "tuberculosis"
    labels = known_labels(model.run)
    assert labels is not None and len(labels) == 240
    _, probs, y = checked_predictions(model.fit.folder, "val", labels, model.fit.record.val)
    assert len(probs) == len(y) == model.fit.record.val.n


@pytest.mark.parametrize("name", ["seed-1", "seed-1.json"])
def test_one_seed_of_a_baseline_can_be_named(here: Path, name: str) -> None:
    baseline = here / "runs/baseline-tiny/cnn/baseline"
    (one,) = find_models(baseline / name)
    assert one.name == "baseline/seed-1"
    with pytest.raises(UserError, match="no model is finished"):
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
    sliced = pd.read_csv(tmp_path / "b/tables/subgroups-fit.csv")
    assert sliced["accuracy"].notna().all() and sliced["sensitivity"].isna().all()


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    run = ["evaluate", "runs/baseline-tiny/cnn", "--data", "other.csv"]
    assert "no class 'covid'" in fails(capsys, *run, "--target", "covid")
    assert "lies in 0..1" in fails(capsys, *run, "--sensitivity", "90")
    assert "2 % is 0.02" in fails(capsys, *run, "--prevalence", "2")
    assert "numbers with commas" in fails(capsys, *run, "--prevalence", "two")
    with pytest.raises(SystemExit):
        main([*run, "--sensitivity", "0.9", "--specificity", "0.9"])

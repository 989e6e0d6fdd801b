"""Pages: what must stand on them, links that lead somewhere, one number everywhere, privacy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_run import ARMS, CLASSES, edit, fake_probs, fake_run, labels, radiographs
from tiny import do_not_draw

from al_cxr.cli.__main__ import main
from al_cxr.comparison.finished import load
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.evaluation.predicted import EvaluatedModel, Predicted
from al_cxr.report import write_evaluation, write_report
from al_cxr.report.origin import machine
from al_cxr.report.terminal import comparison_text

STAMP = "phantom (synthetic: no patient was imaged) · test set 120 images · 3 seeds (0, 1, 2)"
TWO = {n: ARMS[n] for n in ("ce+random", "ce+mc_entropy")}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def results(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        do_not_draw(patch)
        return write_report(run, tmp_path_factory.mktemp("results"), radiographs()).parent


def links(page: Path) -> list[str]:
    return [unquote(link) for link in re.findall(r"\]\(([^)]+)\)", page.read_text())]


def test_warnings_come_first_and_the_page_can_be_traced(results: Path) -> None:
    page = (results / "README.md").read_text()
    assert page.index("## Warnings") < page.index("12 files could not be read") < page.index("## Results")
    for said in ("al-cxr run experiments/fake.yaml", "abc1234", "seeds: 0, 1, 2", "0123abcd", "python 3.11"):
        assert page.index(said) < page.index("## Results")
    assert "none was imaged" not in page and "no patient was imaged" in page


def test_every_link_leads_somewhere(results: Path) -> None:
    targets = links(results / "README.md")
    assert {"figures/curve-f1.png", "figures/acquired.png", "figures/samples-fully-labelled.png"} <= set(targets)
    assert all((results / target).is_file() for target in targets)
    assert all(not target.startswith(("/", "..")) for target in targets)


def test_every_table_has_three_forms_and_its_stamp(results: Path) -> None:
    tables = sorted((results / "tables").glob("*.md"))
    names = {p.stem for p in tables}
    assert {"summary", "gain", "two-by-two-focal-mc_entropy", "class-accuracy", "each-seed"} <= names
    assert {f"rounds-{arm}" for arm in ARMS} | {f"per-class-{arm}" for arm in ARMS} <= names
    for path in tables:
        assert STAMP in path.read_text(), path.name
        if path.stem.startswith(("summary", "gain", "two-by-two", "rounds-", "per-class", "class-acc", "each-seed")):
            assert "always normal" in path.read_text(), path.name
        assert json.loads(path.with_suffix(".json").read_text())["data"] == STAMP
        assert set(pd.read_csv(path.with_suffix(".csv"))["data"]) == {STAMP}


def test_page_and_csv_agree(results: Path, run: Path) -> None:
    finished = load(run)
    summary = pd.read_csv(results / "tables/summary.csv").set_index("arm")
    last = [finished.rounds["focal+mc_entropy", s][3].test.of("tuberculosis").f1 for s in range(3)]
    assert summary.loc["focal+mc_entropy", "f1"] == pytest.approx(np.mean(last), abs=1e-5)
    curves = []
    for seed in range(3):
        f = [r.test.of("tuberculosis").f1 for r in finished.rounds["focal+mc_entropy", seed]]
        curves.append((f[0] / 2 + f[1] + f[2] + f[3] / 2) / 3)  # equal steps of 40 labels
    assert summary.loc["focal+mc_entropy", "curve_f1"] == pytest.approx(np.mean(curves), abs=1e-5)
    rounds = pd.read_csv(results / "tables/rounds-focal+mc_entropy.csv").set_index("label")
    assert list(rounds.loc["1", [f"acquired_{c}" for c in CLASSES]]) == [12, 10, 18]
    row = next(t for t in (results / "README.md").read_text().splitlines() if t.startswith("| focal+mc_entropy "))
    assert f"{100 * np.mean(last):.1f} ±" in row


def test_settings_and_environment_are_the_records(results: Path, run: Path) -> None:
    record = json.loads((run / "experiment.json").read_text())
    assert yaml.safe_load((results / "settings.yaml").read_text()) == record["settings"]
    environment = json.loads((results / "environment.json").read_text())
    assert environment["commit"] == "abc1234" and environment["data"] == record["data"]


def test_few_seeds_are_called_few(results: Path, run: Path) -> None:
    assert "smallest two-sided p of a sign-flip test is 0.25" in (results / "tables/gain.md").read_text()
    text = comparison_text(load(run))
    assert "focal − cross_entropy" in text and text.endswith(STAMP)


@pytest.mark.usefixtures("undrawn")
def test_the_page_says_what_it_was_computed_with(tmp_path: Path) -> None:
    assert machine(tmp_path) == {}
    noted = {"device": "cpu", "precision": "bf16", "threads": 1, "score_batch": 256, "channels_last": True}
    (tmp_path / "machine.json").write_text(json.dumps({**noted, "checkpoint_seconds": 60.0}))
    assert machine(tmp_path) == noted
    (tmp_path / "machine.json").write_text("{")
    with pytest.raises(UserError, match=r"machine\.json"):
        machine(tmp_path)


def test_one_seed_unfinished_and_dirty(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(5,), rounds=2, synthetic=False, notes=())
    (run / "arms/ce+mc_entropy/seed-5/round-2.json").unlink()
    edit(run / "experiment.json", commit="abc1234-dirty")
    page = write_report(run, tmp_path / "results").read_text()
    for said in (
        "One seed",
        "abc1234-dirty",
        "Missing: ce+mc_entropy seed 5: rounds 0-1 of 2",
        "± —",
        "1 seed (5) · UNFINISHED",
    ):
        assert said in page
    assert "synthetic" not in page and "samples-" not in page


def test_gains_of_fewer_pairs_say_so(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(0, 1, 2), rounds=1)
    (run / "baseline/seed-1.json").unlink()
    (run / "arms/ce+random/seed-2/round-1.json").unlink()
    (run / "arms/ce+random/seed-1/round-1.json").unlink()
    rows = [line for line in comparison_text(load(run)).splitlines() if line.startswith("| ce+mc_entropy")]
    assert rows[0].endswith("| 3, 2 with baseline †                |")
    assert rows[1].endswith("| 3, 2 with baseline, 1 with random † |")


@pytest.mark.usefixtures("undrawn")
def test_a_run_before_its_first_query_has_a_report(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(0,), rounds=0)
    assert "## Results" in write_report(run, tmp_path / "results").read_text()


@pytest.mark.usefixtures("undrawn")
def test_reports_of_several_runs_have_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [fake_run(tmp_path / f"runs/{n}", TWO, seeds=(0,), rounds=1, synthetic=n == "a") for n in "ab"]
    command = ["report", *map(str, runs), "--results", str(tmp_path / "results")]
    assert main(command) == 2
    assert "another run named here is called fake too" in capsys.readouterr().err
    edit(runs[1] / "experiment.json", name="other")
    assert main(command) == 0
    index = tmp_path / "results/index.md"
    targets = links(index)
    assert targets == ["fake/README.md", "other/README.md"] and all((index.parent / t).is_file() for t in targets)
    html = index.with_suffix(".html").read_text()
    assert [t for t in re.findall(r'href="([^"#]+)"', html)] == ["fake/report.html", "other/report.html"]
    frame = pd.read_csv(tmp_path / "results/tables/experiments.csv")
    assert list(frame["experiment"]) == ["fake", "fake", "other", "other"] and set(frame["round"]) == {1}
    assert "fake: the images are synthetic" in index.read_text()
    assert "other: the images are synthetic" not in index.read_text()
    edit(runs[1] / "experiment.json", name="../other")
    assert main(command) == 2
    assert "'../other' is not the name of a folder" in capsys.readouterr().err


def test_evaluation_keeps_every_prediction(tmp_path: Path) -> None:
    y = labels()[-120:]
    probs = fake_probs(y, 1.0, 0)
    names = [f'a "quoted", {i}.png' for i in range(120)]
    metrics = measure(probs, y, CLASSES)
    evaluated = [EvaluatedModel("cnn", Predicted(f"cnn/seed-{seed}", probs, y), metrics) for seed in (0, 1)]
    page = write_evaluation(tmp_path, evaluated, names, "other.csv", {"commit": "abc"}, ("odd | note",))
    back = pd.read_csv(tmp_path / "predictions" / "cnn_seed-1.csv")
    assert list(back.columns) == ["name", "true", "most_probable", *(f"p_{c}" for c in CLASSES)]
    assert list(back["name"]) == names and list(back["true"]) == [CLASSES[i] for i in y]
    assert (back["true"] == back["most_probable"]).mean() == pytest.approx(metrics.accuracy)
    np.testing.assert_allclose(back[[f"p_{c}" for c in CLASSES]], probs, atol=1e-6)
    assert r"odd \| note" in page.read_text() and "commit: abc" in page.read_text()
    assert all((tmp_path / target).is_file() for target in links(page))
    with pytest.raises(ValueError, match="119 names"):
        write_evaluation(tmp_path, evaluated, names[1:], "other.csv", {})


@pytest.mark.usefixtures("undrawn")
def test_seconds_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(0, 1), rounds=1)
    before = contents(write_report(run, tmp_path / "a").parent)
    for timing in run.rglob("*.timing.json"):
        edit(timing, train=71.25, score=17.75)
    after = contents(write_report(run, tmp_path / "b").parent)
    of_cost = {f"tables/{name}.{form}" for name in ("cost", "cost-by-round") for form in ("md", "csv", "json")}
    assert {name for name in before if before[name] != after[name]} == of_cost | {"report.html", "written.sha256"}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

"""One table of all fully labelled models: their figures, what others published beside them, what could not be built."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import CLASSES, SPLITS, edit, fake_images, fake_run, labels, radiographs, write
from safetensors.numpy import load_file

from al_cxr.comparison.baselines import BaselinesRecord, load_baselines
from al_cxr.comparison.finished import load_baseline
from al_cxr.config import Publication, Settings
from al_cxr.core.errors import UserError
from al_cxr.report import write_baseline_report
from al_cxr.report.baseline_table import models_table

PUBLISHED = {
    "paper": Publication.model_validate(
        {
            "reference": "Somebody 2020, 224 px",
            "models": {
                "cnn": {"accuracy": 0.7524, "classes": {"normal": {"precision": 0.6157, "recall": 0.8573}}},
                "far": {"roc_auc": 0.9},
            },
        }
    ),
    "elsewhere": Publication.model_validate(
        {"reference": "Of other classes", "models": {"cnn": {"accuracy": 0.5, "classes": {"covid": {"f1": 0.1}}}}}
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two finished models of three and two seeds, one that has only begun, one that lacks its weights."""
    folder = tmp_path / "runs" / "baseline-x"
    fake_run(folder / "cnn", arms={})
    fake_run(folder / "vit", arms={}, seeds=(0, 1), arch="vit")
    fake_run(folder / "zero", arms={}, baseline=False)
    unavailable = {"far": "Fetch https://example.org/w.pth | put it at ~/w.pth", "vit": "was missing once"}
    write(folder / "baselines.json", BaselinesRecord(name="baseline-x", unavailable=unavailable, published=PUBLISHED))
    return folder


def frame_of(folder: Path) -> pd.DataFrame:
    return models_table(load_baselines(folder)).frame.set_index("model")


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """ROC-AUC by its definition: how often a positive is above a negative, ties half."""
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def test_every_figure_is_a_mean_over_seeds_with_its_spread(folder: Path) -> None:
    frame = frame_of(folder)
    for model, seeds in (("cnn", 3), ("vit", 2)):
        run = load_baseline(folder / model)
        tests = [b.test for b in run.baselines.values()]
        row = frame.loc[model]
        assert row["seeds"] == len(tests) == seeds
        values = {"accuracy": [t.accuracy for t in tests], "recall_normal": [t.of("normal").recall for t in tests]}
        values["train_s"] = [t.train for t in run.baseline_timings.values()]
        for key, of_seeds in values.items():
            assert row[key] == pytest.approx(statistics.mean(of_seeds))
            assert row[f"{key}_sd"] == pytest.approx(statistics.stdev(of_seeds))
        assert row["parameters"] == 123_456


def test_the_area_is_the_mean_of_one_against_the_rest_by_counting_pairs(folder: Path) -> None:
    y = labels()[-sum(SPLITS["test"]) :]
    areas = []
    for baseline in load_baseline(folder / "cnn").baselines.values():
        probs = load_file(folder / "cnn" / "fits" / baseline.fit / "predictions.safetensors")["test_probs"]
        areas.append(np.mean([area(probs[:, c].astype(np.float64), y == c) for c in range(len(CLASSES))]))
    assert frame_of(folder).loc["cnn", "roc_auc"] == pytest.approx(np.mean(areas), abs=1e-4)


def test_the_answers_that_need_no_model_have_their_closed_form(folder: Path) -> None:
    fake_images(folder / "cnn")
    frame = frame_of(folder)
    row, n = frame.loc["always normal"], sum(SPLITS["test"])
    share = SPLITS["test"][0] / n
    assert (row["accuracy"], row["precision_normal"], row["recall_normal"]) == (share, share, 1.0)
    assert row["f1_normal"] == pytest.approx(2 * share / (1 + share))
    assert row["roc_auc"] == 0.5 and row["recall_pneumonia"] == 0 and np.isnan(row["seeds"])
    assert list(frame.index) == ["cnn", "vit", "far", "always normal", "predict the source"]


def test_published_figures_stand_beside_and_only_where_there_are_any(folder: Path) -> None:
    table = models_table(load_baselines(folder))
    frame, titles = table.frame.set_index("model"), [c.title for c in table.columns]
    assert frame.loc["cnn", "accuracy (paper)"] == 0.7524 and np.isnan(frame.loc["vit", "accuracy (paper)"])
    assert frame.loc["far", "roc_auc (paper)"] == 0.9  # though it could not be built here
    for title in ("accuracy, %", "ROC-AUC", "normal precision, %", "normal recall, %"):
        assert titles[titles.index(title) + 1] == f"{title} (paper)"
    assert "macro F1, % (paper)" not in titles and "normal F1, % (paper)" not in titles
    assert not any("elsewhere" in text for text in [*titles, *table.notes])  # figures of other classes than these
    assert "(paper): Somebody 2020, 224 px" in table.notes
    assert "75.2" in table.grid() and "—" in table.grid()


def test_a_model_that_lacks_something_is_a_row_with_what_to_fetch(folder: Path) -> None:
    table = models_table(load_baselines(folder))
    row = table.frame.set_index("model").loc["far"]
    assert np.isnan(row["accuracy"]) and row["unavailable"].startswith("Fetch https")
    (note,) = [note for note in table.notes if "could not be built" in note]
    assert note.startswith("far could not be built here. Fetch https://example.org/w.pth \\| put it at")
    # one that is finished nevertheless is an ordinary row
    assert table.frame["model"].tolist().count("vit") == 1


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_page_has_all_models_and_says_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthetic: bool
) -> None:
    monkeypatch.setattr("al_cxr.report.kit.page.png", lambda figure, source="": b"drawn")
    monkeypatch.setattr("al_cxr.report.kit.html._Writer.add", lambda self, block: None)
    for model in ("cnn", "vit"):
        path = folder / model / "experiment.json"
        data = load_baseline(folder / model).experiment.data.model_copy(update={"synthetic": synthetic})
        edit(path, data=data.model_dump(mode="json"), commit=f"of-{model}")
    page = write_baseline_report(folder, tmp_path / "results", radiographs())
    text = page.read_text()
    for said in ("zero: no seed is finished", "commit: of-cnn, of-vit", "## cnn", "## vit", "| far"):
        assert said in text
    assert text.index("### Fully labelled models") < text.index("## cnn")
    for model in ("cnn", "vit"):
        assert (page.parent / "models" / model / "settings.yaml").is_file()
        gallery = page.parent if synthetic else folder
        assert (gallery / "figures" / f"samples-{model}.png").is_file()
    assert synthetic or not list(page.parent.rglob("samples-*"))


def test_models_that_cannot_be_compared(folder: Path) -> None:
    path = folder / "vit" / "experiment.json"
    settings = load_baseline(folder / "vit").experiment.settings
    edit(path, settings=settings | {"train": settings["train"] | {"steps": 3}})
    assert load_baselines(folder).differences() == ["cnn -> vit: train.steps: None -> 3"]
    data = load_baseline(folder / "vit").experiment.data.model_dump(mode="json")
    edit(path, data=data | {"fingerprint": "ffff"})
    with pytest.raises(UserError, match="different data"):
        load_baselines(folder)
    edit(folder / "baselines.json", name="../elsewhere")
    with pytest.raises(UserError, match=r"baselines\.json: cannot be used \(name"):
        load_baselines(folder)


def test_a_variant_is_its_architecture_with_other_options() -> None:
    settings = Settings.model_validate(
        {
            "data": {"sources": [{"kind": "phantom"}]},
            "model": {"arch": "cnn", "options": {"mlp": {"hidden": 64, "dropout": 0.1}}},
            "baseline": {"models": {"mlp-wide": {"arch": "mlp", "options": {"hidden": 256}}}},
            "arms": {"random": {"strategy": "random", "loss": "cross_entropy"}},
        }
    )
    wide, plain = settings.of_model("mlp-wide"), settings.of_model("mlp")
    assert wide.model.arch == plain.model.arch == "mlp" and not wide.arms
    assert wide.model.arguments() == {"hidden": 256, "dropout": 0.1}
    assert plain.model.arguments() == {"hidden": 64, "dropout": 0.1} and plain.seeds == [0, 1, 2]


def test_variants_and_figures_of_others_are_no_science() -> None:
    data = {"data": {"sources": [{"kind": "phantom"}]}}
    more = {"models": {"a": {"arch": "mlp"}}, "published": {k: p.model_dump() for k, p in PUBLISHED.items()}}
    plain = Settings.model_validate(data).science()
    assert Settings.model_validate({**data, "baseline": more}).science() == plain
    assert plain["baseline"] == {"loss": "cross_entropy"}

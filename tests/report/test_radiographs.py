"""Radiographs on pages: where they may stand, what is said of each, and how long an earlier figure stays."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import pytest
from fake_run import ARMS, CLASSES, fake_run, labels, pixels, radiographs
from PIL import Image

from al_cxr.comparison.finished import load
from al_cxr.core.errors import UserError
from al_cxr.report import write_report
from al_cxr.report.acquired_gallery import SHOWN, acquired_sheet
from al_cxr.report.fits import Radiographs, add_fit, predictions_of
from al_cxr.report.kit.page import Page

TWO = {n: ARMS[n] for n in ("ce+random", "ce+mc_entropy")}


@pytest.mark.usefixtures("undrawn")
def test_radiographs_never_reach_the_results(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(0,), rounds=1, synthetic=False)
    page = write_report(run, tmp_path / "results", radiographs())
    assert not list((tmp_path / "results").rglob("samples*"))
    shown = ["images-ce+mc_entropy-0.png", "samples-ce+mc_entropy.png", "samples-fully-labelled.png"]
    assert sorted(p.name for p in (run / "figures").iterdir()) == shown
    assert "Radiographs of patients stay there" in page.read_text()


def embedded(page: str) -> list[bytes]:
    """The images inside a page, pixel by pixel."""
    found = [base64.b64decode(data) for data in re.findall(r"data:image/webp;base64,([^\"]+)", page)]
    return [Image.open(io.BytesIO(data)).convert("RGB").tobytes() for data in found]


def test_the_run_folder_alone_has_a_page_with_radiographs(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(0,), rounds=1, synthetic=False)
    page = write_report(run, tmp_path / "results", radiographs())
    images = sorted((run / "figures").glob("*.png"))
    names = ["images-ce+mc_entropy-0.png", "samples-ce+mc_entropy.png", "samples-fully-labelled.png"]
    assert [p.name for p in images] == names
    published, private = page.with_name("report.html").read_text(), (run / "report.html").read_text()
    secret = [Image.open(image).convert("RGB").tobytes() for image in images]
    assert not set(secret) & set(embedded(published)) and set(secret) <= set(embedded(private))
    for image in images:
        assert f"figures/{image.name} in the run&#39;s own folder" in published
        assert not list((tmp_path / "results").rglob(image.name))
    # From the records alone the same pages come again: what was drawn from pixels is still there.
    before = [page.read_text(), published, private]
    write_report(run, tmp_path / "results")
    again = [page.read_text(), page.with_name("report.html").read_text(), (run / "report.html").read_text()]
    assert [len(text) for text in again] == [len(text) for text in before]
    assert again == before


def test_a_sheet_of_acquired_images_says_score_truth_and_prediction(tmp_path: Path) -> None:
    finished = load(fake_run(tmp_path / "run", TWO, seeds=(0,), rounds=1))
    named = Radiographs(labels(), pixels, lambda index: [f"x{i}.png" for i in index])
    query = finished.queries["ce+mc_entropy", 0][0].model_copy(
        update={"indices": [1, 301, 599], "scores": [0.6931, 0.5, 0.25], "predicted": [0, 2, 2]}
    )

    def sheet(**changes: object) -> list[tuple[str, str, str]]:
        changed = query.model_copy(update=changes)
        figure = acquired_sheet(changed, named, list(CLASSES), "t")
        return [(axes.get_title(), axes.title.get_color(), axes.get_xlabel()) for axes in figure.axes]

    green, red = "#00704F", "#B3261E"
    assert sheet() == [
        ("✓ normal", green, "true: normal\n0.693 nats\nx1.png"),
        ("✗ tuberculosis", red, "true: pneumonia\n0.500 nats\nx301.png"),
        ("✓ tuberculosis", green, "true: tuberculosis\n0.250 nats\nx599.png"),
    ]
    assert sheet(scores=None, predicted=None)[0][::2] == ("", "true: normal\nx1.png")
    many = list(range(40))
    assert len(sheet(indices=many, scores=None, predicted=None)) == SHOWN
    with pytest.raises(UserError, match="another data set"):
        sheet(indices=[1, 2, 780])
    with pytest.raises(UserError, match="2 predictions for 3 images"):
        sheet(predicted=[0, 1])


def test_samples_stay_on_the_page_while_they_show_the_same_model(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", TWO, seeds=(0,), rounds=0)
    finished = load(run)
    key = finished.baselines[0].fit
    shutil.copytree(run / "fits" / key, run / "fits/another")

    def page(fit: str, shown: Radiographs | None) -> str:
        page = Page(tmp_path / "results", "t")
        add_fit(page, finished, fit, "m", "m", 0, shown)
        return page.write().read_text()

    drawn = page(key, radiographs())
    assert "samples-m.png" in drawn and page(key, None) == drawn
    assert "samples-m.png" not in page("another", None)


def test_predictions_that_do_not_fit(tmp_path: Path) -> None:
    finished = load(fake_run(tmp_path / "run", TWO, seeds=(0,), rounds=0))
    key = finished.baselines[0].fit
    index, probs = predictions_of(finished, key, labels())
    assert list(index) == list(range(660, 780)) and probs.shape == (120, 3)
    with pytest.raises(UserError, match="another data set"):
        predictions_of(finished, key, labels()[:700])
    path = finished.fit_folder(key) / "predictions.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="predictions cannot be read"):
        predictions_of(finished, key, labels())
    path.unlink()
    with pytest.raises(UserError, match="predictions are missing"):
        predictions_of(finished, key, labels())

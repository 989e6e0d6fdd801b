"""Images with nothing on them where a finished model is asked: predict, evaluate, data show, and the page of a run."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_run import small_run, write_images

from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import assemble
from al_cxr.bundles.folder import read_bundle, write_bundle
from al_cxr.cli.__main__ import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    return assemble([sorted((run / "fits").iterdir())[0]])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """16 phantoms; a black, a white and a tiny one, noise, a negative, and one phantom three times."""
    folder = write_images(tmp_path / "images", 16)
    first = next(folder.glob("*.png"))
    Image.new("L", (64, 64)).save(folder / "black.png")
    Image.new("L", (64, 64), 255).save(folder / "white.png")
    Image.new("L", (1, 1), 100).save(folder / "tiny.png")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    Image.fromarray(255 - np.asarray(Image.open(first))).save(folder / "negative.png")
    for name in ("again.png", "and-again.png"):
        shutil.copy(first, folder / name)
    return folder


def table(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="") as f:
        return {row["path"]: row for row in csv.DictReader(f)}


def test_a_bundle_of_a_run_carries_its_summary_and_its_answers_say_how_unlike_an_image_is(
    bundle: Bundle, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bundle.usual is not None
    saved = write_bundle(bundle, tmp_path / "b")
    opened = read_bundle(saved)
    assert opened.usual is not None and opened.identity() == bundle.identity()
    assert main(["predict", str(saved), str(images), "--out", str(tmp_path / "p.csv")]) == 0
    out, rows = capsys.readouterr().out, table(tmp_path / "p.csv")
    odd = {"black.png": "blank", "white.png": "blank", "tiny.png": "blank", "negative.png": "a negative"}
    for name, says in odd.items():
        assert rows[name]["abstain"] == "1" and rows[name]["note"].startswith(says)
    assert rows["noise.png"]["abstain"] == "1" and rows["noise.png"]["unlike"] == "1.0000"
    assert not any(row["note"] for name, row in rows.items() if name not in {*odd, "noise.png"})
    assert all(0 <= float(row["unlike"]) <= 1 for row in rows.values())
    assert "warning   3 of 23 images have nothing on them to see: black.png (blank: one grey (0) all over)" in out
    assert "2 of 23 images do not look like an upright frontal chest radiograph" in out
    assert "2 of 23 images are identical copies of others" in out


def test_a_bundle_without_a_summary_still_abstains_from_blank_images_and_says_what_it_cannot(
    bundle: Bundle, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = write_bundle(replace(bundle, usual=None), tmp_path / "old")
    assert read_bundle(saved).usual is None
    assert main(["predict", str(saved), str(images), "--out", str(tmp_path / "p.csv")]) == 0
    rows = table(tmp_path / "p.csv")
    assert {name for name, row in rows.items() if row["note"]} == {"black.png", "white.png", "tiny.png"}
    assert {row["unlike"] for row in rows.values()} == {""}
    assert "the column unlike stays empty" in capsys.readouterr().out


def test_a_photograph_without_colours_among_radiographs_is_named(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "i", 16)
    y, x = np.mgrid[0:1:200j, 0:1:200j]
    hills = 210 - 40 * y - 120 * (y > 0.55 + 0.15 * np.sin(9 * x)) + 8 * np.random.default_rng(0).normal(size=y.shape)
    Image.fromarray(hills.clip(0, 255).astype(np.uint8)).save(folder / "landscape.png")
    saved = write_bundle(bundle, tmp_path / "b")
    assert main(["predict", str(saved), str(folder), "--out", str(tmp_path / "p.csv")]) == 0
    row = table(tmp_path / "p.csv")["landscape.png"]
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert row["unlike"] == "1.0000" and any("landscape.png" in line for line in warnings)


def test_a_set_of_another_kind_is_said_to_be_unlike(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "negatives", 20)
    for path in folder.rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    saved = write_bundle(bundle, tmp_path / "b")
    assert main(["predict", str(saved), str(folder), "--out", str(tmp_path / "p.csv")]) == 0
    assert "20 of 20 images (100 %) are more unlike the training images" in capsys.readouterr().out


def test_evaluate_and_show_name_blank_images_and_copies(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    for name in ("normal", "pneumonia", "tuberculosis"):
        write_images(tmp_path / "data" / name, 6)
        Image.new("L", (64, 64), 9).save(tmp_path / "data" / name / f"{name}.png")
    data = ["--data", str(tmp_path / "data")]
    assert main(["evaluate", str(run / "baseline"), *data, "--out", str(tmp_path / "e")]) == 0
    out, page = capsys.readouterr().out, (tmp_path / "e/README.md").read_text()
    for text in (out, page.replace("\\", "")):
        assert "3 of 15 images have nothing on them to see" in text
        assert "8 of 15 images are identical copies of others" in text
        assert "4 different images with something on them are left" in text
    assert main(["data", "show", str(tmp_path / "data"), "--out", str(tmp_path / "s")]) == 0
    assert "3 of 15 images have nothing on them to see" in capsys.readouterr().out

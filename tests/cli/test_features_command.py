"""`al-cxr features`: an archive's features once, whatever lies in it; a plan that computes nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import al_cxr
from al_cxr.cli.__main__ import main
from al_cxr.data.store_draft import LINES
from al_cxr.training import archive, feature_file

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")
TINY = ["--arch", "backbone", "--option", "name=test_resnet", "--size", "32", "--workers", "1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images without labels in two folders, one of them truncated, and a file that is none."""
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "scans" / f"ward-{number % 2}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(path)
    whole = (tmp_path / "scans/ward-1/03.png").read_bytes()
    (tmp_path / "scans/ward-1/03.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "scans/notes.txt").write_text("not an image")
    return tmp_path / "scans"


def test_an_archive_has_its_features_once_and_what_is_broken_is_listed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["features", str(folder), *TINY, "--cache", str(tmp_path / "c"), "--out", str(tmp_path / "rows.csv")]
    assert main([*command, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert "12 images, and 1 files that are no images" in planned and "decoded 0 of 12" in planned
    assert "to do     about" in planned and not (tmp_path / "c").exists() and not (tmp_path / "rows.csv").exists()

    assert main(command) == 0
    said = capsys.readouterr().out
    assert "computed  11 images" in said and "damaged or truncated" in said and "warning   random weights" in said
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert [row["path"] for row in rows if row["row"]] == sorted(row["path"] for row in rows if row["row"])
    (left_out,) = [row for row in rows if not row["row"]]
    assert left_out["path"] == "ward-1/03.png" and "truncated" in left_out["left_out"]

    assert main(command) == 0
    assert "computed  nothing: all features were there" in capsys.readouterr().out
    assert main([*command, "--plan"]) == 0
    assert "nothing: all features are there" in capsys.readouterr().out


def test_an_archive_that_has_grown_computes_the_new_images_and_keeps_each_row(folder: Path, tmp_path: Path) -> None:
    options = {"arch": "backbone", "options": {"name": "test_resnet"}, "image_size": 32, "cache": tmp_path / "c"}
    first = al_cxr.features(folder, **options)
    Image.fromarray(np.full((40, 40), 99, np.uint8)).save(folder / "ward-0/99.png")
    grown = al_cxr.features(folder, **options)
    assert (first.computed, grown.computed) == (11, 1) and len(grown.names) == 12
    same = [grown.names.index(name) for name in first.names]
    np.testing.assert_array_equal(grown.features_NK[same], first.features_NK)
    with pytest.raises(ValueError, match="read-only"):
        grown.features_NK[0] = 0
    alone = al_cxr.features(folder, **{**options, "cache": tmp_path / "other"})
    np.testing.assert_array_equal(alone.features_NK, grown.features_NK)


def test_a_pass_that_was_stopped_decodes_and_computes_only_the_rest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("al_cxr.data.store_draft.WINDOW", 4)
    kept, keep = [0], feature_file.keep_part

    def stopped(*given: object) -> object:
        part = keep(*given)  # type: ignore[arg-type]
        kept[0] += 1
        if kept[0] == 2:
            raise KeyboardInterrupt
        return part

    command = ["features", str(folder), *TINY, "--cache", str(tmp_path / "c")]
    with monkeypatch.context() as patched:
        patched.setattr(archive, "keep_part", stopped)
        assert main(command) == 130
    (draft,) = (tmp_path / "c").glob(".*")
    assert len((draft / LINES).read_text().splitlines()) == 8
    capsys.readouterr()
    assert main([*command, "--plan"]) == 0 and "decoded 8 of 12" in capsys.readouterr().out
    options = {"arch": "backbone", "options": {"name": "test_resnet"}, "image_size": 32}
    made = al_cxr.features(folder, cache=tmp_path / "c", **options)
    assert made.computed == 11 - 7  # of two windows of four, one image was broken
    np.testing.assert_array_equal(
        made.features_NK, al_cxr.features(folder, cache=tmp_path / "other", **options).features_NK
    )
    assert len(list((tmp_path / "c").rglob("*.npy"))) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["phantom:60", "--arch", "cnn"], "cnn: is trained whole, on pixels"),
        (["phantom:60", "--option", "name"], "write an option of the backbone and its value"),
        (["phantom:60", "--size", "8"], "8 px; give 28 to 1024"),
        (["phantom:60", "--workers", "-1"], "give the number of cores"),
        (["phantom:60", "--root", "x"], "are for folders and CSV files"),
    ],
)
def test_a_mistake_is_one_line(given: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", *given]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1

"""Bundles answer for DICOM: from a folder, a CSV, a DICOMDIR and from Python, as for the PNG of the same pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dicom_files import chest, encoded, radiograph, write, write_directory
from PIL import Image
from predicted import table

from al_cxr.bundles.inputs import find_inputs
from al_cxr.bundles.opening import open_bundle
from al_cxr.cli.__main__ import main

AS_IT_IS = {"WindowCenter": 2048, "WindowWidth": 4096, "PatientID": "1"}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Six radiographs in a tree without endings, each with a PNG of the same pixels beside the tree, and a lateral."""
    for i in range(6):
        write(tmp_path / "in" / f"S{i}" / "IM0001", radiograph(chest(seed=i), 16, **AS_IT_IS))
        Image.fromarray(chest(seed=i)).save(_made(tmp_path / "png") / f"S{i}.png")
    write(tmp_path / "in" / "S6" / "IM0001", ViewPosition="LL")
    return tmp_path


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_predict_answers_for_a_tree_as_for_its_pngs_and_lists_what_it_leaves_out(
    single: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {}
    for name in ("in", "png"):
        assert main(["predict", str(single), str(archive / name), "--out", str(archive / f"{name}.csv")]) == 0
        answers[name] = [row["p_tuberculosis"] for row in table(archive / f"{name}.csv")]
    assert answers["in"] == answers["png"] and len(answers["in"]) == 6
    out = capsys.readouterr().out
    assert "warning   1 DICOM file was left out: 1 lateral view (LL)" in out
    assert table(archive / "in.skipped.csv") == [{"path": "S6/IM0001", "reason": "DICOM: lateral view (LL)"}]
    (archive / "list.csv").write_text("path\nin/S0/IM0001\nin/S6/IM0001\n")
    assert main(["predict", str(single), str(archive / "list.csv"), "--out", str(archive / "q.csv")]) == 0
    assert [row["p_tuberculosis"] for row in table(archive / "q.csv")] == answers["in"][:1]


def test_a_bundle_answers_for_paths_and_refuses_what_is_no_frontal_chest(single: Path, archive: Path) -> None:
    bundle = open_bundle(single)
    files = [archive / "in" / f"S{i}" / "IM0001" for i in range(7)]
    with pytest.warns(UserWarning, match=r"left out, DICOM: lateral view \(LL\): 1 of 7"):
        by_path = bundle.predict(files)
    with pytest.warns(UserWarning, match="1 DICOM file was left out"):
        by_folder = bundle.predict(archive / "in")
    assert by_path["p_tuberculosis"].tolist() == by_folder["p_tuberculosis"].tolist()
    (archive / "one.dcm").write_bytes(files[0].read_bytes())
    alone = bundle.predict(archive / "one.dcm")
    assert alone["p_tuberculosis"].tolist() == by_path["p_tuberculosis"].tolist()[:1]
    assert bundle.predict(files[0])["p_tuberculosis"].tolist() == alone["p_tuberculosis"].tolist()


def test_explain_and_evaluate_take_dicom(single: Path, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = archive / "in" / "S0" / "IM0001"
    assert main(["explain", str(single), str(one), "--out", str(archive / "maps")]) == 0
    assert len(list((archive / "maps").rglob("*.png"))) == 1
    for i, label in enumerate(["normal", "pneumonia", "tuberculosis"] * 2):
        shutil.copytree(archive / "in" / f"S{i}", archive / "set" / label / f"S{i}")
    arguments = ["evaluate", str(single), "--data", f"dicom:{archive / 'set'}", "--out", str(archive / "results")]
    assert main(arguments) == 0
    assert "6 images" in capsys.readouterr().out


def test_a_dicomdir_is_what_is_predicted_for_and_a_copy_counts_once(single: Path, tmp_path: Path) -> None:
    datasets = [radiograph(chest(seed=i), PatientID=str(i)) for i in range(2)] + [radiograph(chest(), Modality="MR")]
    directory = write_directory(tmp_path / "cd", datasets)
    inputs = find_inputs(directory)
    assert len(inputs.names) == 2 and [reason for _, reason in inputs.skipped] == ["DICOM: modality MR, not CR or DX"]
    with pytest.warns(UserWarning, match="1 DICOM file was left out: 1 modality MR"):
        assert len(open_bundle(single).predict(directory)) == 2
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / name).write_bytes(encoded(radiograph(chest(), SOPInstanceUID="1.2.3")))
    twice = find_inputs(tmp_path / "in")
    assert twice.names == ["a"] and twice.skipped == [
        ("b", "DICOM: a second file of one image (the same SOPInstanceUID as a)")
    ]

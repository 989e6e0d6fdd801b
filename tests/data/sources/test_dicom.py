"""DICOM as a source: class folders with PNG beside it, exported trees, CSV, DICOMDIR, and labels in a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import chest, radiograph, write, write_directory
from PIL import Image
from pydicom.data import get_testdata_file

from al_cxr.core.errors import UserError
from al_cxr.data.dicom import reader
from al_cxr.data.load import load_data
from al_cxr.data.sources.dicom import DicomSource
from al_cxr.data.sources.files import Root
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.medium import images_of
from al_cxr.data.sources.named import named_source
from al_cxr.data.store import PixelStore


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path_factory.mktemp("cache")))


def tree(root: Path, deep: str = "") -> Path:
    """Two classes with four patients each, two images a patient, and a lateral one."""
    for c, label in enumerate(("normal", "sick")):
        for i in range(8):
            place = root / label / deep / f"IM{i:04d}"
            write(place, radiograph(chest(seed=i + 8 * c), PatientID=f"{label}-{i // 2}"))
        write(root / label / deep / "IM9999", ViewPosition="LL")
    return root


def test_a_class_folder_holds_dicom_and_png_and_headers_fill_the_table(tmp_path: Path) -> None:
    tree(tmp_path / "set")
    Image.fromarray(chest(8).astype(np.uint8)).save(tmp_path / "set" / "normal" / "a.png")
    data = FolderSource(path=str(tmp_path / "set")).read()
    assert len(data) == 17 and data.classes == ("normal", "sick")
    assert data.left_out == tuple((f"{c}/IM9999", "DICOM: lateral view (LL)") for c in ("normal", "sick"))
    assert "left out, DICOM: lateral view (LL): 2 of 19 images (normal/IM9999, sick/IM9999)" in data.notes
    row = data.table.set_index("image").loc["sick/IM0003"]
    assert (row["age"], row["sex"], row["view"], row["station"]) == ("45", "F", "PA", "ROOM1")
    assert data.table.set_index("image").loc["normal/a.png", "patient_id"] == ""
    patients = data.table.loc[data.table["patient_id"] != "", "patient_id"]
    assert patients.nunique() == 8 and not patients.str.contains("normal|sick|P-").any()
    store = PixelStore.open(data.images, 32, progress=False)
    assert len(set(store.depths.values())) == 1 and len(store.depths) == 16
    assert len(np.unique(store.pixels.reshape(17, -1), axis=0)) == 17


def test_a_set_without_dicom_is_as_it_was(tmp_path: Path) -> None:
    for label in ("normal", "sick"):
        (tmp_path / label).mkdir()
        Image.fromarray(chest(8).astype(np.uint8)).save(tmp_path / label / "a.png")
    data = FolderSource(path=str(tmp_path)).read()
    assert list(data.table) == ["image", "label", "split", "patient_id", "source"]
    key = data.images.key
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "VERSION", 99)
        assert FolderSource(path=str(tmp_path)).read().images.key == key
        write(tmp_path / "sick" / "b")
        with_dicom = FolderSource(path=str(tmp_path)).read().images.key
    assert FolderSource(path=str(tmp_path)).read().images.key != with_dicom


def test_an_exported_tree_is_read_at_any_depth_and_split_by_patient(tmp_path: Path) -> None:
    tree(tmp_path / "set", "PA000001/ST000001/SE000001")
    (tmp_path / "set" / "sick" / "VIEWER.EXE").write_bytes(b"MZ")
    data = load_data(f"dicom:{tmp_path / 'set'}", val_fraction=0.25, test_fraction=0.25)
    assert len(data) == 16 and data.name == "set" and "1 files left out that are no DICOM" in data.notes
    of_patient = pd.Series(data.split_N).groupby(data.table["patient_id"]).nunique()
    assert (of_patient == 1).all() and any("by patient, stratified" in note for note in data.notes)
    assert load_data(f"dicom:{tmp_path / 'set'}").table["patient_id"].tolist() == data.table["patient_id"].tolist()


def test_a_csv_names_dicom_files_and_its_own_cells_count_first(tmp_path: Path) -> None:
    tree(tmp_path)
    lines = [f"{c}/IM{i:04d},{c},{'X' if i < 2 else ''},{30 + i}" for c in ("normal", "sick") for i in range(4)]
    lines += ["normal/IM9999,normal,,3"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,patient_id,age", *lines]))
    data = ManifestSource(path=str(tmp_path / "list.csv")).read()
    assert len(data) == 8 and data.left_out == (("normal/IM9999", "DICOM: lateral view (LL)"),)
    assert data.table["patient_id"].tolist()[:2] == ["X", "X"] and data.table["patient_id"][2] not in ("", "X")
    assert data.table["age"].tolist() == ["30", "31", "32", "33"] * 2 and set(data.table["sex"]) == {"F"}


@pytest.mark.parametrize("column", ["sop_instance_uid", "study_instance_uid"])
def test_labels_may_come_from_a_table_of_uids(tmp_path: Path, column: str) -> None:
    lines = [f"{column},label"]
    for i in range(6):
        dataset = radiograph(chest(seed=i), PatientID=str(i))
        write(tmp_path / "in" / "train" / f"s{i}" / "1", dataset)
        uid = dataset.SOPInstanceUID if column.startswith("sop") else dataset.StudyInstanceUID
        lines += [f"{uid},{'sick' if i % 2 else 'normal'}"] if i < 5 else []
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(lines))
    data = named_source(f"dicom:{tmp_path / 'in'}@{labels}").read()
    assert data.table["label"].tolist() == ["normal", "sick", "normal", "sick", "normal"]
    assert data.left_out == (("train/s5/1", f"no label in {labels}"),) and set(data.split_N) == {""}
    labels.write_text(f"{column},label\n1.2.3,sick\n")
    with pytest.raises(UserError, match=rf"no {column} in it is one of the 6 images'"):
        named_source(f"dicom:{tmp_path / 'in'}@{labels}").read()
    labels.write_text("\n".join([*lines, lines[1].replace("normal", "sick")]))
    with pytest.raises(UserError, match=r"row 7: .* stands there before with the label 'normal'"):
        named_source(f"dicom:{tmp_path / 'in'}@{labels}").read()
    labels.write_text("accession,label\n1,sick\n")
    with pytest.raises(UserError, match="needs the columns label and sop_instance_uid or study_instance_uid"):
        named_source(f"dicom:{tmp_path / 'in'}@{labels}").read()


def test_a_dicomdir_names_its_images(tmp_path: Path) -> None:
    datasets = [radiograph(chest(seed=i), PatientID=str(i // 2)) for i in range(4)] + [
        radiograph(chest(), Modality="MR")
    ]
    directory = write_directory(tmp_path / "cd", datasets)
    assert named_source(str(directory)).kind == "dicom"
    labels = tmp_path / "labels.csv"
    rows = [f"{dataset.SOPInstanceUID},{'sick' if i % 2 else 'normal'}" for i, dataset in enumerate(datasets)]
    labels.write_text("\n".join(["sop_instance_uid,label", *rows]))
    data = DicomSource(path=str(directory), labels=str(labels)).read()
    assert len(data) == 4 and [reason for _, reason in data.left_out] == ["DICOM: modality MR, not CR or DX"]
    assert data.table["patient_id"].nunique() == 2 and data.name == "cd"
    assert PixelStore.open(data.images, 16, progress=False).pixels.std() > 20
    gone = directory.parent / data.images.name(0)
    gone.unlink()
    fewer = DicomSource(path=str(directory), labels=str(labels)).read()
    assert len(fewer) == 3
    assert fewer.left_out[-1] == (data.images.name(0), "DICOM: listed in the DICOMDIR, and not there")
    for name in data.table["image"][1:]:
        (directory.parent / name).unlink()
    for path in directory.parent.rglob("IM*"):
        path.unlink()
    with pytest.raises(UserError, match="none of the images that it lists is there"):
        DicomSource(path=str(directory), labels=str(labels)).read()


def test_a_dicomdir_may_be_mounted_in_lower_case_and_leads_nowhere_else(tmp_path: Path) -> None:
    directory = write_directory(tmp_path / "CD", [radiograph(chest(seed=i), PatientID=str(i)) for i in range(3)])
    names, others = images_of(directory, Root(directory.parent))
    assert len(names) == 3 and others == []
    for path in sorted(directory.parent.rglob("*"), reverse=True):
        if path != directory:
            path.rename(path.with_name(path.name.lower()))
    assert images_of(directory, Root(directory.parent)) == ([name.lower() for name in names], [])
    write(tmp_path / "outside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "directory", lambda _: ["../outside", "/etc/passwd", names[0], names[0]])
        found, others = images_of(directory, Root(directory.parent))
    assert found == [names[0].lower()] and [name for name, _ in others] == ["../outside", "/etc/passwd"]
    assert all(reason.startswith("DICOM: outside the folder") for _, reason in others)


def test_a_link_that_leads_out_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in ("a", "b"):
        write(tmp_path / "set" / label / "1.dcm")
    (tmp_path / "set" / "a" / "2.dcm").symlink_to(write(tmp_path / "outside.dcm", ViewPosition="LL"))
    asked: list[Path] = []
    monkeypatch.setattr(reader, "header", lambda path: asked.append(path) or {})
    with pytest.raises(UserError, match=r"a/2\.dcm: a symbolic link to .*outside the folder"):
        FolderSource(path=str(tmp_path / "set")).read()
    assert asked == []


def test_a_dicomdir_of_other_modalities_and_parts_is_said_to_be_so() -> None:
    with pytest.raises(UserError, match=r"17 modality MR, .* 11 modality CT, .* 3 body part CSPINE, not the chest"):
        DicomSource(path=str(get_testdata_file("DICOMDIR", download=False))).read()


def test_mistakes_with_dicom_folders_are_one_line(tmp_path: Path) -> None:
    write(tmp_path / "flat" / "1")
    with pytest.raises(UserError, match="DICOM files without class folders"):
        FolderSource(path=str(tmp_path / "flat")).read()
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no DICOM file in it"):
        DicomSource(path=str(tmp_path / "none")).read()
    (tmp_path / "DICOMDIR").write_bytes(b"nothing")
    with pytest.raises(UserError, match="DICOMDIR: DICOM: "):
        DicomSource(path=str(tmp_path / "DICOMDIR")).read()
    write(tmp_path / "flat" / "a" / "1", ViewPosition="LL")
    write(tmp_path / "flat" / "b" / "1")
    with pytest.raises(UserError, match=r"no image of a can be used: 1 DICOM file was left out: 1 lateral view \(LL\)"):
        FolderSource(path=str(tmp_path / "flat")).read()


def test_without_the_extra_dicom_beside_images_is_left_out_and_alone_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "available", lambda: False)
    for label in ("a", "b"):
        write(tmp_path / label / "1.dcm")
    with pytest.raises(UserError, match=r'no image that can be used: .* not installed \(pip install "al-cxr\[dicom\]"'):
        FolderSource(path=str(tmp_path)).read()
    for label in ("a", "b"):
        Image.fromarray(chest(8).astype(np.uint8)).save(tmp_path / label / "a.png")
    data = FolderSource(path=str(tmp_path)).read()
    assert len(data) == 2 and any('pip install "al-cxr[dicom]"): 2 of 4 images' in note for note in data.notes)

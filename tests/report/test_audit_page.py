"""The page of an audit: warnings first, no name from outside that breaks it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
from made_images import encoded, made, picture, planted

from al_cxr.data.quality.audit import audit
from al_cxr.data.quality.duplicates import Similar
from al_cxr.report.audit import write_audit
from al_cxr.report.contact import reader


def test_report_says_the_warnings_first_and_keeps_images_in_the_gallery(tmp_path: Path) -> None:
    dataset = planted().with_notes("a note of the loader")
    found = audit(dataset, progress=False)
    path = write_audit(found, dataset, reader(dataset.images, 64), tmp_path / "page", tmp_path / "gallery")
    text = path.read_text()
    assert text.index(found.warnings[0][:30]) < text.index("a note of the loader") < text.index("## Images")
    assert sorted(p.name for p in (tmp_path / "gallery").iterdir()) == ["contact_sheet.png", "copies.png"]
    assert not list((tmp_path / "page").rglob("*.png"))
    assert "(../gallery/contact_sheet.png)" in text
    copies = pd.read_csv(tmp_path / "page" / "tables" / "duplicates.csv")
    assert copies["image"].tolist() == ["image-3.png", "image-30.png", "image-5.png", "image-31.png"]
    assert copies["set"].tolist() == [1, 1, 2, 2]
    assert "No pair passed the first alone" in text
    odd = json.loads((tmp_path / "page" / "tables" / "odd.json").read_text())
    assert [row["kind"] for row in odd["rows"]] == ["unreadable", "odd"]
    shared = pd.read_csv(tmp_path / "page" / "tables" / "shared_patients.csv")
    assert shared["patient_id"].tolist() == ["p3"]


def test_report_is_the_same_twice_and_shows_synthetic_images_inside(tmp_path: Path) -> None:
    dataset = dataclasses.replace(made([encoded(picture(i)) for i in range(6)]), synthetic=True)
    found = audit(dataset, progress=False)
    texts = []
    for name in ("a", "b"):
        folder = tmp_path / name
        path = write_audit(found, dataset, reader(dataset.images, 64), folder, folder / "figures")
        texts.append((path.read_bytes(), (folder / "figures" / "contact_sheet.png").read_bytes()))
    assert texts[0] == texts[1]
    assert b"](figures/contact_sheet.png)" in texts[0][0] and b"no patient was imaged" in texts[0][0]


def test_long_lists_are_cut_on_the_page_and_whole_in_the_files(tmp_path: Path) -> None:
    people = [f"person-{i:02d}" for i in range(20)]
    dataset = made([None] * 40, splits=["train"] * 20 + ["test"] * 20, patients=people * 2)
    found = audit(dataset, progress=False)
    text = write_audit(found, dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g").read_text()
    assert "20 patients are in both train and test" in text and "The first 15 of 20:" in text
    assert "person-14" in text and "person-15" not in text
    assert len(pd.read_csv(tmp_path / "tables" / "shared_patients.csv")) == 20


def test_report_where_nothing_can_be_read(tmp_path: Path) -> None:
    dataset = made([None] * 4)
    path = write_audit(audit(dataset, progress=False), dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g")
    assert "No image can be read." in path.read_text()


def test_contact_sheet_of_the_report_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    dataset = made([encoded(picture(0)), None, encoded(picture(2)), encoded(picture(3))])
    write_audit(audit(dataset, progress=False), dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g")
    assert (tmp_path / "g" / "contact_sheet.png").exists()


def test_names_from_outside_cannot_break_the_page(tmp_path: Path) -> None:
    dataset = planted()
    dataset.table["patient_id"] = ["<script>|x"] * len(dataset)
    found = audit(dataset, progress=False)
    text = write_audit(found, dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g").read_text()
    assert "<script>|x" not in text.replace("\\<script>\\|x", "")


def test_similar_images_are_counted_and_named_in_a_file(tmp_path: Path) -> None:
    dataset = planted()
    found = dataclasses.replace(audit(dataset, progress=False), similar=(Similar(4, 9, 0.8), Similar(6, 7, 0.7)))
    text = write_audit(found, dataset, reader(dataset.images, 64), tmp_path / "page", tmp_path / "gallery").read_text()
    assert "2 pairs passed the first alone: similar, not called copies" in text
    similar = pd.read_csv(tmp_path / "page" / "tables" / "similar.csv")
    assert similar.iloc[0].tolist()[:5] == [0.8, "image-4.png", "p4", "image-9.png", "p9"]


def test_the_page_states_the_false_alarms_that_were_measured(tmp_path: Path) -> None:
    dataset = planted()
    text = write_audit(
        audit(dataset, progress=False), dataset, reader(dataset.images, 64), tmp_path / "page", tmp_path / "gallery"
    ).read_text()
    measured = Path(__file__).parents[2] / "results" / "benchmarks" / "copies.md"
    (row,) = (line for line in measured.read_text().splitlines() if "radiographs, all, two patients" in line)
    _, _, pairs, _, similar, called, rate, *_ = (cell.strip() for cell in row.split("|"))
    share, interval = rate.rstrip(")").split(" (")
    assert f"of {pairs} pairs of radiographs of different patients {called} were called copies ({interval} in a" in text
    assert f"{similar.split(' ')[0]} in a million were similar" in text and share == "0"

"""Lines about many images stay few, whatever their files say."""

from __future__ import annotations

from al_cxr.data.dicom.said import PREFIX, summary
from al_cxr.data.doubts import FEW, MOST, doubt_lines


def test_details_have_a_line_each_while_they_are_few() -> None:
    few = [(f"{i}.png", f"too dark (by {i})") for i in range(FEW)]
    assert doubt_lines(few, 9) == [f"too dark (by {i}): 1 of 9 images ({i}.png)" for i in range(FEW)]
    many = [(f"{i}.png", f"too dark (by {i})") for i in range(1000)]
    assert doubt_lines(many, 2000) == ["too dark: 1,000 of 2,000 images (0.png, 1.png, 2.png and 997 more)"]


def test_as_many_kinds_as_files_are_no_more_lines_than_a_person_reads() -> None:
    lines = doubt_lines([(f"{i}", f"reason {i}") for i in range(1000)], 1000)
    assert len(lines) == MOST + 1 and lines[-1] == f"and {1000 - MOST} more kinds, each of few: 980 of 1,000 images"


def test_the_sentence_about_dicom_counts_every_file_that_was_left_out() -> None:
    copies = [f"{PREFIX}a second file of one image (the same SOPInstanceUID as {i})" for i in range(5000)]
    (line,) = summary([*copies, "no image", *(f"{PREFIX}body part {i}, not the chest" for i in range(100))])
    assert line.startswith("5,100 DICOM files were left out: 5,000 a second file of one image; 1 body part 0,")
    assert line.endswith("; 89 for 89 other reasons") and summary(["no image"]) == []

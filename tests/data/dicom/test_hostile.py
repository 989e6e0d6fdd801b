"""Files that lie or break off: each is one line, in bounded time and memory, and the next file is read as ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_files import chest, encoded, radiograph, write
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, RLELossless

from al_cxr.core.errors import UserError
from al_cxr.data.dicom import reader, said
from al_cxr.data.dicom.found import look


def reasons(folder: Path) -> dict[str, str]:
    names = sorted(path.name for path in folder.iterdir())
    return dict(look(folder, names, lambda name: folder / name).left_out)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless, RLELossless])
def test_a_file_cut_off_anywhere_is_one_line(folder: Path, syntax: Any) -> None:
    data = encoded(radiograph(chest(size=32))) if syntax is None else encoded(radiograph(chest(size=32)), syntax)
    ends = [*range(140, len(data) - 1, max(1, len(data) // 25)), len(data) - 9]
    for end in ends:
        (folder / f"{end:06}.dcm").write_bytes(data[:end])
    found = reasons(folder)
    assert len(found) == len(ends) and all("\n" not in reason for reason in found.values())
    for end in ends:
        with pytest.raises(UserError, match=f"^{said.PREFIX}"):
            reader.pixels(data[:end])


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"NumberOfFrames": 2_000_000_000}, "multi-frame"),
        ({"Rows": 65535, "Columns": 65535}, "million pixels"),
        ({"Rows": 5000, "Columns": 5000}, "damaged or truncated"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not grey"),
        ({"BitsAllocated": 4096}, "nothing that can be seen"),
    ],
)
def test_a_header_that_lies_is_refused_before_pixels_are_read(
    folder: Path, attributes: dict[str, Any], says: str
) -> None:
    write(folder / "x", **attributes)
    write(folder / "y")
    found = reasons(folder)
    assert list(found) == ["x"] and says in found["x"]


def test_sequences_in_sequences_end(folder: Path) -> None:
    inner = Dataset()
    for _ in range(200):
        outer = Dataset()
        outer.ViewCodeSequence = Sequence([inner])
        inner = outer
    dataset = radiograph(chest(size=32))
    dataset.ViewCodeSequence = Sequence([inner])
    write(folder / "x", dataset)
    assert all(reason.startswith(said.PREFIX) for reason in reasons(folder).values())


def test_a_sparse_file_of_two_gigabytes_costs_nothing(folder: Path) -> None:
    path = write(folder / "x")
    with open(path, "r+b") as file:
        file.truncate(2**31)
    with open(folder / "y.dcm", "wb") as file:
        file.truncate(2**31)
    found = reasons(folder)
    assert "y.dcm" in found and "\n" not in found["y.dcm"]

"""Facts from headers are kept between starts, hold only for the same file, and name nobody."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from dicom_files import chest, radiograph, write

from al_cxr.data.dicom import known, reader
from al_cxr.data.dicom.found import Found, look
from al_cxr.data.dicom.identity import SECRET


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose headers a child process was asked for."""
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    names: list[str] = []
    header = reader.header

    def noted(path: Path) -> dict[str, str]:
        names.append(path.name)
        return header(path)

    monkeypatch.setattr(reader, "header", noted)
    return names


def archive(folder: Path) -> Path:
    write(folder / "1", radiograph(chest(), PatientID="NAME-OF-PATIENT"))
    write(folder / "2", radiograph(chest(seed=1), BurnedInAnnotation="YES", ViewPosition=None))
    write(folder / "3", ViewPosition="LL")
    (folder / "4.dcm").write_bytes(b"a letter")
    return folder


def seen(folder: Path) -> Found:
    return look(folder, sorted(path.name for path in folder.iterdir()), lambda name: folder / name)


def test_a_second_start_asks_nothing_and_finds_the_same(asked: list[str], tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    first = seen(folder)
    assert sorted(asked) == ["1", "2", "3", "4.dcm"] and len(first.rows) == 2 and len(first.left_out) == 2
    asked.clear()
    assert seen(folder) == first and asked == []
    write(folder / "5", radiograph(chest(seed=2)))
    assert len(seen(folder).rows) == 3 and asked == ["5"]


def test_a_file_that_was_replaced_is_looked_at_again_even_with_its_old_size_and_time(
    asked: list[str], tmp_path: Path
) -> None:
    folder = archive(tmp_path / "in")
    before = seen(folder).rows["1"]["patient_id"]
    asked.clear()
    info = os.stat(folder / "1")
    data = (folder / "1").read_bytes()
    (folder / "1").write_bytes(data.replace(b"NAME-OF-PATIENT", b"NAME-OF-ANOTHER"))
    os.utime(folder / "1", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert seen(folder).rows["1"]["patient_id"] not in ("", before) and asked == ["1"]


def test_another_secret_another_folder_and_other_rules_have_facts_of_their_own(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = archive(tmp_path / "in")
    first = seen(folder)
    asked.clear()
    monkeypatch.setenv(SECRET, "another secret, long enough")
    assert seen(folder).rows["1"]["patient_id"] != first.rows["1"]["patient_id"] and len(asked) == 4
    monkeypatch.delenv(SECRET)
    asked.clear()
    monkeypatch.setattr(known, "_rules", lambda: "others")
    assert seen(folder) == first and len(asked) == 4


def test_what_is_kept_names_nobody(asked: list[str], tmp_path: Path) -> None:
    seen(archive(tmp_path / "Miller^Anna"))
    (file,) = (tmp_path / "cache" / known.FOLDER).iterdir()
    text = file.read_text()
    assert len(json.loads(text)) == 4 and "ROOM1" in text
    assert not any(word in f"{file.name}{text}" for word in ("NAME-OF-PATIENT", "Secret", "Miller", "4.dcm", "1940"))


@pytest.mark.parametrize("damage", ["", "{", "[]", "[" * 100_000, "entries", "types"])
def test_damaged_facts_are_made_anew(asked: list[str], tmp_path: Path, damage: str) -> None:
    folder = archive(tmp_path / "in")
    first = seen(folder)
    (file,) = (tmp_path / "cache" / known.FOLDER).iterdir()
    content = json.loads(file.read_text())
    if damage == "entries":
        damage = json.dumps(dict.fromkeys(content, 7))
    elif damage == "types":
        damage = json.dumps({key: [*entry[:3], 5, ["x"], {}] for key, entry in content.items()})
    file.write_text(damage)
    asked.clear()
    assert seen(folder) == first and len(asked) == 4


def test_what_may_be_otherwise_the_next_time_is_not_kept(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = archive(tmp_path / "in")

    def ended(path: Path) -> dict[str, str]:
        raise reader.Passing("DICOM: decoding was ended: more than 60 seconds of the processor")

    with monkeypatch.context() as patch:
        patch.setattr(reader, "header", ended)
        assert [reason for _, reason in seen(folder).left_out] == [
            "DICOM: decoding was ended: more than 60 seconds of the processor"
        ] * 4
    assert len(seen(folder).rows) == 2 and len(asked) == 4


def test_a_file_that_was_taken_away_is_left_out_and_said(asked: list[str], tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    found = look(folder, ["1", "gone"], lambda name: folder / name)
    assert list(found.rows) == ["1"] and found.left_out == [
        ("gone", "DICOM: cannot be read (No such file or directory)")
    ]


def test_one_number_for_most_files_is_warned_of(asked: list[str], tmp_path: Path) -> None:
    for i in range(22):
        write(tmp_path / "in" / f"{i:02}", radiograph(chest(), PatientID="0000" if i < 20 else str(i)))
    (note,) = seen(tmp_path / "in").notes
    assert note.startswith("one PatientID for most files, so it may stand for several patients: 20 of 22 DICOM files")

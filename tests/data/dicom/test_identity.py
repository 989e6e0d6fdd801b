"""Pseudonyms of patients, studies and images, and the secret that they depend on."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_files import chest, radiograph, write

from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.data.dicom.found import look
from al_cxr.data.dicom.identity import FILE, SECRET, Pseudonyms, pseudonyms
from al_cxr.data.spelling import patient_key

ONE = {"PatientID": "17", "IssuerOfPatientID": "A", "StudyInstanceUID": "1.2", "SOPInstanceUID": "1.3"}


def test_a_patient_is_the_issuer_and_the_number_under_one_secret() -> None:
    a, b = Pseudonyms(b"a"), Pseudonyms(b"b")
    assert a.patient(ONE) == a.patient(dict(ONE)) != b.patient(ONE)
    assert a.patient(ONE) != a.patient(ONE | {"IssuerOfPatientID": "B"}) != a.patient(ONE | {"PatientID": "18"})
    assert len({a.patient(ONE), a.study(ONE), a.image(ONE)}) == 3
    assert a.study({}) == a.image({}) == ""


@pytest.mark.parametrize("nobody", ["", "ANONYMOUS", "anonymized", "UNKNOWN", "XXXX", "N/A"])
def test_a_word_for_everybody_is_no_patient(nobody: str) -> None:
    assert Pseudonyms(b"a").patient(ONE | {"PatientID": nobody}) == ""


def test_a_pseudonym_is_spelt_in_one_way_only() -> None:
    for number in range(300):
        text = Pseudonyms(b"a").patient(ONE | {"PatientID": str(number)})
        assert patient_key(text) == text


def test_the_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    first = pseudonyms().patient(ONE)
    file = tmp_path / "cache" / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(file.read_text()) == 64
    assert os.listdir(tmp_path / "cache") == [FILE]
    assert pseudonyms().patient(ONE) == first
    monkeypatch.setenv(SECRET, file.read_text())
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "other"))
    assert pseudonyms().patient(ONE) == first and not (tmp_path / "other").exists()
    monkeypatch.delenv(SECRET)
    assert pseudonyms().patient(ONE) != first
    file.write_text("")
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="holds no secret of 16 characters or more; restore it"):
        pseudonyms()
    monkeypatch.setenv(SECRET, "short")
    with pytest.raises(UserError, match="AL_CXR_SECRET: shorter than 16 characters"):
        pseudonyms()
    monkeypatch.delenv(SECRET)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CannotWrite, match="secret"):
        pseudonyms()


def test_processes_that_make_the_secret_at_once_have_one(tmp_path: Path) -> None:
    code = "from al_cxr.data.dicom.identity import pseudonyms; print(pseudonyms().patient({'PatientID': '1'}))"
    environment = {name: value for name, value in os.environ.items() if name != SECRET}
    environment["AL_CXR_CACHE"] = str(tmp_path)
    several = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in several}) == 1 and os.listdir(tmp_path) == [FILE]


def test_what_headers_say_of_all_files_together_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path / "a", PatientID="ANONYMOUS", BurnedInAnnotation="YES")
    write(tmp_path / "b", PatientID="ANONYMOUS", LossyImageCompression="01")
    write(tmp_path / "c", PatientID="7", PatientSex="M", BodyPartExamined=None)
    write(tmp_path / "d", PatientID="7", PatientSex="F", ViewPosition=None)
    write(tmp_path / "e", dataset=radiograph(chest(), PatientID="8", PatientAge="old"))
    found = look(tmp_path, list("abcde"), lambda name: tmp_path / name)
    assert [row["patient_id"] == "" for row in found.rows.values()] == [True, True, False, False, False]
    assert found.rows["c"]["patient_id"] == found.rows["d"]["patient_id"] != found.rows["e"]["patient_id"]
    assert found.rows["e"]["age"] == ""
    notes = "\n".join(found.notes)
    for says in (
        "such as ANONYMOUS: each counts as a patient of its own, so one patient may be in two splits: 2 of 5 DICOM",
        "one PatientID with both sexes, so it may stand for several patients: 2 of 5 DICOM files (c, d)",
        "burnt into the pixels (BurnedInAnnotation YES): 1 of 5 DICOM files (a)",
        "compressed with loss (LossyImageCompression 01): 1 of 5 DICOM files (b)",
        "does not say the body part, so it is taken for a chest: 1 of 5 DICOM files (c)",
        "PA, AP or lateral, so it is taken for frontal: 1 of 5 DICOM files (d)",
    ):
        assert says in notes

"""Which DICOM files are used: what is no frontal chest radiograph, or not whole, is left out with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import DATA, chest, encoded, radiograph, write
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from al_cxr.core.errors import UserError
from al_cxr.data.dicom import header, reader, said
from al_cxr.data.dicom.found import look
from al_cxr.data.dicom.sniff import is_dicom, is_dicom_file
from al_cxr.data.dicom.usable import view, why_not


def of(**attributes: Any) -> str | None:
    return why_not(header.header(radiograph(chest(), **attributes)))


def meaning(text: str) -> list[Dataset]:
    item = Dataset()
    item.CodeMeaning = text
    return [item]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Modality": "MR"}, "modality MR, not CR or DX"),
        ({"Modality": None}, "modality not stated"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary capture"),
        ({"SOPClassUID": EncapsulatedPDFStorage}, "PDF"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "for processing"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for processing"),
        ({"NumberOfFrames": 2}, "multi-frame"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not grey"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not grey"),
        ({"Rows": 60000, "Columns": 60000}, "million pixels"),
        ({"Rows": 3}, "nothing that can be seen"),
        ({"BodyPartExamined": "HAND"}, "body part HAND"),
        ({"BodyPartExamined": None, "StudyDescription": "Left knee 2 views"}, "body part KNEE by its description"),
        ({"BodyPartExamined": None, "StudyDescription": "Both hands"}, "body part HANDS by its description"),
        ({"BodyPartExamined": None, "StudyDescription": "Abdomen, Dr. Tribe"}, "body part ABDOMEN by its description"),
        ({"ViewPosition": "LL"}, "lateral view"),
        ({"ViewPosition": "LATERAL"}, "lateral view"),
        ({"ViewPosition": "RAO"}, "oblique view"),
        ({"ViewPosition": None, "ViewCodeSequence": meaning("left lateral")}, "lateral view"),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, "lateral view"),
        ({"ViewPosition": None, "SeriesDescription": "W034 Chest LAT"}, "lateral view"),
    ],
)
def test_what_is_no_frontal_chest_radiograph_is_said(attributes: dict[str, Any], reason: str) -> None:
    found = of(**attributes)
    assert found is not None and reason in found


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "PA"),
        ({"ViewPosition": "AP"}, "AP"),
        ({"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR", "BodyPartExamined": "PORT CHEST"}, "PA"),
        ({"BodyPartExamined": None, "StudyDescription": "THORAX"}, "PA"),
        ({"ViewPosition": None, "ViewCodeSequence": meaning("postero-anterior")}, "PA"),
        ({"ViewPosition": None, "SeriesDescription": "Chest AP"}, "AP"),
        ({"ViewPosition": None, "PatientOrientation": ["L", "F"]}, ""),
        ({"ViewPosition": None, "BodyPartExamined": None}, ""),
        ({"ViewPosition": None, "SeriesDescription": "Chest PA and LAT"}, ""),
        ({"BodyPartExamined": None, "StudyDescription": "RX DE TÓRAX, MANO"}, "PA"),
    ],
)
def test_what_may_be_one_is_used_and_its_view_is_known_where_it_is_said(
    attributes: dict[str, Any], expected: str
) -> None:
    assert of(**attributes) is None
    assert view(header.header(radiograph(chest(), **attributes))) == expected


def test_an_archive_is_sorted_into_what_is_used_and_why_the_rest_is_not(tmp_path: Path) -> None:
    pa = write(tmp_path / "1", dataset=(first := radiograph(chest())))
    write(tmp_path / "2", dataset=radiograph(chest(seed=1), SOPInstanceUID=first.SOPInstanceUID))
    write(tmp_path / "3.dcm", ViewPosition="LL")
    (tmp_path / "4").write_bytes(pa.read_bytes()[:-3000])
    (tmp_path / "5").write_bytes(pa.read_bytes()[:700])
    (tmp_path / "6.dcm").write_bytes(b"a letter")
    (tmp_path / "7").write_bytes(encoded(radiograph(chest(seed=2)), preamble=False))
    whole = (DATA / "RG1_J2KR.dcm").read_bytes()
    (tmp_path / "8").write_bytes(whole[: len(whole) // 2])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert all(is_dicom_file(tmp_path / name) for name in names)
    found = look(tmp_path, names, lambda name: tmp_path / name)
    reasons = dict(found.left_out)
    assert list(found.rows) == ["1", "7"] and reasons.keys() == {"2", "3.dcm", "4", "5", "6.dcm", "8"}
    assert all(reason.startswith(said.PREFIX) and "\n" not in reason for reason in reasons.values())
    assert (
        reasons["2"] == "DICOM: a second file of one image (the same SOPInstanceUID as 1)"
        and "lateral" in reasons["3.dcm"]
    )
    assert all("damaged or truncated" in reasons[name] for name in "458") and "is none" in reasons["6.dcm"]
    assert found.rows["1"] | {"patient_id": "", "study_id": "", "image_id": ""} == {
        **dict.fromkeys(["patient_id", "study_id", "image_id", "model"], ""),
        **{"age": "045Y", "sex": "F", "view": "PA", "manufacturer": "Acme", "station": "ROOM1"},
    }


def test_files_of_pydicom_itself_are_told_apart() -> None:
    names = {
        "DICOMDIR": "a DICOMDIR, which lists other files",
        "ExplVR_BigEndNoMeta.dcm": "modality",
        "MR_truncated.dcm": "modality MR",
        "SC_rgb_small_odd.dcm": "secondary capture",
        "JPEGLSNearLossless_16.dcm": "secondary capture",
    }
    for name, reason in names.items():
        path = Path(str(get_testdata_file(name, download=False)))
        assert is_dicom_file(path)
        (left_out,) = look(path.parent, [name], lambda _, path=path: path).left_out
        assert reason in left_out[1]


def test_a_few_bytes_do_not_make_a_dicom_file() -> None:
    for data in (b"", b"\x08\x00", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"MM\0*", b"BM", bytes(200)):
        assert not is_dicom(data + bytes(64), "x")
    assert is_dicom(b"", "x.DCM") and is_dicom(bytes(128) + b"DICM", "x.png")
    for start in (b"\x08\0\x05\0CS\x0a\0", b"\x08\0\0\0\x04\0\0\0", b"\0\x08\0\x05CS\0\x0a"):
        assert is_dicom(start, "x")


def test_nothing_but_the_listed_attributes_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x", InstitutionName="Hospital", ReferringPhysicianName="Doctor^D", AccessionNumber="A77")
    found = reader.header(path)
    assert found["PatientID"] == "P-1" and found.keys() <= {
        *header.SAID, *header.NESTED, "TransferSyntaxUID",
    }  # fmt: skip
    assert not {"PatientName", "PatientBirthDate", "InstitutionName", "AccessionNumber"} & found.keys()
    text = " ".join(found.values())
    assert not any(word in text for word in ("Secret", "1940", "Hospital", "Doctor", "A77"))


def test_a_hostile_header_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x", dataset=radiograph(chest(), StationName="A\nB"))
    assert "\n" not in reader.header(path)["StationName"]
    rng = np.random.default_rng(0)
    data = bytearray(path.read_bytes())
    for _ in range(60):
        broken = bytearray(data)
        for at in rng.integers(132, 900, 12):
            broken[at] = rng.integers(256)
        (tmp_path / "y").write_bytes(broken)
        for ask in (lambda: reader.header(tmp_path / "y"), lambda broken=broken: reader.pixels(bytes(broken))):
            try:
                ask()
            except UserError as error:
                assert str(error).startswith(said.PREFIX) and "\n" not in str(error)

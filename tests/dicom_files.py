"""Radiographs as DICOM files, for tests: phantoms, in every transfer syntax that can be written here."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.fileset import FileSet
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from al_cxr.data.dicom import reader
from al_cxr.data.phantom.radiographs import PhantomImages

DATA = next(Path(np.__file__).parents[1].glob("data_store/data"))
"""The files of the package pydicom-data."""

LOSSLESS = (
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian),
    *(RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLossless, JPEGLosslessSV1),
)

CHEST = {
    "Modality": "DX",
    "BodyPartExamined": "CHEST",
    "ViewPosition": "PA",
    "PatientID": "P-1",
    "PatientAge": "045Y",
    "PatientSex": "F",
    "PatientName": "Secret^Name",
    "PatientBirthDate": "19400101",
    "Manufacturer": "Acme",
    "StationName": "ROOM1",
    "PhotometricInterpretation": "MONOCHROME2",
}


# 12 bits in room for 16, shown as they are: LINEAR of centre 2048 and width 4096 takes 0 to 0 and 4095 to 1.
AS_IT_IS = {"WindowCenter": 2048, "WindowWidth": 4096}
ROOM = 16


@lru_cache
def chest(bits: int = 12, seed: int = 0, size: int = 128) -> np.ndarray:
    """A phantom's radiograph with so many bits, uint16 (size, size), with steps below a grey level of 8 bits."""
    pixels = PhantomImages(30, 0, 0.25).read(seed, size).pixels.astype(np.float64)
    y, x = np.mgrid[:size, :size]
    return np.rint((pixels + (y + x) / (4 * size)).clip(0, 255) * (((1 << bits) - 1) / 255)).astype(np.uint16)


def radiograph(pixels_HW: np.ndarray, bits: int = 12, **attributes: Any) -> Dataset:
    """A frontal chest radiograph of these stored values, with attributes changed, added or (None) left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Rows, dataset.Columns = pixels_HW.shape
    dataset.SamplesPerPixel, dataset.BitsAllocated = 1, 8 * pixels_HW.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels_HW.dtype.kind == "i")
    for name, value in (CHEST | attributes).items():
        if value is not None:
            setattr(dataset, name, value)
    data = pixels_HW.tobytes()
    data += bytes(len(data) % 2)
    dataset["PixelData"] = DataElement("PixelData", "OB" if pixels_HW.dtype.itemsize == 1 else "OW", data)
    return dataset


def encoded(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian, preamble: bool = True) -> bytes:
    """The data set as a file in a transfer syntax."""
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        return _by_gdcm(encoded(dataset), syntax)
    copy = dcmread(BytesIO(saved(dataset, ExplicitVRLittleEndian)))
    if syntax == JPEGBaseline8Bit:
        buffer = BytesIO()
        Image.fromarray(copy.pixel_array).save(buffer, "JPEG", quality=95)
        copy.PixelData = encapsulate([buffer.getvalue()])
        copy["PixelData"].VR = "OB"
    elif syntax.is_encapsulated and syntax.is_compressed and not syntax.is_deflated:
        copy.compress(syntax, generate_instance_uid=False)
    data = saved(copy, syntax)
    return data if preamble else data[132:]


def damaged_pixels(dataset: Dataset) -> bytes:
    """The data set as a file with a sound header and JPEG 2000 that no decoder can read to its end."""
    copy = dcmread(BytesIO(encoded(dataset, JPEG2000Lossless)))
    (code,) = generate_frames(copy.PixelData, number_of_frames=1)
    copy.PixelData = encapsulate([code[:150] + bytes(200)])
    return saved(copy, JPEG2000Lossless)


def saved(dataset: Dataset, syntax: UID) -> bytes:
    """The data set, encoded for it, as a file in a transfer syntax."""
    big = syntax == ExplicitVRBigEndian
    if big:
        dataset["PixelData"].value = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2")
    buffer = BytesIO()
    plain = Dataset({element.tag: element for element in dataset})
    plain.file_meta = dataset.file_meta
    plain.save_as(buffer, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=not big, enforce_file_format=True)
    return buffer.getvalue()


def _by_gdcm(data: bytes, syntax: UID) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "a"), Path(folder, "b")
        before.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(before))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(after))
        assert writer.Write()
        return after.read_bytes()


def by_gdcm(path: Path) -> np.ndarray:
    """Stored values of a grey file of 16 bits, decoded by GDCM from the file itself."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    width, height = image.GetDimension(0), image.GetDimension(1)
    raw = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(raw, np.uint16).reshape(height, width)


def write(path: Path, dataset: Dataset | None = None, syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> Path:
    """A file with a data set, or with a phantom's chest radiograph of these attributes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(dataset if dataset is not None else radiograph(chest(), **attributes), syntax))
    return path


def write_directory(folder: Path, datasets: list[Dataset]) -> Path:
    """A DICOMDIR in a folder, with the files that it lists."""
    files = FileSet()
    for number, dataset in enumerate(datasets, start=1):
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20200101", "10", "1", ""
        dataset.SeriesNumber = dataset.InstanceNumber = number
        files.add(dcmread(BytesIO(encoded(dataset))))
    files.write(folder)
    return folder / "DICOMDIR"


def made(pixels_HW: np.ndarray | None = None, bits: int = ROOM, syntax: UID | None = None, **attributes: Any) -> Any:
    dataset = radiograph(chest() if pixels_HW is None else pixels_HW, bits, **attributes)
    return reader.pixels(encoded(dataset) if syntax is None else encoded(dataset, syntax))


def table(first: int, *levels: int, bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(levels), first, bits])
    item.add_new("LUTData", "OW", np.array(levels, "<u2").tobytes())
    return [item]

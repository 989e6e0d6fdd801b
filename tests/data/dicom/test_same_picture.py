"""One picture is the same grey whether it is written as DICOM, as PNG or as TIFF of 16 bits."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from dicom_files import AS_IT_IS, ROOM, chest, encoded, radiograph
from PIL import Image, TiffImagePlugin

from al_cxr.data import decode


def image_file(kind: str, pixels_HW: np.ndarray) -> bytes:
    """12 bits in room for 16."""
    buffer, tags = io.BytesIO(), TiffImagePlugin.ImageFileDirectory_v2()
    if kind == "white is zero":
        tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 0
        pixels_HW = 4095 - pixels_HW
    image = Image.fromarray(pixels_HW)
    if kind.endswith("PNG"):
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "TIFF", tiffinfo=tags)
    data = buffer.getvalue()
    if kind == "sBIT PNG":
        body = b"sBIT" + bytes([12])
        data = data[:33] + struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    return data


@pytest.mark.parametrize("kind", ["PNG", "sBIT PNG", "TIFF", "white is zero"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_png_and_tiff_give_one_square(kind: str, photometric: str) -> None:
    pixels_HW = chest()
    stored_HW = 4095 - pixels_HW if photometric == "MONOCHROME1" else pixels_HW
    dataset = radiograph(stored_HW, ROOM, **AS_IT_IS, PhotometricInterpretation=photometric)
    of_dicom = decode.read(encoded(dataset), 64, "x.dcm").pixels.astype(int)
    of_image = decode.read(image_file(kind, pixels_HW), 64, "x").pixels.astype(int)
    assert np.abs(of_dicom - of_image).max() <= 1 and of_image.max() - of_image.min() > 128

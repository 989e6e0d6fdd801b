"""Every transfer syntax gives the stored values, by a second decoder or by the picture that was written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from dicom_files import AS_IT_IS, DATA, LOSSLESS, ROOM, by_gdcm, chest, encoded, radiograph, saved, table
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dicom import reader
from al_cxr.data.dicom.codestream import shape


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
def test_every_lossless_transfer_syntax_gives_the_stored_values(syntax: UID, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(encoded(radiograph(chest(), ROOM, **AS_IT_IS), syntax))
    stored = by_gdcm(tmp_path / "x")
    assert np.array_equal(stored, chest())
    pixels_HW = reader.pixels((tmp_path / "x").read_bytes()).pixels_HW
    assert np.abs(pixels_HW - stored * (255 / 4095)).max() < 1e-4
    assert reader.header(tmp_path / "x")["TransferSyntaxUID"] == syntax


def test_a_dicom_file_has_the_pixels_of_the_png_it_was_made_from() -> None:
    png = BytesIO()
    Image.fromarray(chest()).save(png, "PNG")
    dicom = encoded(radiograph(chest(), ROOM, **AS_IT_IS))
    for size in (28, 64, 200):
        assert np.array_equal(decode.decode_bytes(dicom, size, "x"), decode.decode_bytes(png.getvalue(), size, "y.png"))


def test_a_jpeg_of_8_bits_is_read_within_what_it_lost() -> None:
    pixels = chest(8).astype(np.uint8)
    data = encoded(radiograph(pixels, 8, VOILUTSequence=table(0, *range(256), bits=8)), JPEGBaseline8Bit)
    read = decode.decode_bytes(data, 64, "x")
    png = BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    assert np.abs(read.astype(int) - decode.decode_bytes(png.getvalue(), 64, "y")).mean() < 2


def test_a_real_radiograph_is_the_same_uncompressed_and_in_jpeg_2000() -> None:
    """MONOCHROME1, 15 of 16 bits, spacing 0, and a window over all values."""
    plain, lossless, lossy = (
        decode.decode(DATA / f"RG1_{name}.dcm", 128).astype(int) for name in ("UNCR", "J2KR", "J2KI")
    )
    assert np.array_equal(plain, lossless) and 0 < np.abs(plain - lossy).max() <= 8
    stored = by_gdcm(DATA / "RG1_UNCR.dcm").astype(np.float64)
    low, high = np.percentile(stored, [0.5, 99.5])
    grey = Image.fromarray((255 * (1 - ((stored - low) / (high - low)).clip(0, 1))).astype(np.float32))
    expected = np.asarray(grey.resize((128, 128), Image.Resampling.LANCZOS, reducing_gap=3.0)).clip(0, 255)
    assert np.abs(plain - expected).max() <= 1
    assert plain[35:55, 25:35].mean() < 0.7 * plain[35:55, 60:66].mean(), "a lung is darker than the spine"


def test_high_throughput_jpeg_2000_gives_the_values_it_was_written_from() -> None:
    """Nothing at hand writes it: the file is `chest(size=32)` by OpenJPH, through imagecodecs 2026.3.6."""
    code = Path(__file__).with_name("phantom.htj2k").read_bytes()
    for syntax in (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K):
        shown = reader.pixels(holding(code, syntax, chest(size=32), ROOM)).pixels_HW
        assert np.abs(shown - chest(size=32) * (255 / 4095)).max() < 1e-4


def test_near_lossless_jpeg_ls_is_read_within_its_bound() -> None:
    dataset = dcmread(BytesIO(encoded(radiograph(chest(), ROOM, **AS_IT_IS))))
    dataset.compress(JPEGLSNearLossless, jls_error=3, generate_instance_uid=False)
    lost = np.abs(reader.pixels(saved(dataset, JPEGLSNearLossless)).pixels_HW - chest() * (255 / 4095))
    assert 0 < lost.max() <= 3 * 255 / 4095 + 1e-4


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.102"])
def test_a_transfer_syntax_that_nothing_decodes_is_named(syntax: str) -> None:
    known = holding(b"\xff\xd8\xff\xd9", UID("1.2.840.10008.1.2.4.102"), chest(size=32), ROOM)
    with pytest.raises(UserError, match=rf"no package decodes the transfer syntax .*\({syntax}\); export the image"):
        reader.pixels(known.replace(b"1.2.840.10008.1.2.4.102", syntax.encode()))


def test_jpeg_of_12_bits_says_which_package_reads_it_and_why_it_is_not_there() -> None:
    with pytest.raises(UserError, match=rf"\({JPEGExtended12Bit}\) of 12 bits needs the package pylibjpeg-libjpeg"):
        reader.pixels(holding(b"\xff\xd8\xff\xd9", JPEGExtended12Bit, chest(size=32), 12))


def test_pixels_that_the_header_calls_grey_and_the_codec_made_coloured_are_refused() -> None:
    colours = np.stack([chest(8, size=32).astype(np.uint8)] * 3, axis=-1)
    for kind, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)):
        buffer = BytesIO()
        Image.fromarray(colours).save(buffer, kind)
        with pytest.raises(UserError, match="compressed pixels of 32 x 32 in 3 colours, where the header says 32 x 32"):
            reader.pixels(holding(buffer.getvalue(), syntax, chest(8, size=32).astype(np.uint8), 8))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLossless, JPEGLosslessSV1])
def test_a_codec_that_says_another_size_than_the_header_is_not_asked(syntax: UID) -> None:
    data = encoded(radiograph(chest(), ROOM, **AS_IT_IS), syntax)
    rows = b"\x28\x00\x10\x00US\x02\x00"
    assert data.count(rows + b"\x80\x00") == 1
    lying = data.replace(rows + b"\x80\x00", rows + b"\x40\x00")
    with pytest.raises(UserError, match="pixels of 128 x 128 in 1 colour, where the header says 128 x 64 in 1 colour"):
        reader.pixels(lying)
    assert shape(b"") is shape(b"\xff\xd8") is shape(b"\xff\xd8\xff\xc0\0\x11") is shape(b"\xff\x4f\xff\x51") is None


def holding(code: bytes, syntax: UID, pixels_HW: np.ndarray, bits: int) -> bytes:
    """A file whose header is of these pixels, in a transfer syntax, with what a codec wrote."""
    dataset = dcmread(BytesIO(encoded(radiograph(pixels_HW, bits, **AS_IT_IS))))
    dataset.PixelData = encapsulate([code])
    dataset["PixelData"].VR = "OB"
    return saved(dataset, syntax)

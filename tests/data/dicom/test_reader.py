"""The process that decodes: it is limited, its end is a line about one file, and the next file is read as ever."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dicom_files import chest, encoded, radiograph, write
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dicom import child, limits, reader


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> reader._Children:
    """Children of this test alone."""
    children = reader._Children()
    monkeypatch.setattr(reader, "_children", children)
    yield children
    children.close()


def test_a_bomb_in_a_header_is_ended_by_the_limit_of_memory(own: reader._Children, tmp_path: Path) -> None:
    data = encoded(radiograph(chest()), DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack("<I", data[140:144])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(2**24)
    bomb = b"".join(packer.compress(zeros) for _ in range(400)) + packer.flush()
    (tmp_path / "bomb").write_bytes(data[:start] + bomb)
    with pytest.raises(UserError, match="memory"):
        reader.header(tmp_path / "bomb")
    assert reader.header(write(tmp_path / "good"))["PatientID"] == "P-1"


def test_a_child_that_dies_or_hangs_is_one_bad_file(
    own: reader._Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = encoded(radiograph(chest()))
    before = reader.pixels(good).pixels_HW
    (idle,) = own._idle
    os.kill(idle._process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="decoding was ended"):
        reader.pixels(good)
    assert np.array_equal(reader.pixels(good).pixels_HW, before)
    (idle,) = own._idle
    os.kill(idle._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(reader, "WALL", 0.5)
    with pytest.raises(UserError, match=f"more than {limits.SECONDS} seconds"):
        reader.pixels(good)
    monkeypatch.setattr(reader, "WALL", 60)
    assert np.array_equal(reader.pixels(good).pixels_HW, before)


def test_threads_have_a_child_each_and_a_fork_has_its_own(own: reader._Children) -> None:
    files = [encoded(radiograph(chest(seed=i))) for i in range(4)]
    expected = [reader.pixels(data).pixels_HW for data in files]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            made = list(pool.map(lambda data: reader.pixels(data).pixels_HW, files))
            assert all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
    assert 1 <= len(own._idle) <= 2


def test_a_missing_decoder_names_the_transfer_syntax_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(radiograph(chest()), JPEGLosslessSV1)
    monkeypatch.setattr(get_decoder(JPEGLosslessSV1), "_available", {})
    found, _ = child.answer({"what": "pixels", "size": None}, data)
    assert f"({JPEGLosslessSV1}) needs the package python-gdcm (pip install python-gdcm" in found["bad"]
    assert "libjpeg" not in found["bad"], "none that is under the GPL"


def test_without_the_extra_a_dicom_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "available", lambda: False)
    with pytest.raises(
        UserError, match=r'^x: DICOM: the extra dicom is not installed \(pip install "al-cxr\[dicom\]"\)'
    ):
        decode.decode_bytes(encoded(radiograph(chest())), 64, "x")


def test_a_dicom_file_that_is_called_an_image_is_told_to_be_renamed() -> None:
    with pytest.raises(UserError, match=r"^a/x\.png: DICOM: named like another image; name it \.dcm"):
        decode.decode_bytes(encoded(radiograph(chest())), 64, "a/x.png")


def test_importing_the_house_imports_no_pydicom() -> None:
    code = "import sys, al_cxr.bundles.predict, al_cxr.data.load; assert not {'pydicom', 'gdcm'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

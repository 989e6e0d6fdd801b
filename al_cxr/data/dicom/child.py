"""The process that parses and decodes DICOM files, with limits of memory and time; it is started by `reader.py`.

It reads questions from its standard input and answers on its standard output. Either is a length (4 bytes, little
endian), so many bytes of JSON, and as many bytes more as the JSON says under `bytes`: of a question the whole file, of
an answer pixels. What decoders print themselves goes nowhere.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import warnings
from typing import Any, BinaryIO

from PIL import Image
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, MediaStorageDirectoryStorage

from al_cxr.data.dicom.directory import listed
from al_cxr.data.dicom.full import full
from al_cxr.data.dicom.header import header, opened
from al_cxr.data.dicom.length import cut_off
from al_cxr.data.dicom.levels import Unreadable
from al_cxr.data.dicom.limits import MEMORY, READY, SECONDS
from al_cxr.data.dicom.pixels import grey
from al_cxr.data.dicom.sniff import HEAD, begins_with_element, has_preamble
from al_cxr.data.dicom.usable import why_not
from al_cxr.data.square import to_square

DAMAGED = "damaged or truncated"
NO_DICOM = "named like a DICOM file, and is none"


def answer(question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """What is asked about one file: {"header": ...}, {"names": ...}, {"shape": ...} with pixels, or {"bad": why}."""
    pixels = b""
    try:
        if question["what"] == "pixels":
            if question.get("full"):
                pixels_HW, said = full(_readable(data))
                pixels = pixels_HW.tobytes()
                return {"shape": pixels_HW.shape, "picture": said, "bytes": len(pixels)}, pixels
            made = grey(_readable(data))
            size = question["size"]
            pixels_HW = made.pixels_HW if size is None else to_square(Image.fromarray(made.pixels_HW), size)
            pixels = pixels_HW.tobytes()
            return {"shape": pixels_HW.shape, "doubts": made.doubts, "bytes": len(pixels)}, pixels
        with open(question["path"], "rb") as file:
            if question["what"] == "directory":
                return {"names": listed(file)}, b""
            return {"header": _header(file)}, b""
    except Unreadable as error:
        return {"bad": str(error)}, b""
    except InvalidDicomError:
        return {"bad": NO_DICOM}, b""
    except OSError as error:
        return {"bad": f"cannot be read ({error.strerror or type(error).__name__})", "passing": True}, b""
    except MemoryError:
        return {"bad": f"needs more than {MEMORY[question['what']] >> 30} GiB of memory"}, b""
    except Exception as error:  # on hostile bytes the parser and the decoders raise almost any type
        detail = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
        return {"bad": f"{DAMAGED} ({type(error).__name__}: {detail[:120]})"}, b""


def _header(file: BinaryIO) -> dict[str, str]:
    head = file.read(HEAD)
    file.seek(0)
    dataset = opened(file, _force(head))
    found = header(dataset)
    _must_be_an_image(dataset, found)
    if why_not(found) is None and cut_off(file, found):
        raise Unreadable(f"{DAMAGED} (the file ends before its pixels do)")
    return found


def _readable(data: bytes) -> Dataset:
    """The whole file; Unreadable where it is not used."""
    dataset = dcmread(io.BytesIO(data), force=_force(data))
    found = header(dataset)
    _must_be_an_image(dataset, found)
    if (reason := why_not(found)) is not None:
        raise Unreadable(reason)
    _complete(dataset)
    return dataset


def _force(data: bytes) -> bool:
    """Whether it is read without a preamble: only where an element stands at its place."""
    return not has_preamble(data) and begins_with_element(data)


def _must_be_an_image(dataset: Dataset, found: dict[str, str]) -> None:
    if getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise Unreadable("a DICOMDIR, which lists other files")
    if not {"SOPClassUID", "Modality", "Rows"} & found.keys():
        raise Unreadable(f"{DAMAGED} (nothing in it that an image has)")


def _complete(dataset: Dataset) -> None:
    """What the pixels are written in, where an old file does not say."""
    if not hasattr(dataset, "file_meta"):
        raise Unreadable(f"{DAMAGED} (no transfer syntax)")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        syntaxes = {(True, True): "1.2.840.10008.1.2", (False, True): "1.2.840.10008.1.2.1"}
        syntax = syntaxes.get((bool(implicit), bool(little)), "1.2.840.10008.1.2.2")
        dataset.file_meta.TransferSyntaxUID = UID(syntax)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions."""
    while len(length := questions.read(4)) == 4:
        question = json.loads(questions.read(struct.unpack("<I", length)[0]))
        data = questions.read(question.get("bytes", 0))
        _limit("RLIMIT_AS", MEMORY[question["what"]])
        _start_the_clock()
        found, pixels = answer(question, data)
        del data
        text = json.dumps(found).encode()
        answers.write(struct.pack("<I", len(text)) + text)
        answers.write(pixels)
        answers.flush()


def _limit(what: str, most: int) -> None:
    """A limit of this process that can be changed again, where the system has it."""
    try:
        import resource

        number = getattr(resource, what)
        resource.setrlimit(number, (most, resource.getrlimit(number)[1]))
    except (ImportError, ValueError, OSError):  # no Unix, or a lower limit already holds: the parent's clock is left
        return


def _start_the_clock() -> None:
    """Seconds of processor from now on; who needs more is ended by the system."""
    try:
        import resource
    except ImportError:
        return
    _limit("RLIMIT_CPU", int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1 + SECONDS)


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.simplefilter("ignore")
    config.settings.reading_validation_mode = config.IGNORE
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", 0)
    answers.write(READY)
    answers.flush()
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()

"""A bundle's answers to images that a program hands over: paths, a folder, arrays or Pillow images."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from al_cxr.bundles.answers import answerer
from al_cxr.bundles.decoding import Chunk, decoded, decoded_one_by_one
from al_cxr.bundles.inputs import find_inputs
from al_cxr.bundles.record import BundleRecord
from al_cxr.bundles.table import frame_of
from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dicom import said as dicom
from al_cxr.data.dicom.sniff import DIRECTORY
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.quality import gate
from al_cxr.data.quality.usual import Usual
from al_cxr.data.sources.with_headers import is_dicom_named
from al_cxr.data.store import cores
from al_cxr.experiment.fits import Fit

OneImage = str | os.PathLike[str] | np.ndarray | Image.Image
Images = OneImage | Sequence[OneImage]


def predict_images(record: BundleRecord, fits: Sequence[Fit], usual: Usual | None, images: Images) -> pd.DataFrame:
    """The table of answers to all images that can be read, and a Python warning of each thing to know about them.

    UserError where none can be read.
    """
    chunks, skipped = _chunks(images, record.image_size)
    answer, seen = answerer(record, fits), gate.Gate(usual)
    frames: list[pd.DataFrame] = []
    doubts: list[tuple[str, str]] = []
    for chunk in chunks:
        skipped += chunk.bad
        doubts += chunk.doubts
        if chunk.names:
            checks = seen.check(chunk.names, chunk.pixels_NSS, chunk.files)
            frames.append(frame_of(record, chunk.names, answer(chunk.pixels_NSS), checks))
    if not frames:
        name, reason = skipped[0]
        raise UserError(f"none of {len(skipped):,} images could be read; the first is {name}: {reason}")
    found = pd.concat(frames, ignore_index=True)
    for said in [*_left_out(skipped, len(found)), *doubt_lines(doubts, len(found)), *gate_sentences(seen)]:
        warnings.warn(said, stacklevel=3)
    return found


def gate_sentences(seen: gate.Gate) -> list[str]:
    """What has to be known of all images of a prediction together."""
    found = seen.odd("the model abstains from them (abstain = 1), and the column note says why")
    return found + seen.outliers() + seen.repeated("each of them is answered", gate.OFTEN) + seen.unlike()


def _left_out(skipped: Sequence[tuple[str, str]], read: int) -> list[str]:
    """The images that could not be read, a sentence a reason."""
    left_out = [f"left out, {line}" for line in doubt_lines(skipped, read + len(skipped))]
    return left_out + dicom.summary(reason for _, reason in skipped)


def _chunks(images: Images, size: int) -> tuple[Iterable[Chunk], list[tuple[str, str]]]:
    """The images decoded, and (name, reason) of those that were passed over before."""
    if isinstance(images, (str, os.PathLike)):
        path = Path(images)
        alone = path.name.lower().endswith(decode.SUFFIXES) or is_dicom_named(path.name, path)
        if path.is_dir() or not alone or path.name.upper() == DIRECTORY:
            inputs = find_inputs(path)
            return decoded(inputs, size, cores(), 0), list(inputs.skipped)
        images = [path]
    elif isinstance(images, Image.Image) or (isinstance(images, np.ndarray) and images.ndim == 2):
        images = [images]
    given = list(images)
    if not given:
        raise UserError("no images were given")
    files = [Path(image) if isinstance(image, (str, os.PathLike)) else None for image in given]
    names = [str(i) if path is None else str(path) for i, path in enumerate(files)]

    def read(i: int) -> bytes:
        path = files[i]
        return _encoded(given[i], names[i]) if path is None else decode.read_file(path, names[i])

    return decoded_one_by_one(names, files, read, size, cores()), []


def _encoded(image: object, name: str) -> bytes:
    """The file that an image in memory would be, so that it is read as any other."""
    if not isinstance(image, Image.Image):
        pixels_HW = np.asarray(image)
        if pixels_HW.dtype != np.uint8 or pixels_HW.ndim != 2 or not pixels_HW.size:
            raise UserError(
                f"{name}: an array of {pixels_HW.dtype} {pixels_HW.shape}; give grey images as uint8 (height, width), "
                "0 for black to 255 for white"
            )
        image = Image.fromarray(np.ascontiguousarray(pixels_HW))
    content = io.BytesIO()
    try:
        ImageOps.exif_transpose(image).save(content, "PNG", compress_level=0)
    except OSError:
        raise UserError(f'{name}: a Pillow image of mode {image.mode}; convert it to grey with convert("L")') from None
    return content.getvalue()

"""The pixels of one DICOM radiograph as grey values that mean the same for every file: 0 = black, 255 = white.

In the order of the standard (PS3.3 C.7.6.3, C.11.1, C.11.2): stored value (BitsStored, HighBit, sign), Modality LUT or
rescale, VOI LUT or window, polarity; then square pixels. What a person would choose at a viewer has to be one
fixed rule here (its version is `reader.VERSION`):

- The first VOI LUT of the file; where there is none the first window, by its function. Its darkest output is 0 and its
  brightest 255.
- Where there is neither, or it cannot be applied or is so wide that it says nothing, the values from the 0.5th to the
  99.5th percentile of the pixels inside the collimator and the shutter (where they are rectangles) that are no padding,
  the smallest and the largest value left aside: a border has one of these.
- Inverted once, where PhotometricInterpretation is MONOCHROME1. PresentationLUTShape, which says the same a second time
  and is wrong in files of known machines, does not count.
- Padding is black.

All of it is a function of the bits of a pixel, so it is computed once for each of at most 65,536 patterns.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEGExtended12Bit, RLELossless

from al_cxr.data.dicom.codestream import shape
from al_cxr.data.dicom.header import number, numbers
from al_cxr.data.dicom.levels import MOST_BITS, Unreadable, meant, shown
from al_cxr.data.dicom.usable import MAX_PIXELS

SQUARE = 0.01
"""Relative difference of the spacings from which on pixels are not square."""

MAX_SIDE = 20_000
"""Of an image with square pixels."""

LEAST_FIELD = 0.1
"""Share of an image inside its collimator below which that cannot be meant."""

PACKAGES = (
    ("1.2.840.10008.1.2.4.20", "pylibjpeg-openjpeg"),
    ("1.2.840.10008.1.2.4.9", "pylibjpeg-openjpeg"),
    ("1.2.840.10008.1.2.4.8", "pyjpegls"),
)
"""Begin of transfer syntaxes -> the package of the extra that decodes them; the others' is python-gdcm."""

_EDGES = ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical")


@dataclass(frozen=True, eq=False)
class Made:
    """Pixels as float32 (H, W) in 0..255, and what had to be guessed, each as a clause."""

    pixels_HW: np.ndarray
    doubts: tuple[str, ...]


def grey(dataset: Dataset) -> Made:
    """The pixels of a data set with one grey frame; Unreadable otherwise."""
    raw_HW, values_V = stored(dataset)
    doubts: list[str] = []
    padding_V = padding(dataset, values_V)
    counts_V = np.where(padding_V, 0, counted(raw_HW[field(dataset, raw_HW.shape)], len(values_V)))
    if not counts_V.any():
        raise Unreadable("nothing but padding")
    shown_V = shown(dataset, meant(dataset, values_V, doubts), counts_V, doubts)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown_V = 1 - shown_V
    elif str(dataset.get("PresentationLUTShape", "")) == "INVERSE":
        doubts.append("PresentationLUTShape INVERSE contradicts MONOCHROME2, which counts: look whether it is negative")
    shown_V[padding_V] = 0
    made_HW = (255 * shown_V).astype(np.float32)[raw_HW]
    return Made(_square(dataset, made_HW, doubts), tuple(doubts))


def stored(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as patterns of bits, uint8 or uint16 (H, W), and the stored value, int64, that each pattern V stands for:
    BitsStored bits below HighBit, with the sign that PixelRepresentation says."""
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data of whole numbers")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not syntax.is_transfer_syntax or (syntax.is_compressed and not syntax.is_deflated):
        _must_have_decoder(syntax, int(dataset.BitsStored))
    bits, allocated, signed = int(dataset.BitsStored), int(dataset.BitsAllocated), bool(dataset.PixelRepresentation)
    as_it_lies = not syntax.is_encapsulated or syntax == RLELossless  # a codec knows of no bits beside those stored
    high_bit = int(dataset.get("HighBit", bits - 1)) if as_it_lies else bits - 1
    if not (1 <= bits <= high_bit + 1 <= allocated and bits <= MOST_BITS):
        raise Unreadable(f"{bits} bits below bit {high_bit} of {allocated}; at most {MOST_BITS} are read")
    if not as_it_lies:
        found, said = shape(get_frame(dataset.PixelData, 0, number_of_frames=1)), (dataset.Rows, dataset.Columns, 1)
        if found is not None and found != said:
            raise Unreadable(f"compressed pixels of {_by(*found)}, where the header says {_by(*said)}")
    else:  # pydicom cuts some bits off and looks at no HighBit
        dataset.BitsStored, dataset.PixelRepresentation = allocated, 0
    raw_HW = pixel_array(dataset, index=0, raw=True)
    dataset.BitsStored, dataset.PixelRepresentation = bits, int(signed)
    if raw_HW.shape != (dataset.Rows, dataset.Columns):
        raise Unreadable(f"pixels of the shape {raw_HW.shape} where the header says {dataset.Rows} x {dataset.Columns}")
    shift = high_bit + 1 - bits
    if raw_HW.dtype.itemsize > 2:
        raw_HW, shift = (raw_HW >> shift & ((1 << bits) - 1)).astype(np.uint16), 0
    raw_HW = raw_HW.astype(raw_HW.dtype.newbyteorder("="), copy=False).view(f"u{raw_HW.dtype.itemsize}")
    values_V = np.arange(1 << 8 * raw_HW.dtype.itemsize) >> shift & ((1 << bits) - 1)
    if signed:
        values_V[values_V >= 1 << (bits - 1)] -= 1 << bits
    return raw_HW, values_V


def _by(rows: int, columns: int, colours: int) -> str:
    return f"{columns} x {rows} in {colours} {'colour' if colours == 1 else 'colours'}"


def counted(raw_HW: np.ndarray, patterns: int) -> np.ndarray:
    """How many pixels have each pattern; in parts, because counting makes 8 bytes of each pixel."""
    parts = np.array_split(raw_HW, max(1, raw_HW.size >> 22))
    return np.asarray(sum(np.bincount(part.ravel(), minlength=patterns) for part in parts))


def field(dataset: Dataset, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns inside rectangular collimators and shutters; all where that would leave next to nothing."""
    top, left, bottom, right = 0, 0, *shape
    for what in ("Collimator", "Shutter"):
        if "RECTANGULAR" not in str(dataset.get(f"{what}Shape", "")):
            continue
        edges = [number(dataset, f"{what}{edge}Edge") for edge in _EDGES]
        if (up := edges[0]) is not None and (down := edges[1]) is not None:
            top, bottom = max(top, int(up)), min(bottom, int(down) - 1)
        if (near := edges[2]) is not None and (far := edges[3]) is not None:
            left, right = max(left, int(near)), min(right, int(far) - 1)
    if max(0, bottom - top) * max(0, right - left) < LEAST_FIELD * shape[0] * shape[1]:
        return slice(None), slice(None)
    return slice(top, bottom), slice(left, right)


def _must_have_decoder(syntax: UID, bits: int) -> None:
    name = f"transfer syntax {syntax.name} ({syntax})"
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise Unreadable(f"no package decodes the {name}; export the image uncompressed") from None
    if not available:
        package = next((package for start, package in PACKAGES if str(syntax).startswith(start)), "python-gdcm")
        raise Unreadable(f"the {name} needs the package {package} (pip install {package}, or al-cxr[dicom])")
    if syntax == JPEGExtended12Bit and bits > 8 and importlib.util.find_spec("libjpeg") is None:
        raise Unreadable(
            f"the {name} of {bits} bits needs the package pylibjpeg-libjpeg, which al-cxr does not bring because it is "
            "under the GPL; install it, or export the image uncompressed"
        )


def padding(dataset: Dataset, values_V: np.ndarray) -> np.ndarray:
    """Which stored values are padding; its sign is often written wrong."""
    first, limit = number(dataset, "PixelPaddingValue"), number(dataset, "PixelPaddingRangeLimit")
    if first is None:
        return np.zeros(len(values_V), bool)
    whole = 1 << int(dataset.BitsAllocated)
    ends = [value for value in (first, limit) if value is not None]
    if dataset.PixelRepresentation:
        ends = [value - whole if value >= whole // 2 else value for value in ends]
    else:
        ends = [value + whole if value < 0 else value for value in ends]
    return np.asarray((values_V >= min(ends)) & (values_V <= max(ends)))


def _square(dataset: Dataset, pixels_HW: np.ndarray, doubts: list[str]) -> np.ndarray:
    """With as many pixels more, along the axis where they are larger, as makes them square."""
    down, across = spacing(dataset)
    if abs(down - across) <= SQUARE * min(down, across):
        return pixels_HW
    height, width = pixels_HW.shape
    unit = min(down, across)
    shape = (round(width * across / unit), round(height * down / unit))
    if max(shape) > MAX_SIDE or shape[0] * shape[1] > 2 * MAX_PIXELS:
        doubts.append(f"pixels of {across:g} x {down:g} mm cannot be meant, and were taken for square ones")
        return pixels_HW
    return np.asarray(Image.fromarray(pixels_HW).resize(shape, Image.Resampling.BICUBIC)).clip(0, 255)


def spacing(dataset: Dataset) -> tuple[float, float]:
    """Height and width of a pixel, in some unit: at the patient, else at the detector, else by their ratio."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        spacing = numbers(dataset, name)
        if len(spacing) == 2 and min(spacing) > 0:
            return spacing[0], spacing[1]
    return 1.0, 1.0

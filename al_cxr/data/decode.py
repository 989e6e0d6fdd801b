"""One image file of unknown origin -> one square grey uint8 image.

DICOM is decoded by the rule of `al_cxr.data.dicom`. What is done to every other image, in this order: decode, one
channel, 0..255, squash (not crop) to the square, EXIF rotation.

- Colour becomes luma (ITU-R 601); transparency is laid over black, the colour of air in a radiograph. An image that is
  transparent (almost) everywhere is refused: its pixels are there, and nobody was meant to see them.
- 8 bits stay as they are. More bits are divided by the largest value of their bit depth (`al_cxr.data.depth`), which
  keeps the exposure; stretching each image over its own minimum and maximum would throw it away.
- Of colour and transparency with 16 bits Pillow reads the upper 8. Where these hold next to nothing, because the values
  have 12 bits, the image is refused and not read as 16 grey levels.
- Lanczos, widened by the scale so that nothing aliases: at 64 pixels a nodule is about one pixel wide, and box or
  triangle filters wash it out; it also enlarges without blocks. Large images are first reduced by whole factors to
  at least three times the size (by the JPEG decoder itself where it can), which is up to six times faster and
  differs by less than a third of a grey level on average.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import (  # the plugins of FORMATS are registered here, once, and not by whichever thread comes first
    BmpImagePlugin,  # noqa: F401
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from al_cxr.core.errors import UserError
from al_cxr.data import depth
from al_cxr.data.dicom import reader
from al_cxr.data.dicom.said import PREFIX
from al_cxr.data.dicom.sniff import has_preamble, is_dicom
from al_cxr.data.dicom.usable import MAX_PIXELS
from al_cxr.data.polarity import NEGATIVE, likeness
from al_cxr.data.square import REDUCING_GAP, to_square

VERSION = 2
"""Counted up whenever `read` gives other pixels for the same bytes, so that old pixel stores are not reused."""

VERSION_8_BITS = 1
"""Counted up only when it does so for files of 8 bits, so that their features (dear to compute) are kept otherwise."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Few formats, because every decoder more is one more that a hostile file can attack."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")

DICOM = "DICOM"
"""How `Reading.depth` begins of a DICOM file."""

LOOKS_ODD = "looks like a negative, or not like a frontal chest radiograph: look whether its polarity is right"

MAX_BYTES = 256 * 2**20

OPAQUE = 64
"""Opacity, of 255, below which a pixel counts as invisible: it would be drawn four times darker and more."""

_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Reading(NamedTuple):
    """One image as it was read."""

    pixels: np.ndarray
    """uint8 (size, size), 0 = black."""
    digest: str
    """Hex SHA-256 of what it was made from: the bytes of the file."""
    depth: str = ""
    """"" for 8 bits, which have only one reading; else the bits it was read with, "stretched", or DICOM and the version
    of the rule for it."""
    doubts: tuple[str, ...] = ()
    """What had to be guessed, for `al_cxr.data.doubts.doubt_lines`."""

    @property
    def is_dicom(self) -> bool:
        return self.depth.startswith(DICOM)


class Opened(NamedTuple):
    """An image file that was decoded."""

    image: ImageFile.ImageFile
    box: tuple[float, float, float, float] | None
    """The part of it that is the image; None for all."""
    pages: int
    orientation: int
    """As EXIF has it."""

    @property
    def is_deep(self) -> bool:
        """Whether it is one channel of more than 8 bits, or of floating point."""
        return self.image.mode == "F" or self.image.mode.startswith("I")

    @property
    def is_negative(self) -> bool:
        """Whether the file says that 0 is white; Pillow inverts such an image at 8 bits only."""
        tags = self.image.tag_v2 if isinstance(self.image, TiffImagePlugin.TiffImageFile) else {}
        return bool(tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0)

    def turned(self, pixels_HW: np.ndarray) -> np.ndarray:
        """Its pixels upright, as EXIF says."""
        if self.orientation not in _ORIENTATIONS:
            return pixels_HW
        return np.asarray(Image.fromarray(pixels_HW).transpose(_ORIENTATIONS[self.orientation]))


def decode(path: str | os.PathLike[str], size: int) -> np.ndarray:
    """One image file as uint8 (size, size), 0 = black; UserError with the path if that is not possible."""
    return decode_bytes(read_file(Path(path), str(path)), size, str(path))


def decode_bytes(data: bytes, size: int, name: str) -> np.ndarray:
    """The bytes of one image file as uint8 (size, size), 0 = black; UserError that starts with `name` otherwise."""
    return read(data, size, name).pixels


def read_file(path: Path, name: str) -> bytes:
    """The bytes of an image file of at most `MAX_BYTES`; UserError with `name` otherwise."""
    try:
        with open(path, "rb") as f:
            data = f.read(MAX_BYTES + 1)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # nothing is wrong with the image
            raise
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{name}: larger than {MAX_BYTES >> 20} MiB, the limit for one image")
    return data


def read(data: bytes, size: int, name: str, usual: Callable[[], int | None] = lambda: None) -> Reading:
    """The bytes of one image file; `usual` as in `depth.grey`. UserError that starts with `name` if it is none."""
    if not data:
        raise UserError(f"{name}: the file is empty")
    if reads_as_dicom(data, name):
        return _read_dicom(data, size, name)
    found = opened(data, name, int(REDUCING_GAP * size))
    grey, bits, doubts = one_channel(found, data, name, usual)
    if found.pages > 1:
        doubts = (*doubts, "several pages or frames, of which only the first was read")
    pixels = found.turned(to_square(grey, size, found.box))
    return Reading(pixels, hashlib.sha256(data).hexdigest(), bits, doubts)


def reads_as_dicom(data: bytes, name: str) -> bool:
    """Whether a file of these bytes and this name is read by the rule for DICOM."""
    return not name.lower().endswith(SUFFIXES) and is_dicom(data, name)


def opened(data: bytes, name: str, least: int | None = None) -> Opened:
    """The bytes of an image file that is no DICOM, decoded; a JPEG at `least` pixels or more, where that is quicker."""
    box = None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width} x {image.height}")
            if least is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
                draft = image.draft("L", (least, least))
                box = draft and draft[1]
            pages = getattr(image, "n_frames", 1)
            image.load()
            orientation = image.getexif().get(0x0112, 1)  # after load, because TIFF files turn themselves in it
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name, "too large") from None
    except UnidentifiedImageError:
        if has_preamble(data):
            raise UserError(f"{name}: {PREFIX}named like another image; name it .dcm") from None
        raise UserError(f"{name}: not an image in one of the formats {', '.join(FORMATS)}") from None
    except Exception as error:  # on damaged files Pillow's decoders raise almost any type
        raise UserError(f"{name}: damaged or truncated ({str(error) or type(error).__name__})") from error
    return Opened(image, box, pages, orientation)


def _read_dicom(data: bytes, size: int, name: str) -> Reading:
    try:
        made = reader.square(data, size)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    doubts = (*made.doubts, LOOKS_ODD) if likeness(made.pixels_HW) < NEGATIVE else made.doubts
    return Reading(made.pixels_HW, hashlib.sha256(data).hexdigest(), f"{DICOM} {reader.VERSION}", doubts)


def _too_large(name: str, shape: str) -> UserError:
    return UserError(
        f"{name}: {shape}, more than {MAX_PIXELS // 10**6} million pixels: a decompression bomb or no radiograph"
    )


def one_channel(
    found: Opened, data: bytes, name: str, usual: Callable[[], int | None]
) -> tuple[Image.Image, str, tuple[str, ...]]:
    """One channel: mode L, or mode F in 0..255 where there were more than 8 bits; its depth, and what is doubtful."""
    image = found.image
    if found.is_deep:
        made = depth.grey(np.asarray(image), name, depth.stated(image, data), usual)
        return Image.fromarray(255 - made.pixels_HW if found.is_negative else made.pixels_HW), made.depth, made.doubts
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    try:
        colours = tags.get(TiffImagePlugin.COLORMAP, (256,))
        if image.mode in ("P", "PA") and max(colours) < 256:
            image.putpalette(bytes(colours), "RGB;L")  # written with 8 bits instead of 16: Pillow makes it black
        grey: Image.Image = image
        alpha: Image.Image | None = None
        if image.has_transparency_data:
            grey, alpha = image.convert("RGBA").convert("LA").split()
        elif image.mode != "L":
            coloured = image.convert("RGB") if image.mode in ("CMYK", "P") else image
            grey = coloured.convert("L")
    except ValueError:
        raise UserError(f"{name}: colour mode {image.mode} cannot be made grey; save it as 8-bit grey") from None
    if _is_deep(image, data) and depth.empty(np.asarray(grey)):
        raise UserError(
            f"{name}: colour or transparency of 16 bits in which only the lower bits are used, and al-cxr reads the "
            "upper 8 of these; save it as 16-bit grey without transparency, or as 8 bits"
        )
    if alpha is not None:
        if np.mean(np.asarray(alpha) >= OPAQUE) < depth.TAIL / 100:
            raise UserError(f"{name}: transparent (almost) everywhere: nothing to see; save it without transparency")
        grey = ImageChops.multiply(grey, alpha)
    return grey, "", ()


def _is_deep(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether a file of more than 8 bits a channel was read as its upper 8."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) > 8)
    return image.format == "PNG" and data[24] > 8

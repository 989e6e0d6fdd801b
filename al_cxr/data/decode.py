"""One image file of unknown origin -> one square grey uint8 image.

What is done to every image, in this order: decode, one channel, 0..255, squash (not crop) to the square, EXIF rotation.

- Colour becomes luma (ITU-R 601); transparency is laid over black, the colour of air in a radiograph.
- 8 bits stay as they are. Integers of more bits are divided by the largest value of their *bit depth*, taken as the
  smallest of 8, 10, 12, 14 and 16 bits that holds every pixel: a 12-bit radiograph in a 16-bit file is not black, and
  the exposure is kept, which stretching each image over its own minimum and maximum would throw away. Only negative
  or larger integers and floating point, which have no such scale, are stretched. (Pillow reads 16-bit *colour* as its
  upper 8 bits; radiographs are grey.)
- Lanczos, widened by the scale so that nothing aliases: at 64 pixels a nodule is about one pixel wide, and box or
  triangle filters wash it out; it also enlarges without blocks. Large images are first reduced by whole factors to
  at least three times the size (by the JPEG decoder itself where it can), which is up to six times faster and
  differs by less than a third of a grey level on average.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import (  # the plugins of FORMATS are registered here, once, and not by whichever thread comes first
    BmpImagePlugin,  # noqa: F401
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
    WebPImagePlugin,  # noqa: F401
)

from al_cxr.errors import UserError

VERSION = 1
"""Counted up whenever `decode_bytes` gives other pixels for the same bytes, so that old pixel stores are not reused."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Few formats, because every decoder more is one more that a hostile file can attack."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")

MAX_PIXELS = 80_000_000
"""Five times the largest digital radiographs, and below the size at which Pillow itself warns."""

MAX_BYTES = 256 * 2**20

REDUCING_GAP = 3.0

_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(path: str | os.PathLike[str], size: int) -> np.ndarray:
    """One image file as uint8 (size, size), 0 = black; UserError with the path if that is not possible."""
    return decode_bytes(read_file(Path(path), str(path)), size, str(path))


def read_file(path: Path, name: str) -> bytes:
    """The bytes of an image file of at most `MAX_BYTES`; UserError with `name` otherwise."""
    try:
        with open(path, "rb") as f:
            data = f.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{name}: larger than {MAX_BYTES >> 20} MiB, the limit for one image")
    return data


def decode_bytes(data: bytes, size: int, name: str) -> np.ndarray:
    """The bytes of one image file as uint8 (size, size), 0 = black; UserError that starts with `name` otherwise."""
    if not data:
        raise UserError(f"{name}: the file is empty")
    box = None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width} x {image.height}")
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                gap = int(REDUCING_GAP * size)
                draft = image.draft("L", (gap, gap))
                box = draft and draft[1]
            image.load()
            orientation = image.getexif().get(0x0112, 1)  # after load, because TIFF files turn themselves in it
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name, "too large") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{name}: not an image in one of the formats {', '.join(FORMATS)}") from None
    except Exception as error:  # on damaged files Pillow's decoders raise almost any type
        raise UserError(f"{name}: damaged or truncated ({str(error) or type(error).__name__})") from error

    square = _grey(image, name).resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)
    if orientation in _ORIENTATIONS:
        square = square.transpose(_ORIENTATIONS[orientation])
    return to_uint8(square)


def resize(pixels_HW: np.ndarray, size: int) -> np.ndarray:
    """A grey uint8 image of any shape as uint8 (size, size), with the filter that files are resized with."""
    if pixels_HW.shape == (size, size):
        return pixels_HW
    image = Image.fromarray(np.ascontiguousarray(pixels_HW))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP))


def to_uint8(image: Image.Image) -> np.ndarray:
    """A grey image of 0..255, whole or float, as uint8, rounded and clipped."""
    pixels = np.asarray(image)
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels).clip(0, 255).astype(np.uint8)


def _too_large(name: str, shape: str) -> UserError:
    return UserError(
        f"{name}: {shape}, more than {MAX_PIXELS // 10**6} million pixels: a decompression bomb or no radiograph"
    )


def _grey(image: ImageFile.ImageFile, name: str) -> Image.Image:
    """One channel: mode L, or mode F in 0..255 where there were more than 8 bits."""
    if image.mode == "F" or image.mode.startswith("I"):
        scaled = _scale(np.asarray(image), name)
        if (
            isinstance(image, TiffImagePlugin.TiffImageFile)
            and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        ):
            scaled = 255 - scaled  # white is zero: Pillow inverts these at 8 bits only
        return Image.fromarray(scaled)
    try:
        if image.has_transparency_data:
            grey, alpha = image.convert("RGBA").convert("LA").split()
            return ImageChops.multiply(grey, alpha)
        return image.convert("RGB").convert("L") if image.mode in ("CMYK", "P") else image.convert("L")
    except ValueError:
        raise UserError(f"{name}: colour mode {image.mode} cannot be made grey; save it as 8-bit grey") from None


def _scale(pixels_HW: np.ndarray, name: str) -> np.ndarray:
    """More than 8 bits -> float32 in 0..255, by bit depth where there is one (see the top of this file)."""
    low, high = pixels_HW.min(), pixels_HW.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{name}: has pixels that are not finite numbers (NaN or infinity)")
    if np.issubdtype(pixels_HW.dtype, np.integer) and low >= 0 and high < 2**16:
        black, white = 0.0, float(next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits))
    else:
        black, white = float(low), float(high)
    span = white - black
    if span == 0:
        return np.zeros(pixels_HW.shape, np.float32)
    return ((pixels_HW.astype(np.float64) - black) * (255 / span)).astype(np.float32)

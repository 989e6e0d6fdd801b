"""Images that are no radiographs, as far as that can be seen without doubt in their pixels or files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile
from scipy.fft import dctn

from al_cxr.core.progress import Progress
from al_cxr.data import chest
from al_cxr.data.decode import FORMATS, SUFFIXES
from al_cxr.data.dicom.sniff import is_dicom_file
from al_cxr.data.quality.usual import FRAME, Usual, features

CONTRAST = 32
"""Grey levels from the 1st to the 99th percentile, below which there is almost nothing to see: of 7,517 radiographs
of three hospitals the flattest has 84."""

SATURATED = 0.75
"""Share of pixels within 2 grey levels of black or white: of the same radiographs at most 0.43."""

TWO_GREYS = 0.88
"""Share of pixels within 2 grey levels of the two most frequent ones: at most 0.86."""

SHADE = 0.98
"""Share of the variance in the 5 x 5 lowest frequencies, from which on there is no detail: at most 0.97."""

NEGATIVE = -0.2
"""Correlation with the mean training image below which one looks like a negative: at least -0.02, and 99 % of their
negatives are below."""

TURNED = 0.4
"""Correlation with the mean training image turned, above that with it upright: of 7,517 radiographs 0.36 at most, but
for one that does lie upside down."""

UNUSUAL = 0.99
"""An image without a chest that the template finds is doubtful where it is also more unlike than this share of the
validation images: the template alone misses the chest on 0.4 % of radiographs, most of them of small children."""

TINY, SMALL, LONG, COLOUR = 16, 64, 2.0, 10.0
"""Pixels of the shorter side, with nothing to see and hardly enough; longer side to shorter; mean difference of the
colour channels in grey levels."""


@dataclass(frozen=True)
class Odd:
    """What is odd about one image, in words."""

    index: int
    name: str
    what: str


@dataclass(frozen=True)
class ImageCheck:
    """What was seen of one image: `what` is odd about it ("" where nothing is), whether there is nothing on it to see
    or it is only doubtful, and how unlike the usual ones it is (0..1, None: not known)."""

    what: str = ""
    unusable: bool = False
    unlike: float | None = None


def check_images(pixels_NSS: np.ndarray, usual: Usual | None) -> list[ImageCheck]:
    """What is odd about each of N images, uint8 (N, S, S).

    Without `usual` only images with nothing on them are found: which are negatives, turned, or no chests can be seen
    beside other images alone.
    """
    pixels_NSS = framed(pixels_NSS)
    empty_N = nothing_to_see(pixels_NSS)
    if usual is None:
        return [ImageCheck(what, bool(what)) for what in empty_N]
    return compare(empty_N, features(pixels_NSS), usual, pixels_NSS.__getitem__)


def nothing_to_see(pixels_NSS: np.ndarray) -> list[str]:
    """Why there is nothing to see on each of N images, uint8 (N, S, S), S <= FRAME; "" where there is something."""
    low_N, high_N = np.percentile(pixels_NSS.reshape(len(pixels_NSS), pixels_NSS.shape[1] ** 2), [1, 99], axis=1)
    return [_nothing(image_SS, span) for image_SS, span in zip(pixels_NSS, (high_N - low_N).tolist(), strict=True)]


def compare(
    empty_N: Sequence[str], features_NK: np.ndarray, usual: Usual, read: Callable[[int], np.ndarray]
) -> list[ImageCheck]:
    """What is odd about N images beside the usual ones, from what `nothing_to_see` and `features` said of them; `read`
    gives the pixels of the few again that are unlike hardly any other."""
    unlike_N, likeness_N4 = usual.unlike(features_NK), usual.likeness(features_NK)
    return [
        ImageCheck(what or _doubt(i, read, float(unlike_N[i]), likeness_N4[i]), bool(what), float(unlike_N[i]))
        for i, what in enumerate(empty_N)
    ]


def framed(pixels_NSS: np.ndarray) -> np.ndarray:
    """Images at the size at which they are looked at, uint8: smaller ones as they are."""
    if pixels_NSS.shape[1] <= FRAME:
        return np.asarray(pixels_NSS)
    small = [Image.fromarray(np.asarray(i)).resize((FRAME, FRAME), Image.Resampling.BOX) for i in pixels_NSS]
    return np.stack([np.asarray(image) for image in small]) if small else np.empty((0, FRAME, FRAME), np.uint8)


def chestless(pixels_NSS: np.ndarray) -> int:
    """How many of N images have no chest that the template finds."""
    return sum(chest.find(image_SS) == chest.WHOLE for image_SS in pixels_NSS)


def odd_files(images: object, index_M: np.ndarray, progress: bool = False) -> list[tuple[int, str]] | None:
    """What is odd about originals, with their indices; None where the images do not come from files.

    Images that do have a method `path(index) -> Path`.
    """
    path: Callable[[int], Path] | None = getattr(images, "path", None)
    if path is None:
        return None
    found = []
    with Progress(len(index_M), "looking at the files", shown=progress) as bar:
        for i in index_M.tolist():
            if what := original(path(i)):
                found.append((i, what))
            bar.update()
    return found


def original(file: Path) -> str:
    """What is odd about a file that can be decoded, small, long or coloured; "" where nothing is."""
    if not file.name.lower().endswith(SUFFIXES) and is_dicom_file(file):
        return ""  # its header was looked at
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        short, long = sorted((width, height))
        found = []
        if short < SMALL:
            found.append(f"only {width} x {height} pixels")
        if long > LONG * short:
            found.append(f"{width} x {height} pixels, squashed to a square by {long / short:.1f}")
        return "; ".join([*found, *_coloured(image)])


def check_file(data: bytes) -> ImageCheck:
    """What is odd about a file that was decoded: too small to show anything, or coloured."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if min(image.size) < TINY:
            return ImageCheck(f"only {image.width} x {image.height} pixels: nothing to see", unusable=True)
        return ImageCheck("; ".join(f"{what}, as no radiograph is" for what in _coloured(image)))


def _coloured(image: ImageFile.ImageFile) -> list[str]:
    if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;"):
        return []
    image.draft("RGB", (SMALL, SMALL))
    rgb_SSC = np.asarray(image.convert("RGB").resize((SMALL, SMALL)), dtype=np.float32)
    colour = float(np.ptp(rgb_SSC, axis=2).mean())
    return [f"coloured (channels differ by {colour:.0f} grey levels)"] if colour > COLOUR else []


def _nothing(image_SS: np.ndarray, span: float) -> str:
    """Why there is nothing to see on an image with so many grey levels between its 1st and 99th percentiles; "" where
    there is something."""
    if image_SS.max() == image_SS.min():
        return f"blank: one grey ({image_SS.max()}) all over"
    if span < CONTRAST:
        return f"almost without contrast ({span:.0f} grey levels)"
    share_G = np.bincount(image_SS.ravel(), minlength=256) / image_SS.size
    ends = share_G[:3].sum() + share_G[-3:].sum()
    if ends >= SATURATED:
        return f"saturated: {100 * ends:.0f} % of its pixels are black or white, hardly any grey"
    two = _two_greys(share_G)
    if two >= TWO_GREYS:
        return f"almost without contrast: {100 * two:.0f} % of its pixels have one of two greys"
    power_SS = dctn(image_SS.astype(np.float32), norm="ortho") ** 2
    power_SS[0, 0] = 0
    if power_SS[:5, :5].sum() >= SHADE * power_SS.sum():
        return "nothing but a smooth shade from grey to grey"
    return ""


def _two_greys(share_G: np.ndarray) -> float:
    """Share of pixels about the most frequent grey level and about the most frequent one of the others."""
    around_G = np.convolve(share_G, np.ones(5), "same")
    first = int(around_G.argmax())
    others_G = share_G.copy()
    others_G[max(0, first - 2) : first + 3] = 0
    return float(around_G[first] + np.convolve(others_G, np.ones(5), "same").max())


def _doubt(index: int, read: Callable[[int], np.ndarray], unlike: float, likeness_4: np.ndarray) -> str:
    """Why an image with something on it may be no upright frontal radiograph; "" where it may well be one."""
    if likeness_4[0] < NEGATIVE:
        return f"a negative, or no frontal chest? Bright where the others are dark (correlation {likeness_4[0]:.2f})"
    if likeness_4[1:].max() - likeness_4[0] > TURNED:
        return f"turned by {90 * int(likeness_4.argmax())} degrees, or no frontal chest?"
    if unlike > UNUSUAL and chestless(read(index)[None]):
        return "no frontal chest? No chest is found on it, and hardly any of the others is as unusual"
    return ""

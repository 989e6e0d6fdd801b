"""What another X-ray machine in another hospital does to a radiograph, as augmentation.

A network that has seen one hospital reads its exposure, its borders, its sharpness and its burnt-in letters as part of
the disease (Zech 2018, https://doi.org/10.1371/journal.pmed.1002683). Here they vary: grey values follow another curve,
the image is less sharp, the collimated field is smaller, a mark stands in a corner. Widths and heights vary too, in the
interpolation of al_cxr.data.augment.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from al_cxr.config import ScannerSettings

GLYPH = (5, 3)
"""Rows and columns of a mark, each cell lit or not."""
MARKS = GLYPH[0] * GLYPH[1]
DRAWS = ("aspect", "gamma", "blur", "left", "right", "top", "bottom", "marked", "mark_x", "mark_y", "mark_size", "lit")
"""What the first uniform numbers of an image decide, in this order; the cells of its mark follow."""


def draw(count: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers (count, K) in 0..1 on the CPU."""
    return torch.rand((count, len(DRAWS) + MARKS), generator=generator)


def aspect(draws_BK: Tensor, settings: ScannerSettings) -> Tensor:
    """(B,) factors of width over height."""
    return torch.exp(settings.aspect * (2 * draws_BK[:, 0] - 1))


@torch.no_grad()
def apply(images: Tensor, settings: ScannerSettings, draws_BK: Tensor) -> Tensor:
    """The machine that the uniform numbers stand for; float32 (B, 1, S, S) in 0..1 in and out.

    0.5 is the middle of each range; a number for a border below 0.5 leaves that side as it is.
    """
    draws_BK = draws_BK.to(images.device, non_blocking=True)
    exponent_B = torch.exp(settings.gamma * (2 * draws_BK[:, 1] - 1))
    out = images.clamp(0, 1) ** exponent_B.view(-1, 1, 1, 1)
    out = _blurred(out, settings.blur * draws_BK[:, 2] * images.shape[-1], settings.blur * images.shape[-1])
    out = out * _field(images, settings.collimation * (2 * draws_BK[:, 3:7] - 1).clamp(min=0))
    return _marked(out, settings.letters, draws_BK[:, 7:])


def _blurred(images: Tensor, sigma_B: Tensor, largest: float) -> Tensor:
    """Gaussian blur with a standard deviation of its own for each image, in pixels."""
    reach = math.ceil(2.5 * largest)
    if reach == 0:
        return images
    offset_K = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel_BK = torch.exp(-0.5 * (offset_K / sigma_B.clamp(min=1e-3)[:, None]) ** 2)
    kernel_BK = kernel_BK / kernel_BK.sum(1, keepdim=True)
    batch = len(images)
    stacked = F.pad(images.transpose(0, 1), (reach,) * 4, mode="replicate")  # images as the channels of one
    stacked = F.conv2d(stacked, kernel_BK.view(batch, 1, -1, 1), groups=batch)
    return F.conv2d(stacked, kernel_BK.view(batch, 1, 1, -1), groups=batch).transpose(0, 1)


def _field(images: Tensor, border_B4: Tensor) -> Tensor:
    """(B, 1, S, S): 1 within the collimated field, 0 beyond; borders left, right, top, bottom as fractions."""
    size = images.shape[-1]
    at_S = (torch.arange(size, device=images.device, dtype=images.dtype) + 0.5) / size
    left, right, top, bottom = (border_B4[:, i, None] for i in range(4))
    across_BS = (at_S >= left) & (at_S <= 1 - right)
    down_BS = (at_S >= top) & (at_S <= 1 - bottom)
    return (down_BS[:, None, :, None] & across_BS[:, None, None, :]).to(images.dtype)


def _marked(images: Tensor, probability: float, draws_BK: Tensor) -> Tensor:
    """A bright mark of a few cells near an upper or lower corner, as burnt-in letters are."""
    size, (rows, columns) = images.shape[-1], GLYPH
    marked_B, x_B, y_B, size_B, lit_B = draws_BK[:, :5].unbind(1)
    cells_BRC = (draws_BK[:, 5:] < 0.6).view(-1, rows, columns)
    height_B = 0.05 + 0.07 * size_B
    width_B = height_B * columns / rows
    # The first half of the numbers is the left (upper) edge, the second the right (lower) one.
    left_B = torch.where(x_B < 0.5, 0.4 * x_B, 1 - width_B - 0.4 * (1 - x_B))
    top_B = torch.where(y_B < 0.5, 0.3 * y_B, 1 - height_B - 0.3 * (1 - y_B))
    at_S = (torch.arange(size, device=images.device, dtype=images.dtype) + 0.5) / size
    column_BS = ((at_S - left_B[:, None]) / width_B[:, None] * columns).floor().long()
    row_BS = ((at_S - top_B[:, None]) / height_B[:, None] * rows).floor().long()
    inside_BSS = ((row_BS >= 0) & (row_BS < rows))[:, :, None] & ((column_BS >= 0) & (column_BS < columns))[:, None, :]
    which = torch.arange(len(images), device=images.device)[:, None, None]
    lit_BSS = cells_BRC[which, row_BS.clamp(0, rows - 1)[:, :, None], column_BS.clamp(0, columns - 1)[:, None, :]]
    shown_BSS = inside_BSS & lit_BSS & (marked_B < probability)[:, None, None]
    return torch.where(shown_BSS[:, None], torch.maximum(images, (0.7 + 0.3 * lit_B).view(-1, 1, 1, 1)), images)

"""More of what a pretrained network sees in a radiograph: its inner layers, and a second crop of the chest alone.

The last features of a network trained on photographs are about dogs and cups; textures are in the layers before. And
where a finding is matters: tuberculosis prefers the upper lobes. So a map is summed up by the mean and the standard
deviation of every channel, and by its means over six zones, upper, middle and lower by left and right, which are the
same parts of the lungs in all images once these are cut to the chest.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from al_cxr.data import chest

ZONES = (3, 2)
"""Rows and columns."""
SUMMARIES = 2 + ZONES[0] * ZONES[1]
"""Numbers that `summary` makes of a channel."""


def summary(map_BCHW: Tensor) -> Tensor:
    """(B, SUMMARIES C): means and standard deviations over the grid, and means over the zones."""
    zones_BCZ = F.adaptive_avg_pool2d(map_BCHW, ZONES).flatten(2)
    moments_BC2 = torch.stack([map_BCHW.mean((2, 3)), map_BCHW.std((2, 3), correction=0)], dim=2)
    return torch.cat([moments_BC2, zones_BCZ], dim=2).flatten(1)


def chests(images: Tensor) -> Tensor:
    """Each image cut to its chest (al_cxr.data.chest) and enlarged to its own size, black beyond; (B, C, S, S)."""
    return sampled(images, boxes(images))


def boxes(images: Tensor) -> Tensor:
    """Where the chests are: (B, 4) as left, top, right, bottom in shares of the image, on the images' device."""
    grey_BSS = (images.detach()[:, 0] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    found = [chest.find(pixels) for pixels in grey_BSS]
    corners = np.array([(box.left, box.top, box.right, box.bottom) for box in found], np.float32).reshape(-1, 4)
    return torch.from_numpy(corners).to(images.device)


def sampled(images: Tensor, boxes_B4: Tensor) -> Tensor:
    """The parts of the images that the boxes say, enlarged or shrunk to the images' size, bilinear, black beyond."""
    low_B2, high_B2 = boxes_B4[:, :2], boxes_B4[:, 2:]
    scale_B2, middle_B2 = high_B2 - low_B2, low_B2 + high_B2 - 1  # in the coordinates of the grid, -1..1
    map_B23 = torch.cat([torch.diag_embed(scale_B2), middle_B2[:, :, None]], dim=2).to(images.dtype)
    grid = F.affine_grid(map_B23, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


def inverse(boxes_B4: Tensor) -> Tensor:
    """The boxes that undo others: sampling by these puts a part back to where it was cut."""
    low_B2, size_B2 = boxes_B4[:, :2], boxes_B4[:, 2:] - boxes_B4[:, :2]
    return torch.cat([-low_B2 / size_B2, (1 - low_B2) / size_B2], dim=1)

"""Mixed training examples: mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mix(
    images: Tensor, targets_BC: Tensor, mixup_alpha: float, cutmix_alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each image mixed with another one of its batch, and the soft labels that go with it.

    `images` (B, ..., H, W) on any device, `targets_BC` float (B, C), one-hot or soft. An alpha of 0 turns its method
    off; with both on, each batch takes one of them with equal chance. One share lambda ~ Beta(alpha, alpha) a batch, as
    in the papers. Neither input is changed; with both off they are returned as they are. `generator` lives on the CPU.
    """
    if not targets_BC.is_floating_point() or targets_BC.ndim != 2 or len(targets_BC) != len(images):
        raise ValueError(f"mix wants float (B, C) targets for {len(images)} images, not {tuple(targets_BC.shape)}")
    if min(mixup_alpha, cutmix_alpha) < 0:
        raise ValueError(f"alpha is 0 (off) or more, not mixup {mixup_alpha}, cutmix {cutmix_alpha}")
    if not mixup_alpha and not cutmix_alpha:
        return images, targets_BC
    # torch draws no Beta from a generator of one's own; numpy does, with a seed from that generator.
    rng = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=generator)))
    partner_B = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    if not cutmix_alpha or (mixup_alpha and rng.random() < 0.5):
        share = rng.beta(mixup_alpha, mixup_alpha)
        mixed = torch.lerp(images[partner_B], images, share)
    else:
        mixed, share = _cutmix(images, partner_B, rng.beta(cutmix_alpha, cutmix_alpha), rng)
    return mixed, torch.lerp(targets_BC[partner_B], targets_BC, share)


def _cutmix(images: Tensor, partner_B: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """The partner's pixels in one box of the area 1 - share, and the share that is left to the image itself.

    The box is centred anywhere and ends at the image's edge, so the share is counted again from the pixels.
    """
    height, width = images.shape[-2:]
    side = np.sqrt(1 - share)
    top, bottom = _span(height, side, rng)
    left, right = _span(width, side, rng)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[..., top:bottom, left:right][partner_B]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, fraction: float, rng: np.random.Generator) -> tuple[int, int]:
    """First and last + 1 pixel of a stretch of about `fraction * length`, cut at the edges."""
    centre, extent = int(rng.integers(length)), int(length * fraction)
    start = centre - extent // 2
    return max(start, 0), min(start + extent, length)

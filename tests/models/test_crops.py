"""Summaries of maps, and the crop of the chest."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from al_cxr.data import chest
from al_cxr.data.phantom.radiographs import standing
from al_cxr.models.crops import boxes, chests, inverse, sampled, summary


def test_a_summary_is_means_deviations_and_zones() -> None:
    map_BCHW = torch.randn(2, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    got = summary(map_BCHW).reshape(2, 3, 8)
    torch.testing.assert_close(got[..., 0], map_BCHW.mean((2, 3)))
    torch.testing.assert_close(got[..., 1], map_BCHW.flatten(2).std(2, correction=0))
    zones = map_BCHW.reshape(2, 3, 3, 2, 2, 2).mean((3, 5)).flatten(2)
    torch.testing.assert_close(got[..., 2:], zones)


def test_a_chest_is_what_the_pixels_are_cut_to() -> None:
    pixels = np.stack(standing(4))
    images = torch.from_numpy(pixels)[:, None].float() / 255
    for image, found, original in zip(images, chests(images), pixels, strict=True):
        box = chest.find(original)
        torch.testing.assert_close(
            boxes(image[None])[0], torch.tensor([box.left, box.top, box.right, box.bottom]), atol=1e-6, rtol=0
        )
        corners = [96 * side for side in (box.left, box.top, box.right, box.bottom)]
        padded = Image.fromarray(np.pad(original, 96)).resize((96, 96), 2, box=[96 + side for side in corners])
        assert (found[0] - torch.from_numpy(np.asarray(padded, np.float32)) / 255).abs().mean() < 0.01


def test_no_chest_is_the_whole_image() -> None:
    images = torch.zeros(2, 1, 32, 32)
    images[1] = torch.linspace(0, 1, 32)
    torch.testing.assert_close(chests(images), images)


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.2, 0.3), st.floats(-0.2, 0.3), st.floats(0.5, 1.2), st.floats(0.5, 1.2))
def test_the_inverse_puts_a_part_back(left: float, top: float, width: float, height: float) -> None:
    box = torch.tensor([[left, top, left + width, top + height]])
    torch.testing.assert_close(inverse(inverse(box)), box, atol=1e-5, rtol=0)
    at = (torch.arange(64) + 0.5) / 64
    smooth = (at[:, None] + 2 * at[None, :])[None, None]
    back = sampled(sampled(smooth, box), inverse(box))[0, 0]
    margin = 0.06  # bilinear lookup blurs the edge of what was cut
    rows = (at > max(top, 0) + margin) & (at < min(top + height, 1) - margin)
    columns = (at > max(left, 0) + margin) & (at < min(left + width, 1) - margin)
    torch.testing.assert_close(back[rows][:, columns], smooth[0, 0][rows][:, columns], atol=0.02, rtol=0)

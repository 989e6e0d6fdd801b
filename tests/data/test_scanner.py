"""What another machine changes of a radiograph: against independent implementations, and by its invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from augmented import OFF, draws, generator, noise, smooth
from torch import Tensor

from al_cxr.config import AugmentSettings, ScannerSettings
from al_cxr.data import scanner
from al_cxr.data.augment import apply, augment

STILL = {"aspect": 0.0, "gamma": 0.0, "blur": 0.0, "collimation": 0.0, "letters": 0.0}


def machine(images: Tensor, values: dict[str, float], **settings: float) -> Tensor:
    numbers = torch.full((len(images), len(scanner.DRAWS) + scanner.MARKS), 0.5)
    for name, value in values.items():
        numbers[:, scanner.DRAWS.index(name)] = value
    return scanner.apply(images, ScannerSettings(**{**STILL, **settings}), numbers)


def test_a_scanner_with_all_off_changes_nothing() -> None:
    images = noise(3)
    assert torch.equal(machine(images, {}), images)
    numbers = scanner.draw(3, generator(1))
    assert torch.equal(scanner.apply(images, ScannerSettings(**STILL), numbers), images)


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_gamma_is_a_power_of_the_grey_values(draw: float) -> None:
    images = noise(2)
    expected = images ** np.exp(0.7 * (2 * draw - 1))
    torch.testing.assert_close(machine(images, {"gamma": draw}, gamma=0.7), expected)


def test_blur_is_scipys_gaussian() -> None:
    from scipy.ndimage import gaussian_filter

    image = smooth(48)
    ours = machine(image, {"blur": 0.8}, blur=0.049)[0, 0].numpy()
    sigma, reach = 0.8 * 0.049 * 48, 6  # 2.5 times the largest standard deviation, 2.35 pixels
    theirs = gaussian_filter(image[0, 0].numpy().astype(np.float64), sigma, mode="nearest", radius=reach)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_collimation_blackens_the_sides_that_are_drawn() -> None:
    out = machine(torch.ones(1, 1, 40, 40), {"left": 1.0, "top": 0.75, "right": 0.4}, collimation=0.2)[0, 0]
    assert (out[:, :8] == 0).all() and (out[:4] == 0).all() and (out[4:, 8:] == 1).all()


def test_a_mark_is_bright_small_and_near_an_edge() -> None:
    images = torch.zeros(300, 1, 64, 64)
    out = scanner.apply(images, ScannerSettings(**{**STILL, "letters": 0.5}), scanner.draw(300, generator(2)))
    lit = out > 0
    share = lit.flatten(1).any(1).float().mean()
    assert 0.4 < share < 0.6
    assert lit.float().mean((1, 2, 3)).max() < 0.12**2 and out[lit].min() >= 0.7 and out.max() <= 1
    assert not lit[:, :, 24:40, 24:40].any()


def test_aspect_keeps_the_area_and_stretches_as_drawn() -> None:
    image = torch.zeros(1, 1, 200, 200)
    image[:, :, 70:130, 70:130] = 1
    stretched = OFF.model_copy(update={"scanner": ScannerSettings(**{**STILL, "aspect": math.log(1.44)})})
    machine = torch.full((1, len(scanner.DRAWS) + scanner.MARKS), 0.5)
    machine[0, scanner.DRAWS.index("aspect")] = 1.0
    out = apply(image, stretched, torch.cat([draws(), machine], dim=1))[0, 0]
    assert out.sum().item() == pytest.approx(3600, rel=0.02)
    wide, high = ((out.sum(axis) > 30).sum().item() for axis in (0, 1))
    assert (wide, high) == (pytest.approx(72, abs=1), pytest.approx(50, abs=1))


def test_a_scanner_draws_after_all_else_and_keeps_shape_and_range() -> None:
    images = noise(4)
    with_machine = AugmentSettings(
        scanner=ScannerSettings(blur=0.0, gamma=0.0, aspect=0.0, collimation=0.0, letters=0.0)
    )
    torch.testing.assert_close(
        augment(images, with_machine, generator(9)), augment(images, AugmentSettings(), generator(9)), atol=1e-5, rtol=0
    )
    out = augment(images, AugmentSettings(scanner=ScannerSettings()), generator(9))
    assert out.shape == images.shape and out.min() >= 0 and out.max() <= 1 and out.dtype == torch.float32

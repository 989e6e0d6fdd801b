"""Augmentation against independent implementations and by its invariants."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision.transforms.v2.functional as TF
from augmented import OFF, draws, generator, noise, only, smooth
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from torch import Tensor

from al_cxr.config import AugmentSettings
from al_cxr.data.augment import apply, augment


def test_everything_off_changes_nothing() -> None:
    images = noise()
    assert torch.equal(augment(images, OFF, generator()), images)


def test_the_middle_of_every_range_is_the_identity_through_the_interpolation_too() -> None:
    images = noise()
    torch.testing.assert_close(
        apply(images, AugmentSettings(crop_scale=(0.5, 1.0)), draws(4)), images, atol=2e-5, rtol=0
    )


def test_flip_with_probability_one_is_torch_flip() -> None:
    images = noise()
    assert torch.equal(augment(images, only(horizontal_flip=1), generator()), images.flip(-1))
    mapped = apply(images, only(horizontal_flip=1, rotation=10), draws(4, flip=0))  # through the interpolation
    torch.testing.assert_close(mapped, images.flip(-1), atol=2e-5, rtol=0)


def test_half_of_the_images_are_flipped() -> None:
    images = noise(1).repeat(400, 1, 1, 1)
    out = augment(images, only(horizontal_flip=0.5), generator())
    flipped = (out == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(out[~flipped], images[~flipped])
    assert 150 < flipped.sum() < 250  # 5 sd


@pytest.mark.parametrize("draw", [0.0, 0.8, 1.0])
def test_rotation_agrees_with_scipy(draw: float) -> None:
    image = noise(1, 48)
    angle = (2 * draw - 1) * 30
    ours = apply(image, only(rotation=30), draws(angle=draw))[0, 0]
    theirs = torch.from_numpy(scipy.ndimage.rotate(image[0, 0].numpy(), angle, reshape=False, order=1))
    inside = (slice(14, 34), slice(14, 34))  # scipy treats the edge pixels in its own way
    torch.testing.assert_close(ours[inside], theirs[inside], atol=1e-4, rtol=0)


def test_rotation_pads_with_black() -> None:
    out = apply(torch.ones(1, 1, 32, 32), only(rotation=45), draws(angle=1.0))[0, 0]
    assert out[0, 0] == out[0, -1] == out[-1, 0] == out[-1, -1] == 0
    torch.testing.assert_close(out[8:24, 8:24], torch.ones(16, 16))


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -5), (-2, 4)])
def test_translation_by_whole_pixels_is_a_shift(right: int, down: int) -> None:
    image, size = noise(1, 32), 32
    largest = 8 / size
    shift_x, shift_y = (0.5 + 0.5 * n / 8 for n in (right, down))
    ours = apply(image, only(translation=largest), draws(shift_x=shift_x, shift_y=shift_y))[0, 0].numpy()
    theirs = scipy.ndimage.shift(image[0, 0].numpy(), (down, right), order=0, cval=0)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_crop_of_a_quarter_shows_that_quarter_and_nothing_else() -> None:
    image = noise(1, 64)
    for x, y in [(0, 0), (1, 0), (0.5, 1)]:
        ours = apply(image, only(crop_scale=(0.25, 0.25)), draws(crop_x=x, crop_y=y))[0, 0]
        left, top = int(32 * x), int(32 * y)
        crop = image[:, :, top : top + 32, left : left + 32]
        theirs = torch.nn.functional.interpolate(crop, size=64, mode="bilinear", align_corners=False)[0, 0]
        torch.testing.assert_close(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=2e-5, rtol=0)


def test_crop_areas_are_uniform_in_their_range() -> None:
    """Counted on an image whose value is its column: the spread between two columns is the side of the crop."""
    ramp = ((torch.arange(32) + 0.5) / 32).expand(2000, 1, 32, 32)
    out = augment(ramp, only(crop_scale=(0.3, 0.8)), generator())
    area = ((out[:, 0, 16, 20] - out[:, 0, 16, 10]) * 32 / 10) ** 2
    assert 0.3 - 1e-3 < area.min() < 0.31
    assert 0.79 < area.max() < 0.8 + 1e-3
    assert abs(area.mean() - 0.55) < 0.02


def test_one_map_is_the_chain_of_the_steps() -> None:
    image = smooth()
    values = {"flip": 0.0, "angle": 0.9, "shift_x": 0.8, "shift_y": 0.1, "area": 0.2, "crop_x": 0.7, "crop_y": 0.4}
    ranges = {"horizontal_flip": 1.0, "rotation": 25.0, "translation": 0.1, "crop_scale": (0.6, 1.0)}
    numbers = draws(1, **values)
    once = apply(image, only(**ranges), numbers)
    step = image
    for name in ranges:
        step = apply(step, only(**{name: ranges[name]}), numbers)
    assert (once - image).abs().max() > 0.3  # or there is nothing to compare
    torch.testing.assert_close(once, step, atol=0.02, rtol=0)


def test_geometry_agrees_with_torchvision_affine() -> None:
    image = noise(1, 40)
    ours = apply(image, only(rotation=20, translation=0.2), draws(angle=0.1, shift_x=0.75, shift_y=0.0))
    theirs = TF.affine(
        image, angle=16, translate=[4, -8], scale=1, shear=[0, 0], interpolation=TF.InterpolationMode.BILINEAR
    )
    inside = (..., slice(2, 28), slice(8, 38))
    torch.testing.assert_close(ours[inside], theirs[inside], atol=5e-5, rtol=0)


@pytest.mark.parametrize("draw", [0.0, 0.3, 1.0])
def test_brightness_and_contrast_agree_with_torchvision(draw: float) -> None:
    images, factor = noise(), 1 + 0.6 * (2 * draw - 1)
    brighter = apply(images, only(brightness=0.6), draws(4, brightness=draw))
    torch.testing.assert_close(brighter, TF.adjust_brightness(images, factor), atol=1e-6, rtol=0)
    sharper = apply(images, only(contrast=0.6), draws(4, contrast=draw))
    torch.testing.assert_close(sharper, TF.adjust_contrast(images, factor), atol=1e-6, rtol=0)
    dim = 0.5 * images  # so that brightness does not reach 1 and torchvision's clamp in between does nothing
    both = apply(dim, only(brightness=0.6, contrast=0.6), draws(4, brightness=draw, contrast=1 - draw))
    theirs = TF.adjust_contrast(TF.adjust_brightness(dim, factor), 2 - factor)
    torch.testing.assert_close(both, theirs, atol=1e-6, rtol=0)


STRONG = AugmentSettings(rotation=180, translation=0.5, crop_scale=(0.05, 1.0), brightness=1, contrast=1)


@effort(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 40), st.booleans())
def test_shape_type_and_range_hold_and_the_input_is_left_alone(seed: int, batch: int, size: int, extreme: bool) -> None:
    images = noise(batch, size, seed % 1000)
    images = images.round() if extreme else images
    before = images.clone()
    out = augment(images, STRONG, generator(seed))
    assert out.shape == images.shape and out.dtype == torch.float32
    assert out.min() >= 0 and out.max() <= 1
    assert torch.equal(images, before)


def test_equal_images_in_a_batch_come_out_different() -> None:
    image = smooth(32)
    alone = [only(rotation=20), only(translation=0.1), only(crop_scale=(0.5, 1.0)), only(brightness=0.2)]
    for settings in [*alone, only(contrast=0.2)]:
        out = augment(image.repeat(8, 1, 1, 1), settings, generator())
        assert len(torch.unique(out.flatten(1), dim=0)) == 8, settings


def test_equal_generators_give_equal_bits() -> None:
    images = noise(16)
    first = augment(images, AugmentSettings(), generator(5))
    assert torch.equal(first, augment(images, AugmentSettings(), generator(5)))
    assert not torch.equal(first, augment(images, AugmentSettings(), generator(6)))


def test_the_generator_moves_on_alike_whatever_is_on() -> None:
    one, other = generator(3), generator(3)
    augment(noise(5), OFF, one)
    augment(noise(5), STRONG, other)
    assert torch.equal(one.get_state(), other.get_state())


def test_torch_global_random_state_is_not_touched() -> None:
    before = torch.get_rng_state()
    augment(noise(), AugmentSettings(), generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    images = noise(6)
    others = noise(6, seed=1)
    others[2] = images[2]
    first, second = (augment(x, AugmentSettings(), generator()) for x in (images, others))
    assert torch.equal(first[2], second[2])
    assert not torch.equal(first[3], second[3])


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 32, 32), torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 30), torch.zeros(2, 1, 8, 8).double()],
)
def test_other_shapes_and_types_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"float32 \(B, 1, S, S\)"):
        augment(images, AugmentSettings(), generator())


def test_a_crop_of_more_than_the_image_shrinks_it_into_a_black_frame() -> None:
    out = apply(torch.ones(1, 1, 40, 40), only(crop_scale=(1.5625, 1.5625)), draws())[0, 0]  # a side of 1.25
    assert (out[:3] == 0).all() and (out[:, -3:] == 0).all() and out[20, 20] == 1
    assert out.mean().item() == pytest.approx(1 / 1.5625, rel=0.02)

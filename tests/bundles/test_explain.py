"""Where a network looked: independent references, and what a map must and must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from al_cxr import models
from al_cxr.bundles.explain import attention_rollout, explanation_maps, grad_cam
from al_cxr.core.errors import UserError
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.report.overlay import MAP, OPACITY, overlay, save_overlay

SIDE = 64
OPTIONS: dict[str, dict[str, object]] = {
    "cnn": {"width": 0.06},
    "cnn2": {},
    "cnn_bn": {},
    "cnn_se": {"width": 0.25},
    "resnet18": {},
    "rnn": {"width": 0.06},
    "vit": {"patch": 12, "dim": 24, "depth": 3, "heads": 2},
}


def build(arch: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return models.build(arch, 1, 3, SIDE, OPTIONS[arch])


def radiographs(count: int = 4) -> Tensor:
    images = PhantomImages(count, seed=3, difficulty=0.0)
    pixels = np.stack([images.read(i, SIDE)[0] for i in range(count)])
    return torch.from_numpy(pixels)[:, None].float() / 127.5 - 1


@pytest.mark.parametrize("arch", OPTIONS)
def test_a_map_is_an_image_wide_share_and_the_network_stays_as_it_was(arch: str) -> None:
    model = build(arch).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():  # as where images come from
        images = radiographs()
    maps = explanation_maps(model, images, 1)
    assert maps.shape == (4, SIDE, SIDE) and maps.dtype == torch.float32 and not maps.requires_grad
    assert maps.min() >= 0
    largest = maps.amax(dim=(1, 2))
    assert torch.all((largest == 1) | (largest == 0)) and (largest == 1).any()
    assert torch.equal(maps, explanation_maps(model, images, 1)), "dropout was on"
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("arch", ["cnn", "rnn", "vit"])
def test_each_image_may_be_explained_for_a_class_of_its_own(arch: str) -> None:
    model, images, targets = build(arch), radiographs(3), [2, 0, 1]
    together = explanation_maps(model, images, torch.tensor(targets))
    for i, target in enumerate(targets):
        torch.testing.assert_close(
            together[i : i + 1], explanation_maps(model, images[i : i + 1], target), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("arch", OPTIONS)
def test_an_image_is_explained_alone_as_in_company(arch: str) -> None:
    model, images = build(arch), radiographs()
    torch.testing.assert_close(
        explanation_maps(model, images, 2)[1:2], explanation_maps(model, images[1:2], 2), atol=1e-4, rtol=0
    )


def test_grad_cam_is_the_formula_of_the_paper() -> None:
    """On a network whose last feature maps and gradient can be written down: mean pooling and a linear layer."""
    torch.manual_seed(1)
    body = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1, stride=8), nn.ReLU())
    head = nn.Linear(5, 3)
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).requires_grad_(False)
    images = radiographs(3)
    features_BKhw = body(images)
    # The gradient of logit c by each of the h x w values of map k is W[c, k] / (h w), the same everywhere.
    weights_K = head.weight[2] / features_BKhw[0, 0].numel()
    expected = torch.relu((weights_K[:, None, None] * features_BKhw).sum(dim=1))
    expected = nn.functional.interpolate(expected[:, None], (SIDE, SIDE), mode="bilinear")[:, 0]
    torch.testing.assert_close(grad_cam(model, images.clone(), 2), expected)


@pytest.mark.parametrize(
    ("arch", "layer"), [("cnn", "features.4.2"), ("cnn2", "4"), ("cnn_se", "features.4"), ("resnet18", "layer4")]
)
def test_grad_cam_reads_what_the_last_convolution_comes_to(arch: str, layer: str) -> None:
    """After its normalisation, ReLU, gates and residual sum, before pooling; by autograd as the reference."""
    model, images, seen = build(arch).eval(), radiographs(2), []
    hook = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits = model(images)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), seen)
    expected = torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * seen[0]).sum(dim=1, keepdim=True))
    expected = nn.functional.interpolate(expected, (SIDE, SIDE), mode="bilinear")[:, 0]
    torch.testing.assert_close(grad_cam(model, images, 1), expected.detach())


def test_rollout_is_the_product_of_the_layers() -> None:
    model, images = build("vit").eval(), radiographs(2)
    attention = model.attention(images).detach().numpy().astype(np.float64)  # (B, L, heads, N, N)
    side, padded = 6, 72  # 64 px in patches of 12, padded at the right and the bottom
    for b in range(2):
        rollout = np.eye(attention.shape[-1])
        for layer in attention[b].mean(axis=1):
            mixed = layer + np.eye(len(layer))
            rollout = mixed / mixed.sum(axis=1, keepdims=True) @ rollout
        assert rollout.sum(axis=1) == pytest.approx(1)
        grid = torch.from_numpy(rollout[0, 1:].reshape(1, 1, side, side))
        whole = nn.functional.interpolate(grid, (padded, padded), mode="bilinear")[0, 0, :SIDE, :SIDE]
        np.testing.assert_allclose(attention_rollout(model, images)[b].numpy(), whole.numpy(), rtol=1e-4)


def test_a_row_is_as_bright_as_its_attention() -> None:
    model, images = build("rnn").eval(), radiographs(2)
    weights = model.attention(images)
    maps = explanation_maps(model, images, 0)
    torch.testing.assert_close(maps, (weights / weights.amax(1, keepdim=True))[:, :, None].expand(-1, -1, SIDE))


def test_networks_without_a_map_are_refused() -> None:
    tokens = nn.Sequential(
        nn.Conv2d(1, 8, 16, stride=16), nn.Flatten(2), nn.Linear(16, 4), nn.Flatten(), nn.Linear(32, 3)
    )
    for model in (models.build("mlp", 1, 3, SIDE, {}), tokens):
        with pytest.raises(UserError, match="no map to show"):
            explanation_maps(model, radiographs(1), 0)


def lesions(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 1, S, S) of noise, half of them with one bright blob; labels; where the blob is."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(count, 1, SIDE, SIDE, generator=generator)
    centre = torch.randint(14, SIDE - 14, (count, 2), generator=generator)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    distance = (y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2
    labels = torch.arange(count) % 2
    blob = torch.exp(-distance / 50.0)
    return images + 2 * labels[:, None, None, None] * blob[:, None], labels, blob > 0.5


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network that has learnt to see the blobs: the map of one that sees nothing cannot be judged."""
    torch.manual_seed(0)
    model = models.build("cnn2", 1, 2, SIDE, {"width": 0.5})
    images, labels, _ = lesions(64, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    images, labels, _ = lesions(40, seed=2)
    assert (model(images).argmax(1) == labels).float().mean() > 0.9
    return model


def test_the_map_of_a_lesion_lies_on_the_lesion(trained: nn.Module) -> None:
    images, labels, inside = lesions(40, seed=2)
    maps, ill = explanation_maps(trained, images, 1), labels == 1
    brightness = torch.stack(
        [(m[i].mean() / m.mean().clamp(min=1e-9)) for m, i in zip(maps[ill], inside[ill], strict=True)]
    )
    assert maps[ill].flatten(1).std(dim=1).min() > 0.01, "a map is constant"
    assert brightness.median() > 2, "the map is no brighter on the lesion than elsewhere"


@pytest.mark.parametrize("arch", ["trained", "rnn", "vit"])
def test_randomised_weights_change_the_map(arch: str, trained: nn.Module) -> None:
    """The sanity check of Adebayo et al. 2018: a map that survives random weights is an edge detector."""
    images = lesions(40, seed=2)[0] if arch == "trained" else radiographs(6)
    model = trained if arch == "trained" else build(arch, seed=0)
    correlations = []
    for seed in range(1, 4):
        torch.manual_seed(seed)
        other = models.build("cnn2", 1, 2, SIDE, {"width": 0.5}) if arch == "trained" else build(arch, seed)
        pairs = zip(explanation_maps(model, images, 1), explanation_maps(other, images, 1), strict=True)
        correlations += [spearmanr(a.flatten(), b.flatten()).statistic for a, b in pairs if a.std() > 0 and b.std() > 0]
    assert len(correlations) >= 10
    assert abs(np.mean(correlations)) < 0.5


def test_overlay_leaves_the_image_where_the_map_is_zero_and_colours_it_where_it_is_one() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(overlay(image, np.zeros((16, 16))), np.repeat(image[..., None], 3, axis=2))
    expected = (1 - OPACITY) * image[..., None] + OPACITY * 255 * np.array(MAP(1.0)[:3])
    assert np.abs(overlay(image, np.ones((16, 16))) - expected).max() <= 0.5
    with pytest.raises(ValueError, match="uint8"):
        overlay(image.astype(float), np.zeros((16, 16)))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        overlay(image, np.full((16, 16), np.nan))


def test_the_colours_are_perceptually_uniform() -> None:
    """Lightness (CIE L*) of the map rises all the way, in nearly equal steps."""
    rgb = np.array([MAP(v)[:3] for v in np.linspace(0.05, 1, 20)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert steps.min() > 0 and steps.max() < 2 * np.median(steps)


def test_overlay_figures_are_the_same_bytes_every_time(tmp_path) -> None:
    image, shown = np.full((32, 32), 90, np.uint8), np.linspace(0, 1, 1024).reshape(32, 32)
    files = [save_overlay(tmp_path / f"{i}.png", image, shown, "a$b$.png", "P 0.5", "stamp") for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()

"""Networks that cannot be sampled faithfully are refused with what is wrong, and left as they were."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from random_networks import NETWORKS, Always, Functional, Twice, assert_same_state, conv_with, encoder, state
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.sampling.masks import Masks
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.sampling.sites import find_sites
from al_cxr.sampling.stochastic import refusing_randomness, sampling


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", [nn.Flatten(1), conv_with(nn.Dropout(0.0)), Functional(0.0), Functional(1.0)])
def test_nothing_random(model: nn.Module, images: Tensor) -> None:
    with pytest.raises(NoRandomSite, match="such as entropy"):
        find_sites(model, images)
    assert issubclass(NoRandomSite, UserError)


def test_a_dropout_of_zero_does_not_count_beside_another(images: Tensor) -> None:
    model = nn.Sequential(nn.Dropout(0.0), nn.Flatten(1), nn.Dropout(0.5))
    assert [s.module for s in find_sites(model, images)] == ["2"]


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + torch.randn_like(x) if self.training else x).flatten(1)


@pytest.mark.parametrize(("layer", "op"), [(Noise(), "randn_like"), (nn.RReLU(), "rrelu_with_noise")])
def test_unknown_random_operator(layer: nn.Module, op: str, images: Tensor) -> None:
    model = nn.Sequential(nn.Dropout(0.5), layer)
    random_state = torch.get_rng_state()
    with pytest.raises(SamplingError, match=rf"^1 draws with aten.{op}"):
        find_sites(model, images)
    assert torch.equal(torch.get_rng_state(), random_state)


class FunctionalNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(x, torch.zeros(1), torch.ones(1), training=self.training)
        return F.dropout(x, 0.5, self.training).flatten(1)


class StaleNorm(nn.Module):
    """Keeps statistics of its own in its own forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += x.mean()
        return F.dropout(x, 0.5, self.training).flatten(1)


@pytest.mark.parametrize("model", [FunctionalNorm(), conv_with(nn.Dropout(0.5)).append(nn.Flatten(1))])
def test_batch_statistics_are_refused(model: nn.Module, images: Tensor) -> None:
    if isinstance(model, nn.Sequential):
        model[1] = nn.BatchNorm2d(8, track_running_stats=False)
    before = state(model)
    with (
        pytest.raises(SamplingError, match="statistics of the batch"),
        sampling(model, find_sites(model, images), Masks(0)) as sampler,
    ):
        sampler.run(images, 0)
    assert_same_state(model, before)


def test_instance_norm_is_no_batch_norm(images: Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.Dropout(0.5), nn.Flatten(1))
    with sampling(model, find_sites(model, images), Masks(0)) as sampler:
        sampler.verify(images, 5)


def test_changed_buffers_are_an_error_and_restored(images: Tensor) -> None:
    model = StaleNorm()
    with (
        pytest.raises(SamplingError, match="changed the buffers seen"),
        sampling(model, find_sites(model, images), Masks(0)) as sampler,
    ):
        sampler.run(images, 0)
    assert model.seen.item() == 0


class Skips(nn.Module):
    """Draws on the word of a module that is not its own."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, self.other.training).flatten(1)


def test_a_site_that_does_not_fire(images: Tensor) -> None:
    model = Skips()
    with (
        pytest.raises(SamplingError, match="drew nothing in a pass"),
        sampling(model, find_sites(model, images), Masks(0)) as sampler,
    ):
        sampler.run(images, 0)


def test_a_site_too_many_or_another_shape(images: Tensor) -> None:
    model = Twice()
    sites = find_sites(model, images)
    with (
        pytest.raises(SamplingError, match="no further draw"),
        sampling(model, sites[:1], Masks(0)) as sampler,
    ):
        sampler.run(images, 0)
    wide = conv_with(nn.Dropout(0.5))
    with (
        pytest.raises(SamplingError, match="was drawn instead"),
        sampling(wide, find_sites(wide, images), Masks(0)) as sampler,
    ):
        sampler.run(torch.zeros(2, 1, 9, 9), 0)
    with pytest.raises(NoRandomSite), sampling(model, (), Masks(0)):
        pass


class Mixes(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.drop = how, nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "mean":
            return self.drop(x.flatten(1) - x.mean())
        rows = x[:, 0].transpose(0, 1)  # (time, batch, width), then time-major rows of one batch axis
        return self.drop(rows.reshape(-1, 8)).reshape(8, -1, 8).transpose(0, 1).flatten(1)


@pytest.mark.parametrize("how", ["mean", "time-major fold"])
def test_an_image_that_depends_on_its_neighbours(how: str, images: Tensor) -> None:
    model = Mixes(how)
    with (
        pytest.raises(SamplingError, match="depends on its neighbours"),
        sampling(model, find_sites(model, images), Masks(0)) as sampler,
    ):
        sampler.verify(images, 5)


class Ignores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x).flatten(1) * 0 + x.flatten(1)


def test_identical_passes(images: Tensor) -> None:
    model = Ignores()
    with (
        pytest.raises(SamplingError, match="all 4 Monte-Carlo passes give identical outputs"),
        sampling(model, find_sites(model, images), Masks(0)) as sampler,
    ):
        sampler.verify(images, 4)


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.fail = conv_with(nn.Dropout(0.5)), False

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        if self.fail:
            raise RuntimeError("out of luck")
        return x


def test_an_exception_leaves_no_trace(images: Tensor) -> None:
    model = Fails().train()
    sites = find_sites(model, images)
    model.fail = True
    before, grad, cudnn = state(model), torch.is_grad_enabled(), torch.backends.cudnn.enabled
    with pytest.raises(RuntimeError, match="out of luck"), sampling(model, sites, Masks(0)) as sampler:
        sampler.run(images, 0)
    with pytest.raises(RuntimeError, match="out of luck"):
        find_sites(model, images)
    assert_same_state(model, before)
    assert (torch.is_grad_enabled(), torch.backends.cudnn.enabled) == (grad, cudnn)
    model.fail = False
    with sampling(model, sites, Masks(0)) as sampler:
        sampler.verify(images, 5)


def test_randomness_in_eval_mode_is_refused_where_it_must_not_be(images: Tensor) -> None:
    with pytest.raises(SamplingError, match="no deterministic prediction"), refusing_randomness(Always()):
        Always()(images)
    for name in ("dropout", "lstm batch first", "attention fused", "encoder norm_first=False batch_first=True"):
        model = NETWORKS[name][0]().eval()
        with torch.no_grad(), refusing_randomness(model):
            model(images)
    attention = encoder(False, True).eval()
    with refusing_randomness(attention):
        attention(images)  # fused attention is marked random even where its dropout is 0


def test_models_are_not_shared_with_the_search(images: Tensor) -> None:
    model = conv_with(nn.Dropout(0.3))
    twin = copy.deepcopy(model)
    find_sites(model, images)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True))

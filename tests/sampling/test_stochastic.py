"""Random sites are found in any network, sampled alone, and leave no trace."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.ops import DropBlock2d, StochasticDepth

from al_cxr.core.errors import UserError
from al_cxr.sampling.masks import Masks
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.sampling.sites import find_sites
from al_cxr.sampling.stochastic import refusing_randomness, sampling


class Functional(nn.Module):
    """Draws in its own forward, and has batch-norm children."""

    def __init__(self, p: float = 0.4) -> None:
        super().__init__()
        self.p, self.conv, self.norm = p, nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(torch.relu(self.norm(self.conv(x))), self.p, training=self.training).flatten(1)


class Always(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x.flatten(1), 0.3, training=True)


class Rows(nn.Module):
    """Image rows as a sequence, for recurrent and attention modules of either layout."""

    def __init__(self, inner: nn.Module, batch_first: bool) -> None:
        super().__init__()
        self.inner, self.batch_first = inner, batch_first

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, 0] if self.batch_first else x[:, 0].transpose(0, 1)
        if isinstance(self.inner, nn.MultiheadAttention):
            out = self.inner(rows, rows, rows, need_weights=self.inner.num_heads == 2)[0]
        else:
            out = self.inner(rows)
        out = out[0] if isinstance(out, tuple) else out
        return (out if self.batch_first else out.transpose(0, 1)).flatten(1)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop, self.a, self.b = nn.Dropout(0.5), nn.Linear(64, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.drop(self.a(self.drop(x.flatten(1)))))


class Native(nn.Module):
    """The operator that F.dropout becomes on a GPU, and masks from torch.bernoulli."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.native_dropout(x, 0.3, self.training)[0]
        return (x * torch.bernoulli(torch.full_like(x, 0.6)) if self.training else x).flatten(1)


class Residual(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.conv, self.depth = nn.Conv2d(1, 1, 3, padding=1), StochasticDepth(0.5, mode)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.depth(self.conv(x))).flatten(1)


def conv_with(layer: nn.Module, flat: bool = False) -> nn.Module:
    head = [nn.Flatten(2)] if flat else []
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *head, layer, nn.Flatten(1))


def volume(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Unflatten(2, (2, 3)), layer, nn.Flatten(1))


def resnet_with_dropout() -> nn.Module:
    net = resnet18(num_classes=3)
    net.conv1 = nn.Conv2d(1, 64, 7, 2, 3)
    net.fc = nn.Sequential(nn.Dropout(0.5), net.fc)
    return net


def encoder(norm_first: bool, batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, norm_first=norm_first, batch_first=batch_first)
    return Rows(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), batch_first)


RNN = {"hidden_size": 6, "num_layers": 3, "dropout": 0.3, "bidirectional": True}
NETWORKS = {
    "dropout": (lambda: conv_with(nn.Dropout(0.3)), ["3"]),
    "dropout in place": (lambda: conv_with(nn.Dropout(0.3, inplace=True)), ["3"]),
    "dropout1d": (lambda: conv_with(nn.Dropout1d(0.3), flat=True), ["4"]),
    "dropout2d": (lambda: conv_with(nn.Dropout2d(0.3)), ["3"]),
    "dropout3d": (lambda: volume(nn.Dropout3d(0.3)), ["2"]),
    "alpha": (lambda: conv_with(nn.AlphaDropout(0.3)), ["3"]),
    "feature alpha": (lambda: conv_with(nn.FeatureAlphaDropout(0.3)), ["3"]),
    "functional": (lambda: nn.Sequential(Functional()), ["0"]),
    "functional at the top": (Functional, [""]),
    "always": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Always()), ["1"]),
    "lstm batch first": (lambda: Rows(nn.LSTM(8, batch_first=True, **RNN), True), ["inner"] * 2),
    "lstm time first": (lambda: Rows(nn.LSTM(8, **RNN), False), ["inner"] * 2),
    "gru batch first": (lambda: Rows(nn.GRU(8, batch_first=True, **RNN), True), ["inner"] * 2),
    "gru time first": (lambda: Rows(nn.GRU(8, **RNN), False), ["inner"] * 2),
    "attention with weights": (
        lambda: Rows(nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True), True),
        ["inner"],
    ),
    "attention time first": (lambda: Rows(nn.MultiheadAttention(8, 2, dropout=0.3), False), ["inner"]),
    "attention fused": (lambda: Rows(nn.MultiheadAttention(8, 4, dropout=0.3, batch_first=True), True), ["inner"]),
    "depth row": (lambda: Residual("row"), ["depth"]),
    "depth batch": (lambda: Residual("batch"), ["depth"]),
    "drop block": (lambda: conv_with(DropBlock2d(0.3, 3)), ["3"]),
    "resnet": (resnet_with_dropout, ["fc.0"]),
    "one module at two places": (Twice, ["drop", "drop"]),
    "other operators": (Native, ["", ""]),
    **{
        f"encoder norm_first={norm} batch_first={batch}": (
            lambda norm=norm, batch=batch: encoder(norm, batch),
            [f"inner.layers.{i}.{name}" for i in (0, 1) for name in ("self_attn", "dropout1", "dropout", "dropout2")],
        )
        for norm in (False, True)
        for batch in (False, True)
    },
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny networks: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def state(model: nn.Module) -> tuple[dict[str, bool], dict[str, Tensor], bool]:
    flags = {name: m.training for name, m in model.named_modules()}
    return flags, {k: v.clone() for k, v in model.state_dict().items()}, torch.backends.mha.get_fastpath_enabled()


def assert_same_state(model: nn.Module, before: tuple[dict[str, bool], dict[str, Tensor], bool]) -> None:
    flags, tensors, fast = state(model)
    assert (flags, fast) == (before[0], before[2])
    assert all(torch.equal(tensors[k], v) for k, v in before[1].items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_site(name: str, images: Tensor) -> None:
    torch.manual_seed(1)
    make, owners = NETWORKS[name]
    model = make()
    model.train()
    next(m for m in model.modules() if not list(m.children())).eval()  # an uneven state has to come back too
    before, random_state = state(model), torch.get_rng_state()

    sites = find_sites(model, images)
    assert [s.module for s in sites] == owners
    assert [s.position for s in sites] == list(range(len(sites)))
    assert_same_state(model, before)

    with sampling(model, sites, Masks(3, 1)) as sampler:
        owner_modules = [model.get_submodule(m) for m in owners]
        assert {m for m in model.modules() if m.training} == set(owner_modules)
        sampler.verify(images, 20)
        passes = [sampler.run(images, t) for t in range(6)]
        assert any(not torch.equal(passes[0], p) for p in passes[1:])
        assert torch.equal(passes[2], sampler.run(images, 2)), "a pass is a function of its number"
        alone = torch.cat([sampler.run(images[i : i + 1], 2) for i in range(len(images))])
        torch.testing.assert_close(alone, passes[2], rtol=1e-5, atol=1e-5)
        order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
        torch.testing.assert_close(sampler.run(images[order], 2), passes[2][order], rtol=1e-5, atol=1e-5)
    with sampling(model, sites, Masks(3, 1)) as sampler:
        assert torch.equal(sampler.run(images, 2), passes[2]), "and of the seed and the round alone"
    with sampling(model, sites, Masks(3, 2)) as sampler:
        assert any(not torch.equal(sampler.run(images, t), passes[t]) for t in range(6))
    assert_same_state(model, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_sites_tell_what_they_are(images: Tensor) -> None:
    (site,) = find_sites(conv_with(nn.Dropout2d(0.25)), images)
    assert (site.keep, site.shape, site.batch_dim) == (0.75, (1, 8, 1, 1), 0)
    assert str(site) == "3: aten.bernoulli_.float, keep 0.75, mask 1x8x1x1"
    time_major = find_sites(Rows(nn.LSTM(8, batch_first=True, **RNN), True), images)
    assert {(s.shape, s.batch_dim) for s in time_major} == {((8, 1, 12), 1)}
    (heads,) = find_sites(Rows(nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True), True), images)
    assert (heads.shape, heads.batch_dim) == ((2, 8, 8), 0)
    (shared,) = find_sites(Residual("batch"), images)
    assert shared.batch_dim is None
    a, b = find_sites(Twice(), images)
    assert (a.shape, b.shape) == ((1, 64), (1, 16))


def test_sites_of_one_example_image_and_of_an_inference_tensor(images: Tensor) -> None:
    model = conv_with(nn.Dropout(0.3))
    with torch.inference_mode():
        inference = images[:1].clone()
        assert find_sites(model, inference) == find_sites(model, images)
        with sampling(model, find_sites(model, inference), Masks(0)) as sampler:
            sampler.verify(inference, 5)


def test_fast_path_of_the_transformer_would_drop_the_dropout(images: Tensor) -> None:
    """The reason for all this: with every dropout on, two plain passes of an encoder in eval mode are equal."""
    model = encoder(False, True).eval()
    for m in model.modules():
        m.training = isinstance(m, nn.Dropout)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
    with sampling(model, find_sites(model, images), Masks(0)) as sampler:
        assert not torch.backends.mha.get_fastpath_enabled()
        assert not torch.equal(sampler.run(images, 0), sampler.run(images, 1))
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_pass_is_plain_dropout_with_one_mask_for_all(images: Tensor) -> None:
    model = Twice()
    first, second = find_sites(model, images)
    with sampling(model, (first, second), Masks(5, 2)) as sampler:
        got = sampler.run(images, 9)
    with torch.no_grad():
        hidden = model.a(images.flatten(1) * Masks(5, 2).of(first, 9) / 0.5)
        torch.testing.assert_close(got, model.b(hidden * Masks(5, 2).of(second, 9) / 0.5))


def test_the_operator_of_a_gpu_and_computed_probabilities(images: Tensor) -> None:
    model = Native()
    dropped, kept = find_sites(model, images)
    assert (dropped.op, kept.op, kept.keep) == ("aten.native_dropout.default", "aten.bernoulli.default", None)
    with sampling(model, (dropped, kept), Masks(5, 2)) as sampler:
        got = sampler.run(images, 9)
    want = images * Masks(5, 2).of(dropped, 9) / 0.7 * (Masks(5, 2).of(kept, 9) < 0.6)
    torch.testing.assert_close(got, want.flatten(1))


# ------------------------------------------------------------------------------------------------------------- refusals
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

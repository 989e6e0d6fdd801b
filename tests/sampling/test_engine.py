"""The fast passes are the plain ones: for every architecture, for every kind of site, in any batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import StochasticDepth

from al_cxr import models
from al_cxr.sampling import engine as engine_module
from al_cxr.sampling.engine import Sampling, engine
from al_cxr.sampling.graph import Uncuttable, cut
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.sampling.passes import monte_carlo, race_over
from al_cxr.sampling.race import Racing
from al_cxr.sampling.sites import find_sites
from al_cxr.sampling.thinning import thin

SIZE = 32
FIELDS = ("mean_probs_NC", "predictive_entropy_N", "expected_entropy_N", "variation_ratio_N", "mean_std_N")


def images(count: int = 9, channels: int = 1) -> Tensor:
    return torch.randn(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def batches(x: Tensor, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    for i in range(0, len(x), size):
        yield np.arange(i, min(i + size, len(x))), x[i : i + size]


def trained(net: nn.Module) -> nn.Module:
    """With batch-norm statistics that are neither 0 nor 1, and outputs that differ between images."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_()
    return net.eval()


def both(net: nn.Module, x: Tensor, passes: int = 4, head: bool = False, temperature: float = 1.0) -> tuple[str, float]:
    """The note of the fast engine, and its largest difference in any statistic from the plain loop."""
    hows = [Sampling(passes, 5, 1, head=head, fast=fast, temperature=temperature) for fast in (True, False)]
    results = [monte_carlo(net, batches(x, 4), how) for how in hows]
    worst = max(float(np.abs(getattr(results[0], f) - getattr(results[1], f)).max()) for f in FIELDS)
    assert results[0].sites == results[1].sites
    return results[0].sampling, worst


# -------------------------------------------------------------------------------------------------------- architectures
ARCHITECTURES: list[tuple[str, dict[str, Any], int]] = [
    ("cnn", {"width": 0.125}, 7),
    ("cnn", {"width": 0.125, "channel_dropout": False}, 3),
    ("cnn", {"width": 0.125, "convs_per_block": 2}, 7),
    ("cnn_bn", {"width": 0.25}, 1),
    ("cnn_se", {"width": 0.25}, 1),
    ("rnn", {"width": 0.0625}, 2),
    ("vit", {"patch": 8, "dim": 32, "depth": 2, "heads": 4}, 0),
    ("resnet18", {"head_dropout": 0.3}, 1),
]


@pytest.mark.parametrize(("arch", "options", "thinned"), ARCHITECTURES)
def test_every_architecture(arch: str, options: dict[str, Any], thinned: int) -> None:
    net = trained(models.build(arch, 1, 3, SIZE, options))
    note, worst = both(net, images())
    assert "operations once an image" in note and worst < 1e-5
    parts = cut(net, find_sites(net, images()))
    assert len(thin(parts).thin) == thinned


@pytest.mark.parametrize("arch", ["cnn", "rnn", "vit", "resnet18"])
def test_head_scope_samples_what_comes_after_the_last_mixing_of_positions(arch: str) -> None:
    options = next(o for a, o, _ in ARCHITECTURES if a == arch)
    net = trained(models.build(arch, 1, 3, SIZE, options))
    everything, head = (monte_carlo(net, batches(images(), 4), Sampling(4, 0, 0, head=only)) for only in (False, True))
    expected = {"cnn": 3, "rnn": 2, "vit": 3, "resnet18": 1}[arch]
    assert len(head.sites) == expected and head.sites == everything.sites[-expected:]
    assert both(net, images(), head=True)[1] < 1e-5
    if arch != "resnet18":
        assert np.abs(head.mean_std_N - everything.mean_std_N).max() > 1e-4


@pytest.mark.parametrize("head", [False, True])
def test_with_a_temperature_fast_passes_are_the_plain_ones_too(head: bool) -> None:
    net = trained(models.build("cnn", 1, 3, SIZE, {"width": 0.125}))
    note, worst = both(net, images(), head=head, temperature=0.3)
    assert "operations once an image" in note and worst < 1e-5


# ------------------------------------------------------------------------------------------------------- kinds of sites
class Functional(nn.Module):
    """Residual, in place, functional and module dropout, and a branch of stochastic depth."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.depth = StochasticDepth(0.5, "row")
        self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 3)
        self.last = nn.BatchNorm1d(16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)), True)
        x += self.depth(self.branch(x))
        x = F.dropout2d(x.relu_(), 0.3, self.training).mean((2, 3))
        x = self.last(self.one(x))
        return self.two(F.dropout(torch.relu(x), p=0.4, training=self.training))


class Sequence(nn.Module):
    """A stacked recurrence that draws between its layers."""

    def __init__(self, kind: Callable[..., nn.RNNBase], batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.rows = kind(SIZE, 6, num_layers=3, dropout=0.4, bidirectional=True, batch_first=batch_first)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1) if self.batch_first else x.squeeze(1).transpose(0, 1)
        states, last = self.rows(rows)
        last = last[0] if isinstance(last, tuple) else last
        return self.head(states.mean(1 if self.batch_first else 0)) + last.sum((0, 2))[:, None]


class Branching(nn.Module):
    """Looks at its values, so no graph can be made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(SIZE * SIZE, 3), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(x.flatten(1))
        return self.layer(x if x.sum() > 1e9 else x * 2)


def test_functional_in_place_and_stochastic_depth() -> None:
    net = trained(Functional())
    assert len(find_sites(net, images())) == 3
    note, worst = both(net, images(), passes=8)
    assert "3 sites" in note and worst < 1e-5


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrence_is_written_out(kind: Callable[..., nn.RNNBase], batch_first: bool) -> None:
    torch.manual_seed(0)
    note, worst = both(Sequence(kind, batch_first).eval(), images())
    assert "once an image" in note and worst < 1e-6


def test_a_network_without_a_graph_goes_the_plain_way_and_says_so() -> None:
    note, worst = both(Branching().eval(), images())
    assert note.startswith("plain passes, every operation in each: its forward cannot be traced") and worst == 0
    with pytest.raises(NoRandomSite, match="use scope: all"):
        monte_carlo(Branching().eval(), batches(images(), 4), Sampling(3, 0, 0, head=True))


def test_alpha_dropout_is_no_multiplication() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 8), nn.AlphaDropout(0.3), nn.Linear(8, 3)).eval()
    with pytest.raises(Uncuttable, match="random sites"):
        cut(net, find_sites(net, images()))
    assert both(net, images())[1] == 0


def test_no_site_in_the_head() -> None:
    net = nn.Sequential(nn.Dropout2d(0.5), nn.Conv2d(1, 3, SIZE), nn.Flatten()).eval()
    with pytest.raises(NoRandomSite, match="after the last convolution"):
        monte_carlo(net, batches(images(channels=1), 4), Sampling(3, 0, 0, head=True))


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """Convolutions in a row with whatever may stand between, then linear layers."""
    layers: list[nn.Module] = []
    channels, side = 1, SIZE
    for _ in range(draw(st.integers(1, 3))):
        out = draw(st.sampled_from([2, 3, 5]))
        layers.append(nn.Conv2d(channels, out, 3, padding=1, bias=draw(st.booleans())))
        channels = out
        kinds = ["norm", "relu", "gelu", "pool", "drop", "drop2d", "average"]
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=4)):
            if kind in ("pool", "average") and side < 4:
                continue
            side //= 2 if kind in ("pool", "average") else 1
            layers.append(
                {
                    "norm": partial(nn.BatchNorm2d, channels),
                    "relu": partial(nn.ReLU, inplace=True),
                    "gelu": nn.GELU,
                    "pool": partial(nn.MaxPool2d, 2),
                    "drop": partial(nn.Dropout, 0.4),
                    "drop2d": partial(nn.Dropout2d, 0.4),
                    "average": partial(nn.AvgPool2d, 2),
                }[kind]()
            )
    units = channels * side * side
    layers.append(nn.Flatten())
    for _ in range(draw(st.integers(0, 2))):
        layers += [nn.Linear(units, 6), draw(st.sampled_from([nn.ReLU, nn.GELU, nn.Tanh]))()]
        layers += draw(st.sampled_from([[], [nn.Dropout(0.5)], [nn.BatchNorm1d(6), nn.Dropout(0.5)]]))
        units = 6
    return trained(nn.Sequential(*layers, nn.Dropout(0.3), nn.Linear(units, 3)))


@settings(max_examples=40, deadline=None)
@given(networks())
def test_any_chain_of_layers(net: nn.Module) -> None:
    try:
        note, worst = both(net, images(5), passes=3)
    except SamplingError as error:  # all units behind a maximum of negative numbers are dead
        assert "identical outputs" in str(error)
        reject()
    assert "once an image" in note and worst < 1e-5


# ----------------------------------------------------------------------------------------------------- what makes it so
@pytest.mark.parametrize("memory", [1, 10**9])
def test_chunks_and_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    net = trained(models.build("cnn", 1, 3, SIZE, {"width": 0.125}))
    reference = monte_carlo(net, batches(images(), 9), Sampling(5, 0, 0))
    monkeypatch.setattr(engine_module, "MEMORY", memory)
    for size in (1, 2, 7):
        got = monte_carlo(net, batches(images(), size), Sampling(5, 0, 0))
        assert got.index_N.tolist() == list(range(9))
        for field in FIELDS:
            np.testing.assert_allclose(getattr(got, field), getattr(reference, field), atol=1e-6)


def test_the_deterministic_part_runs_once_and_dropped_channels_do_not_run_at_all() -> None:
    net = trained(models.build("cnn", 1, 3, SIZE, {"width": 0.25}))
    counted = {}
    for fast in (True, False):
        with FlopCounterMode(display=False) as flops, engine(net, images(), Sampling(10, 0, 0, fast=fast)) as sampled:
            before = flops.get_total_flops()
            for _, logits in sampled.run(batches(images(), 9), range(10)):
                assert len(list(logits)) == 10
            counted[fast] = flops.get_total_flops() - before
    # Two thirds of the channels remain on either side of a convolution.
    assert 0.4 < counted[True] / counted[False] < 0.65


def test_the_network_stays_as_it_was() -> None:
    net = trained(Functional()).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), engine(net, images(), Sampling(3, 0, 0)):
        raise RuntimeError("stop")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(m.training for m in net.modules()) and net.branch[2].inplace


def test_bfloat16_is_close() -> None:
    net = trained(models.build("cnn", 1, 3, SIZE, {"width": 0.125}))
    plain, half = (
        monte_carlo(net, batches(images(), 9), Sampling(5, 0, 0, dtype=d)) for d in (torch.float32, torch.bfloat16)
    )
    assert "bfloat16" in half.sampling
    np.testing.assert_allclose(half.mean_probs_NC, plain.mean_probs_NC, atol=0.05)


def test_a_race_and_when_there_is_none() -> None:
    """The same choice as all passes give; and no race where passes cost nothing beside the deterministic part."""
    x = images(60)

    def of(index: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        for i in range(0, len(index), 16):
            yield index[i : i + 16], x[torch.from_numpy(index[i : i + 16])]

    deep = trained(models.build("cnn", 1, 3, SIZE, {"width": 0.125}))
    shallow = trained(models.build("resnet18", 1, 3, SIZE, {"head_dropout": 0.3}))
    index, how = np.arange(60), Sampling(20, 0, 0, temperature=1.5)
    for net, runs in ((deep, True), (shallow, False)):
        everything = monte_carlo(net, of(index), how)
        got = race_over(net, index, of, how, Racing(10, error=0.0))
        assert got.sites == everything.sites and got.sampling == everything.sampling
        assert (got.passes_N is not None) == runs
        for field in FIELDS:
            np.testing.assert_allclose(getattr(got, field), getattr(everything, field), atol=1e-6)
    fewer = race_over(deep, index, of, how, Racing(10, error=0.5))
    assert fewer.passes_N is not None and fewer.passes_N.mean() < 20

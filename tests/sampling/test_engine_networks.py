"""Fast passes of every architecture and every kind of random site are the plain ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from fast_and_plain import FIELDS, SIZE, Functional, batches, images, trained
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from al_cxr import models
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.graph import Uncuttable, cut
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.sites import find_sites
from al_cxr.sampling.thinning import thin


def both(net: nn.Module, x: Tensor, passes: int = 4, head: bool = False, temperature: float = 1.0) -> tuple[str, float]:
    """The note of the fast engine, and its largest difference in any statistic from the plain loop."""
    hows = [Sampling(passes, 5, 1, head=head, fast=fast, temperature=temperature) for fast in (True, False)]
    results = [monte_carlo(net, batches(x, 4), how) for how in hows]
    worst = max(float(np.abs(getattr(results[0], f) - getattr(results[1], f)).max()) for f in FIELDS)
    assert results[0].sites == results[1].sites
    return results[0].sampling, worst


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

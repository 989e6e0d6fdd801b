"""Fast passes are the plain ones, whatever the chunks; and when there is a race."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fast_and_plain import FIELDS, SIZE, Functional, batches, images, trained
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from al_cxr import models
from al_cxr.sampling import engine as engine_module
from al_cxr.sampling.engine import Sampling, engine
from al_cxr.sampling.passes import monte_carlo, race_over
from al_cxr.sampling.race import Racing


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

"""Where a network is random: its random sites, found by running a copy of it in train mode.

The operators that it executes are watched, so functional dropout, the dropout between LSTM layers, attention dropout
and stochastic depth are found as well as dropout modules.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from al_cxr.sampling.masks import Site
from al_cxr.sampling.operators import DRAWS, NoRandomSite, SamplingError, Watch, called, callers
from al_cxr.sampling.stochastic import plain_kernels


def find_sites(model: nn.Module, example_B: Tensor) -> tuple[Site, ...]:
    """All random sites of a network, in the order of execution.

    `example_B` is an input batch (B, ...) of at least one image; only its shape and range matter. A copy of the network
    is run in train mode with two and with three images: the axis that grows is the batch. Neither the network nor
    torch's global random state changes. A dropout probability of 0 or 1 is not random and does not count, and neither
    does a module that is only run in training, as those of auxiliary classifiers are.

    Raises NoRandomSite where nothing is random, SamplingError for a random operator that is not a mask (torch.randn) or
    whose mask does not belong to images.
    """
    devices = sorted({p.get_device() for p in model.parameters() if p.is_cuda})
    found: list[list[tuple[str, str, float | None, tuple[int, ...]]]] = [[], []]

    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        copied = copy.deepcopy(model).train()
        stack.enter_context(plain_kernels(copied))
        running = stack.enter_context(callers(copied))
        for calls, size in zip(found, (2, 3), strict=True):

            def note(module: str, func: Any, given: dict[str, Any], calls: list[Any] = calls) -> Any:
                if func not in DRAWS:
                    raise SamplingError(
                        f"{called(module)} draws with {func}, which is no mask that could be shared by all images; "
                        "Monte-Carlo passes know dropout of every kind and Bernoulli masks (bernoulli_)"
                    )
                target, keep = DRAWS[func]
                calls.append((module, str(func), keep(given), tuple(given[target].shape)))
                return ...

            images = example_B[torch.arange(size, device=example_B.device) % len(example_B)]
            with Watch(running, note):
                copied(images)
        used = _modules_run(copied.eval(), images)

    if [c[:3] for c in found[0]] != [c[:3] for c in found[1]]:
        raise SamplingError("the network draws differently for two images than for three; its sites cannot be listed")
    pairs = [(two, three) for two, three in zip(*found, strict=True) if two[0] in used]
    if not pairs:
        raise NoRandomSite(
            f"nothing in this {type(model).__name__} is random, so Monte-Carlo passes would all be the same; choose an "
            "architecture with dropout, set its dropout above 0, or choose a strategy without passes, such as entropy"
        )
    return tuple(_site(i, two[0], two[1], two[2], two[3], three[3]) for i, (two, three) in enumerate(pairs))


def _modules_run(model: nn.Module, images_B: Tensor) -> set[str]:
    """The names of the modules whose forward runs for some images, in the mode in which the network is."""
    run: set[str] = set()
    handles = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: run.add(name))
        for name, module in model.named_modules()
    ]
    try:
        model(images_B)
    finally:
        for handle in handles:
            handle.remove()
    return run


def _site(i: int, module: str, op: str, keep: float | None, two: tuple[int, ...], three: tuple[int, ...]) -> Site:
    """A site from the shapes of its mask for two and for three images."""
    grows = [d for d, (a, b) in enumerate(zip(two, three, strict=False)) if a != b]
    if len(two) != len(three) or len(grows) > 1 or any(two[d] % 2 or two[d] // 2 * 3 != three[d] for d in grows):
        raise SamplingError(
            f"{called(module)} ({op}) draws a mask {two} for two images and {three} for three; no axis is the batch"
        )
    batch_dim = grows[0] if grows else None
    shape = tuple(n // 2 if d == batch_dim else n for d, n in enumerate(two))
    return Site(position=i, module=module, op=op, keep=keep, shape=shape, batch_dim=batch_dim)

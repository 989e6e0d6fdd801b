"""Where a network is random, and how to sample only that part of it.

A pass is one sampled network: each random site has one mask a pass, shared by all images (al_cxr.sampling.masks). The
output for an image therefore depends on the image, the weights, the seed, the round and the pass, and on nothing else:
not on its batch, its neighbours or the order.

Random sites are found by running a copy in train mode and watching the operators it executes, so functional dropout,
the dropout between LSTM layers, attention dropout and stochastic depth are found as well as dropout modules.
Monte-Carlo dropout: Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from al_cxr.sampling.masks import Masks, Site
from al_cxr.sampling.operators import ATEN, DRAWS, NoRandomSite, SamplingError, Watch, called, callers


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; every module's own training flag comes back afterwards, whatever happened."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        # Not inference mode: there, composite operators would hide the draws inside them.
        with torch.inference_mode(False), torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in flags:
            module.training = training


@contextmanager
def _plain_kernels(model: nn.Module) -> Iterator[None]:
    """No fused kernel that skips dropout (transformer fast path) or draws inside (fused attention, cuDNN's RNN)."""
    fast_path, cudnn = torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled
    random_rnn = any(isinstance(m, nn.RNNBase) and m.dropout > 0 for m in model.modules())
    on_gpu = any(p.is_cuda for p in model.parameters())
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        if random_rnn and on_gpu:
            torch.backends.cudnn.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        if random_rnn and on_gpu:
            torch.backends.cudnn.enabled = cudnn


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Restores all buffers (batch-norm's running statistics); an error if the block changed one."""
    saved = [(name, buffer, buffer.clone()) for name, buffer in model.named_buffers()]
    changed: list[str] = []
    try:
        yield
    finally:
        now = dict(model.named_buffers())
        for name, buffer, before in saved:
            same = (buffer == before) | ((buffer != buffer) & (before != before))  # NaN is equal to NaN here
            if now.get(name) is not buffer or not same.all():
                owner, _, leaf = name.rpartition(".")
                model.get_submodule(owner)._buffers[leaf] = buffer.copy_(before)
                changed.append(name)
    if changed:
        raise SamplingError(
            f"sampling changed the buffers {', '.join(changed)} of the network (now restored): some layer updates its "
            "statistics whenever its module is in train mode; make it a module of its own, apart from the dropout"
        )


@contextmanager
def refusing_randomness(model: nn.Module) -> Iterator[None]:
    """A block in which a draw is an error: for predictions that are said to be deterministic."""

    def refuse(module: str, func: Any, given: dict[str, Any]) -> Any:
        raise SamplingError(
            f"{called(module)} draws random numbers ({func}) in eval mode, so the network has no deterministic "
            "prediction; write F.dropout(..., training=self.training), or choose a Monte-Carlo strategy"
        )

    with callers(model) as stack, Watch(stack, refuse):
        yield


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
        stack.enter_context(_plain_kernels(copied))
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


class Sampler:
    """The sampled networks of one round; made by `sampling`, valid inside its block."""

    def __init__(self, model: nn.Module, sites: tuple[Site, ...], stack: list[str], masks: Masks) -> None:
        self.sites, self.masks = sites, masks
        self._model, self._stack = model, stack
        self._batch = self._pass = self._next = 0

    def run(self, images_B: Tensor, pass_: int) -> Any:
        """The network's output for a batch (B, ...) in pass 0, 1, 2, ...: in any order, as often as wanted."""
        self._batch, self._pass, self._next = len(images_B), pass_, 0
        self._stack.clear()
        images_B = images_B.clone() if images_B.is_inference() else images_B
        with Watch(self._stack, self._answer, self._refuse_batch_norm):
            output = self._model(images_B)
        if self._next < len(self.sites):
            raise SamplingError(
                f"random site {self.sites[self._next]} drew nothing in a pass; a fused kernel or a branch left it out, "
                "or it looks at another module's training flag"
            )
        return output

    def verify(self, images_B: Tensor, passes: int) -> None:
        """Checks on two images what everything rests on: an image's output is its own, and passes differ.

        Raises SamplingError where an image alone and in company differ by more than 1e-4 of the largest output
        (5 % in 16-bit precision), or where all passes give the same output.
        """
        pair = images_B[:2] if len(images_B) > 1 else torch.cat([images_B, images_B.flip(-1)])
        both = self.run(pair, 0)
        alone = torch.cat([self.run(pair[:1], 0), self.run(pair[1:], 0)])
        half = both.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled(pair.device.type)
        difference, scale = (both - alone).abs().max(), both.abs().max().clamp(min=1e-6)
        if torch.isfinite(difference) and difference > (0.05 if half else 1e-4) * scale:
            raise SamplingError(
                f"in one and the same pass an image's output depends on its neighbours (by {float(difference):.2g}); "
                "images are mixed somewhere (statistics over the batch, a mask whose batch axis is not image-major)"
            )
        if all(torch.equal(self.run(pair, t), both) for t in range(1, passes)):
            raise SamplingError(
                f"all {passes} Monte-Carlo passes give identical outputs, although there are random sites: "
                f"{'; '.join(map(str, self.sites))}; is the dropout next to 0, does a layer after it ignore it, or is "
                "the last layer still 0, as before any training?"
            )

    def _answer(self, module: str, func: Any, given: dict[str, Any]) -> Any:
        expected = self.sites[self._next] if self._next < len(self.sites) else None
        target, keep = DRAWS.get(func, ("", lambda given: None))
        x = given.get(target)
        if expected is None or (module, str(func), keep(given)) != (expected.module, expected.op, expected.keep):
            raise SamplingError(f"{called(module)} drew with {func}; expected was {expected or 'no further draw'}")
        d, shape = expected.batch_dim, expected.shape
        if x is None or x.shape != tuple(n * self._batch if i == d else n for i, n in enumerate(shape)):
            raise SamplingError(f"{expected}: a mask of {tuple(x.shape) if x is not None else None} was drawn instead")
        self._next += 1
        mask = self.masks.of(expected, self._pass).to(x.device)
        if d is not None and shape[d] > 1:
            mask = mask.repeat(*(self._batch if i == d else 1 for i in range(len(shape))))
        if expected.keep is None:
            mask = mask < x
        if func is ATEN.native_dropout.default:
            return x * mask.to(x.dtype) * (1 / expected.keep), mask.expand(x.shape)  # type: ignore[operator]
        return x.copy_(mask) if func is ATEN.bernoulli_.float else torch.empty_like(x).copy_(mask)

    def _refuse_batch_norm(self, module: str) -> None:
        raise SamplingError(
            f"{called(module)} normalises by the statistics of the batch while it is sampled, so a score would depend "
            "on the neighbours; use an nn.BatchNorm module with running statistics, apart from the dropout"
        )


@contextmanager
def sampling(model: nn.Module, sites: tuple[Site, ...], masks: Masks) -> Iterator[Sampler]:
    """A block in which the network can be sampled: all in eval mode but the modules that own a site.

    Training flags, buffers and torch's settings are as before afterwards, also after an exception; torch's global
    random state is never touched. Raises SamplingError where a buffer was changed.
    """
    if not sites:
        raise NoRandomSite("no random site was given; find_sites lists those of a network")
    with eval_mode(model), _plain_kernels(model), _buffers_kept(model), callers(model) as stack:
        for site in sites:
            # The flag of this module alone: its children, batch-norm among them, stay in eval mode.
            model.get_submodule(site.module).training = True
        yield Sampler(model, sites, stack, masks)

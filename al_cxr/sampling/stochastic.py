"""How to sample only that part of a network that is random.

A pass is one sampled network: each random site has one mask a pass, shared by all images (al_cxr.sampling.masks). The
output for an image therefore depends on the image, the weights, the seed, the round and the pass, and on nothing else:
not on its batch, its neighbours or the order.

`al_cxr.sampling.sites` finds that part.
Monte-Carlo dropout: Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
def plain_kernels(model: nn.Module) -> Iterator[None]:
    """No fused kernel that skips dropout (transformer fast path) or draws inside (fused attention, cuDNN's RNN).

    And no TF32: cuDNN would take it for some batch sizes and not for others, and an image's output would depend on its
    batch.
    """
    backends: Any = torch.backends
    fast_path, cudnn = backends.mha.get_fastpath_enabled(), backends.cudnn.enabled
    rounded = backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul
    precisions = [(products, products.fp32_precision) for products in rounded]
    random_rnn = any(isinstance(m, nn.RNNBase) and m.dropout > 0 for m in model.modules())
    on_gpu = any(p.is_cuda for p in model.parameters())
    backends.mha.set_fastpath_enabled(False)
    try:
        for products in rounded:
            products.fp32_precision = "ieee"
        if random_rnn and on_gpu:
            backends.cudnn.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        backends.mha.set_fastpath_enabled(fast_path)
        for products, precision in precisions:
            products.fp32_precision = precision
        if random_rnn and on_gpu:
            backends.cudnn.enabled = cudnn


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
    with eval_mode(model), plain_kernels(model), _buffers_kept(model), callers(model) as stack:
        for site in sites:
            # The flag of this module alone: its children, batch-norm among them, stay in eval mode.
            model.get_submodule(site.module).training = True
        yield Sampler(model, sites, stack, masks)

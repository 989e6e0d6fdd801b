"""Monte-Carlo passes over many images, fast: the deterministic part once an image, each pass one smaller network.

What a pass computes is defined by `al_cxr.sampling.stochastic`, whose masks are used; this module only computes it
sooner. A network that cannot be cut (`al_cxr.sampling.graph`) goes through the plain loop instead, and `Engine.note`
says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from al_cxr.core.errors import UserError
from al_cxr.sampling.graph import Cut, Uncuttable, bytes_of, cut
from al_cxr.sampling.masks import Masks, Site
from al_cxr.sampling.operators import NoRandomSite
from al_cxr.sampling.sites import find_sites
from al_cxr.sampling.stochastic import Sampler, sampling
from al_cxr.sampling.thinning import ThinningPlan, tensors_of_pass, thin

Batch = tuple[np.ndarray, Tensor]
"""Absolute indices (B,) and their normalised images (B, channels, S, S) on the device of the model."""


@dataclass(frozen=True)
class Sampling:
    """T sampled networks: which, and how they are computed."""

    passes: int
    """T, at least 2."""
    seed: int
    round: int
    head: bool = False
    """Only the sites after the last convolution, recurrence or attention are sampled; the others are off."""
    stratified: bool = True
    """Masks of the T passes share the strata out among them (al_cxr.sampling.masks); False: independent passes."""
    dtype: torch.dtype = torch.float32
    temperature: float = 1.0
    """Logits are divided by it wherever they become probabilities (`probabilities`), > 0."""
    fast: bool = True
    """False: the plain loop, which defines the numbers."""


MEMORY = 256 * 2**20
"""Bytes of the deterministic part's results that are kept while all passes go over them."""
CACHED = 2**20
"""Bytes that the sampled part starts from, in a step on a CPU: small enough to stay in its caches."""
AGREES = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest difference between fast and plain logits that is rounding, as a share of the largest logit."""


class Engine:
    """The sampled networks of one round, run in any order over any images; made by `engine`.

    `sites` are those that are sampled; `note` says in words how.
    """

    def __init__(
        self,
        sampler: Sampler,
        example_B: Tensor,
        classes: int,
        note: str,
        parts: Cut | None = None,
        plan: ThinningPlan = ThinningPlan(),  # noqa: B008 - frozen
        dtype: torch.dtype = torch.float32,
    ):
        self.sites: tuple[Site, ...] = parts.sites if parts else sampler.sites
        self.note, self.classes = note, classes
        self._sampler, self._cut, self._plan, self._dtype = sampler, parts, plan, dtype
        self._step = 0 if parts is None else _step(parts, _in(dtype, example_B))

    def run(self, batches: Iterable[Batch], passes: Sequence[int]) -> Iterator[tuple[np.ndarray, Iterator[Tensor]]]:
        """(indices (B,), logits (B, C) of every pass in the order given), chunk by chunk of the images.

        A chunk is as many batches as the memory holds; its passes must be read before the next chunk. Logits stay on
        the device, so a GPU is never waited for.
        """
        chunk: list[tuple[np.ndarray, tuple[Tensor, ...]]] = []
        size = 0
        for index_B, images in batches:
            step = self._step or len(index_B)
            for at in range(0, len(index_B), step):
                part = images[at : at + step]
                start = (part,) if self._cut is None else self._cut.fixed(_in(self._dtype, part))
                chunk.append((index_B[at : at + step], start))
                size += bytes_of(start)
            if size >= MEMORY:
                yield np.concatenate([i for i, _ in chunk]), self._logits(chunk, passes)
                chunk, size = [], 0
        if chunk:
            yield np.concatenate([i for i, _ in chunk]), self._logits(chunk, passes)

    def worth_racing(self, example_B: Tensor, passes: int) -> bool:
        """Whether all passes over an image cost more than its deterministic part, which every stage of a race repeats.

        Counted in operations of convolutions and products, not in seconds: the answer is the same on all machines.
        """
        if self._cut is None:
            return True
        with FlopCounterMode(display=False) as counter:
            start = self._cut.fixed(_in(self._dtype, example_B))
            fixed = counter.get_total_flops()
            list(self._logits([(np.arange(len(example_B)), start)], [0]))
        return bool(passes * (counter.get_total_flops() - fixed) > fixed)

    def _logits(self, chunk: list[tuple[np.ndarray, tuple[Tensor, ...]]], passes: Sequence[int]) -> Iterator[Tensor]:
        for t in passes:
            if self._cut is None:
                outputs = [self._sampler.run(start[0], t) for _, start in chunk]
            else:
                masks = {site: self._sampler.masks.of(site, t) for site in self.sites}
                tensors = tensors_of_pass(self._cut.sampled, self._plan, masks, chunk[0][1][0].device)
                outputs = [functional_call(self._cut.sampled, tensors, start) for _, start in chunk]
            yield torch.cat([logits(o, len(i)) for o, (i, _) in zip(outputs, chunk, strict=True)])


@contextmanager
def engine(model: nn.Module, example_B: Tensor, how: Sampling) -> Iterator[Engine]:
    """A block in which the sampled networks of a round can be run.

    `example_B` is a batch of real images: on two of them it is checked that passes differ, that images do not mix,
    and that the fast path gives what the plain one gives.

    Raises NoRandomSite or SamplingError where the passes would not be what they are said to be.
    """
    sites = find_sites(model, example_B)
    parts, note = None, "plain passes"
    if how.fast or how.head:
        try:
            parts = cut(model, sites, head=how.head)
        except Uncuttable as reason:
            if how.head:
                raise NoRandomSite(f"scoring.scope: head: {reason}; use scope: all") from None
            note = f"plain passes, every operation in each: {reason}"
    sampled_sites = parts.sites if parts else sites
    masks = Masks(how.seed, how.round, how.passes, how.stratified)
    with ExitStack() as stack:
        sampler = stack.enter_context(sampling(model, sampled_sites, masks))
        pair = example_B[:2] if len(example_B) > 1 else torch.cat([example_B, example_B.flip(-1)])
        classes = logits(sampler.run(pair, 0), len(pair)).shape[1]
        sampler.verify(pair, how.passes)
        if how.fast and parts is not None:
            quick, why_not = _quick(sampler, pair, classes, parts, how.dtype, own=place_of(model)[1])
            if quick is not None:
                yield quick
                return
            note = f"plain passes: {why_not}"
        yield Engine(sampler, pair, classes, note)


def _quick(
    sampler: Sampler, pair: Tensor, classes: int, parts: Cut, dtype: torch.dtype, own: torch.dtype
) -> tuple[Engine | None, str]:
    """The fast engine, or why there is none: what it gives for two images is not what the plain passes give, or it
    fails in the dtype of the network itself. A failure in another dtype, which was asked for, is raised."""
    try:
        plan = thin(parts)
        for part in (parts.fixed, parts.sampled):
            part.to(dtype)
            if all(tensor.ndim < 5 for tensor in chain(part.parameters(), part.buffers())):  # no volumes
                part.to(memory_format=torch.channels_last)
        quick = Engine(sampler, pair, classes, _described(parts, plan, dtype), parts, plan, dtype)
        difference = _difference(quick, sampler, pair)
    except (RuntimeError, TypeError, ValueError) as error:
        if dtype is not own:
            raise
        return None, f"fast ones fail ({type(error).__name__}: {str(error).partition(chr(10))[0][:120]})"
    if difference > AGREES[dtype]:
        return None, f"fast ones would differ by {difference:.2g} of the largest logit"
    return quick, ""


def _difference(quick: Engine, sampler: Sampler, pair: Tensor) -> float:
    """Of the fast and the plain logits in the first pass, as a share of the largest; 0 where they are not finite."""
    ((_, passes),) = quick.run([(np.arange(len(pair)), pair)], [0])
    (fast,) = passes
    plain = sampler.run(pair, 0).float()
    if not torch.isfinite(plain).all():
        return 0.0  # said elsewhere, as what it is
    return float((fast.float() - plain).abs().max() / plain.abs().max().clamp(min=1.0))


def place_of(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a network lies and in which floating-point type; the CPU and float32 where it has no tensors."""
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _in(dtype: torch.dtype, images_B: Tensor) -> Tensor:
    """Images of floating point in a dtype; whole numbers, such as tokens, as they are."""
    return images_B.to(dtype) if images_B.is_floating_point() else images_B


def _step(parts: Cut, example_B: Tensor) -> int:
    """Images a step; 0 for whole batches, which a GPU wants."""
    if example_B.device.type != "cpu":
        return 0
    each = bytes_of(parts.fixed(example_B)) // len(example_B)
    return min(max(CACHED // max(each, 1), 8), 64)


def logits(output: object, images: int) -> Tensor:
    """The output of a network for some images as logits; UserError if it is none."""
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != images:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"the network gave {shape} for {images} images; logits (images, classes) are expected")
    return output


def probabilities(logits_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """Softmax over the classes in float64, of logits that a temperature divides first (Guo et al. 2017)."""
    return torch.softmax(logits_BC.to(torch.float64) / temperature, dim=-1)


def _described(parts: Cut, plan: ThinningPlan, dtype: torch.dtype) -> str:
    fixed, varied = parts.operations
    text = f"{fixed} of {fixed + varied} operations once an image"
    if plan.thin:
        text += f", {len(plan.thin)} of {len(parts.sites)} sites by leaving out what they drop"
    return f"{text}, {str(dtype).removeprefix('torch.')}"

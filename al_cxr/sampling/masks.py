"""Dropout masks as pure functions of (seed, round, pass, site): one a pass, shared by all images.

Masks are stratified over the T passes by default: each unit's uniform number falls once into each of T equal strata,
in an order of its own (Latin hypercube sampling, McKay et al. 1979, https://doi.org/10.2307/1268522). One pass by
itself is ordinary dropout, with independent units; but over T passes a unit is kept keep * T times, up to one, and not
by luck. Means over passes vary less for it. The passes are exchangeable: any t of the T are as good as any others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from al_cxr.core.seeds import rng
from al_cxr.sampling.operators import called

BYTES = 256 * 2**20
"""Masks kept between batches, at most; what does not fit is drawn again, to the same bits."""
AT_ONCE = 2**20
"""Numbers that are put in order at once."""


@dataclass(frozen=True)
class Site:
    """One place where the network draws random numbers; a module called twice is two sites."""

    position: int
    """In the order of execution, from 0."""
    module: str
    """Dotted name of the innermost module whose forward draws; "" is the network itself."""
    op: str
    """The ATen operator."""
    keep: float | None
    """Probability of a one in the mask, 0 < keep < 1; None where the network computes one an element."""
    shape: tuple[int, ...]
    """Shape of the mask for a batch of one image."""
    batch_dim: int | None
    """Axis along which images lie, image-major where more than images lie there (heads of an attention); None where
    all images share the mask anyway."""

    def __str__(self) -> str:
        keep = "computed keep" if self.keep is None else f"keep {self.keep:g}"
        return f"{called(self.module)}: {self.op}, {keep}, mask {'x'.join(map(str, self.shape)) or '1'}"


@dataclass(frozen=True)
class Masks:
    """The masks of a round: T = `passes` at a time are stratified; further passes are further such blocks.

    Not `stratified`: every pass is independent of the others, and no longer depends on T.
    """

    seed: int
    round: int = 0
    passes: int = 20
    stratified: bool = True
    _kept: dict[tuple[int, int], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def of(self, site: Site, pass_: int) -> Tensor:
        """The mask in pass 0, 1, 2, ..., of shape `site.shape` on the CPU: bool, True = kept.

        Where `site.keep` is None: float32 uniform in [0, 1) instead, to be compared with the network's probabilities.
        """
        block, at = divmod(int(pass_), int(self.passes)) if self.stratified else (int(pass_), 0)
        masks = self._kept.get((site.position, block))
        if masks is None:
            masks = self._block(site, block)
            if sum(m.nbytes for m in self._kept.values()) + masks.nbytes <= BYTES:
                self._kept[site.position, block] = masks
        return masks[at]

    def _block(self, site: Site, block: int) -> Tensor:
        """The masks of consecutive passes, stacked."""
        # numpy's streams: a torch CPU generator uses only 32 bits of its seed.
        source = rng(int(self.seed), "mask", int(self.round), block, site.position)
        count = int(self.passes) if self.stratified else 1
        units = int(np.prod(site.shape))
        masks = np.empty((count, units), np.float32 if site.keep is None else bool)
        step = max(AT_ONCE // count, 1)
        for start in range(0, units, step):
            part = slice(start, min(start + step, units))
            width = part.stop - part.start
            # Ranks of random numbers are a random order; one number more a unit places it inside its strata.
            strata = source.random((width, count), dtype=np.float32).argsort(axis=1)
            uniform = (strata + source.random((width, 1))) / count
            masks[:, part] = (uniform if site.keep is None else uniform < site.keep).T
        return torch.from_numpy(masks.reshape(count, *site.shape))

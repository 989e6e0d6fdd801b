"""Who scores the pool of a round: this process alone, or others that help it. An engine hands in its own.

A shard begins where a batch begins, so each image meets the same neighbours and gets the same bits, whoever scores it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from torch import nn

from al_cxr.experiment.fits import Fit
from al_cxr.experiment.workspace import Workspace

T = TypeVar("T")
J = TypeVar("J")


@dataclass(frozen=True, eq=False)
class Network:
    """A trained model that is ready to score: its fit, and the part of it that the batches of the loader go into."""

    fit: Fit
    part: nn.Module


Work = Callable[[Workspace, nn.Module, np.ndarray], T]
"""What is done with one shard, given the workspace, the network and the shard's indices; it has to be picklable."""


class Executor(Protocol):
    """Computes something of every image of a pool, shard by shard."""

    def shards(self, index_N: np.ndarray, batch: int) -> list[np.ndarray]:
        """The pool in consecutive parts, each of whole batches but the last."""

    def map_shards(
        self, workspace: Workspace, network: Network, shards: Sequence[np.ndarray], work: Work[T]
    ) -> list[T]:
        """`work(workspace, network.part, shard)` of all shards, in their order."""


class ThisProcess:
    """Scores a pool at once, in the process that asks."""

    def shards(self, index_N: np.ndarray, batch: int) -> list[np.ndarray]:
        return [index_N]

    def map_shards(
        self, workspace: Workspace, network: Network, shards: Sequence[np.ndarray], work: Work[T]
    ) -> list[T]:
        return [work(workspace, network.part, shard) for shard in shards]


Perform = Callable[[Workspace, J, Executor], None]
"""Does one job of a sweep; the executor scores its pools. A function of a module, so that it can be sent."""


def shards_of(index_N: np.ndarray, size: int, batch: int = 1) -> list[np.ndarray]:
    """Consecutive parts of `size` images, rounded up to whole batches; the last has what is left."""
    if size < 1 or batch < 1:
        raise ValueError(f"shards of {size} images in batches of {batch}: both must be 1 or more")
    size = -(-size // batch) * batch
    return [index_N[start : start + size] for start in range(0, len(index_N), size)]

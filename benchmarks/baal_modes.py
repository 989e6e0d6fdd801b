"""Baal 2.1 (Atighehchian et al. 2022) as an opponent: Monte-Carlo dropout in its three modes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

MODES = ("default", "batch not copied", "cached layers")
BATCH = 32
"""Baal's default."""


class WithTarget(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images as Baal reads them: with a label, which it ignores."""

    def __init__(self, images: Tensor) -> None:
        self._images = TensorDataset(images)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self._images[i][0], 0


def baal(
    model: nn.Module, mode: str, passes: int, *, batch: int = BATCH, cuda: bool = False
) -> Callable[[Tensor], np.ndarray]:
    """images (N, ...) -> entropies (N,) of the mean probability, in nats, as Baal computes them in one of its modes.

    On the CPU, or with `cuda` on the current GPU, to which it sends the images batch by batch. It is given
    probabilities, because of logits it would take the mean before the softmax.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import structlog
        from baal.active.heuristics import Entropy
        from baal.bayesian.caching_utils import MCCachingModule
        from baal.bayesian.dropout import MCDropoutModule
        from baal.modelwrapper import ModelWrapper, TrainingArgs

        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # it says every call
        network: nn.Module = MCDropoutModule(
            nn.Sequential(copy.deepcopy(model), nn.Softmax(dim=-1))
        )  # patches in place
        if mode == "cached layers":
            network = MCCachingModule(network)
        network.eval()
        arguments = TrainingArgs(batch_size=batch, workers=0, use_cuda=cuda, replicate_in_memory=mode == "default")
        wrapper = ModelWrapper(network, arguments)

    def score(images: Tensor) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictions = wrapper.predict_on_dataset(WithTarget(images), iterations=passes, verbose=False)
            return np.asarray(Entropy().get_uncertainties(predictions), np.float64)

    return score

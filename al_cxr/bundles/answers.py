"""What a bundle's networks together say of images, as arrays.

The numbers depend on the bundle and the image alone. The networks always see batches of one size, filled up with black
images, on one thread, because in floating point a matrix product's last bits depend on its shape and on the threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from al_cxr.bundles.record import BundleRecord
from al_cxr.config import Machine
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.shared_backbones import SharedBackbones, backbone_key
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import predict as softmax_of
from al_cxr.strategies.statistics import entropy, member_statistics
from al_cxr.training.runtime import Runtime, plain

BATCH = 32
MASK_SEED = 0
"""Of the Monte-Carlo masks, so that a bundle gives the same answer everywhere."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a bundle says of N images."""

    probs_NC: np.ndarray
    """Calibrated, float64."""
    entropy_N: np.ndarray
    """Of the calibrated probabilities, nats."""
    mutual_information_N: np.ndarray | None
    """Over members or Monte-Carlo passes, before calibration, nats; None where the bundle has neither."""


Answerer = Callable[[np.ndarray], Answers]
"""From pixels, uint8 (N, S, S) at the bundle's size, N >= 1."""


def serving_runtime() -> Runtime:
    """Full precision and one thread of torch, the same everywhere; decoding has threads of its own."""
    return plain(Machine(threads=1)).activate()


def answerer(record: BundleRecord, fits: Sequence[Fit]) -> Answerer:
    """A function that answers for the networks of a bundle."""
    runtime = serving_runtime()
    networks = [fit.model(runtime) for fit in fits]
    sampled = record.random_sites if record.uncertainty == "passes" else []
    keys = [backbone_key(network, sampled) for network in networks]

    def answer(pixels_NSS: np.ndarray) -> Answers:
        n = len(pixels_NSS)
        filled = np.zeros((-(-n // BATCH) * BATCH, *pixels_NSS.shape[1:]), np.uint8)
        filled[:n] = pixels_NSS
        order = np.arange(len(filled))
        shared = SharedBackbones(len(filled), BATCH)
        parts = [
            shared.part(network, key, fit.loader(filled, runtime))
            for fit, network, key in zip(fits, networks, keys, strict=True)
        ]
        probs_KNC = [softmax_of(part, loader.batches(order, BATCH))[:n] for part, loader in parts]
        information_N = None
        if record.uncertainty == "members":
            information_N = member_statistics(order[:n], probs_KNC).mutual_information_N
        elif record.uncertainty == "passes":
            part, loader = parts[0]
            passes = monte_carlo(part, loader.batches(order, BATCH), Sampling(record.passes, MASK_SEED, 0))
            information_N = passes.mutual_information_N[:n] if passes.mutual_information_N is not None else None
        probs_NC = apply_temperature(mean_probs(probs_KNC), record.temperature)
        return Answers(probs_NC, entropy(probs_NC), information_N)

    return answer

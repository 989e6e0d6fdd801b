"""How fast this machine trains and samples an experiment's network, from real steps."""

from __future__ import annotations

import time

import torch

from al_cxr.config import Settings
from al_cxr.data.dataset import Dataset
from al_cxr.data.store import PixelStore
from al_cxr.experiment.assembly import build_loader, build_model, build_task
from al_cxr.sampling.engine import Sampling, engine
from al_cxr.sampling.operators import NoRandomSite, SamplingError
from al_cxr.training.runtime import DTYPES, Runtime, Unsupported
from al_cxr.training.trainer import train_step
from al_cxr.training.training_state import TrainingState

NAMES = {torch.bfloat16: ("bfloat16",), torch.float16: ("half", "float16")}
"""What torch calls a dtype in its errors, in lower case."""


def training_speed(
    settings: Settings, dataset: Dataset, store: PixelStore, runtime: Runtime, seconds: float = 2.0
) -> float:
    """Training images per second over at least two steps after a warm-up, augmentation left out."""
    runtime.activate()
    index = dataset.indices("train")[: settings.train.batch_size]
    loader = build_loader(settings, dataset, store, runtime)
    task = build_task(settings, dataset, loader, runtime, settings.baseline.loss, 0, index)
    state = TrainingState.start(build_model(settings, dataset, 0), settings.train, runtime)
    _, images = next(iter(loader.batches(index, len(index))))
    targets = torch.from_numpy(dataset.labels_N[index]).to(runtime.device)
    state.model.train()
    # A large model on a CPU takes seconds a step: warm up on two images, which touches all the memory.
    train_step(state, images[:2], targets[:2], task)
    wait(runtime)
    started, steps = time.perf_counter(), 0
    while steps < 2 or time.perf_counter() - started < seconds:
        train_step(state, images, targets, task)
        wait(runtime)
        steps += 1
    return steps * len(index) / (time.perf_counter() - started)


def passes_speed(
    settings: Settings, dataset: Dataset, store: PixelStore, runtime: Runtime, seconds: float = 1.0
) -> float:
    """Monte-Carlo passes over images per second; 0 where this network cannot be sampled.

    Raises Unsupported where it can be, but not in `runtime.score_precision`.
    """
    runtime.activate()
    loader = build_loader(settings, dataset, store, runtime)
    (batch,) = loader.batches(dataset.indices("train")[:64], 64)
    model = runtime.place(build_model(settings, dataset, 0))
    how = Sampling(2, 0, 0, head=settings.scoring.scope == "head", dtype=DTYPES[runtime.score_precision])
    full = how.dtype is torch.float32
    try:
        with engine(model, batch[1], how) as sampled:
            started, seen = time.perf_counter(), 0
            while not seen or time.perf_counter() - started < seconds:
                for _, logits in sampled.run([batch], range(4)):
                    seen += sum(len(logits_BC) for logits_BC in logits)
                wait(runtime)
            return seen / (time.perf_counter() - started)
    except NoRandomSite:
        return 0.0
    except SamplingError as error:
        if full:  # a strategy that wants passes will say so
            return 0.0
        raise Unsupported(_first_line(error)) from error
    except (RuntimeError, TypeError, ValueError) as error:
        # torch has no class of errors for an operator that lacks a dtype or is given two, but it names the dtype.
        if full or not any(name in str(error).lower() for name in NAMES[how.dtype]):
            raise
        raise Unsupported(_first_line(error)) from error


def wait(runtime: Runtime) -> None:
    """Until the device has done all that it was given."""
    if runtime.device.startswith("cuda"):
        torch.cuda.synchronize(runtime.device)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160]

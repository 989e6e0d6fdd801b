"""The only training loop in the project: fit one model on some indices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from al_cxr.config import TrainSettings
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import macro_f1
from al_cxr.core.progress import Progress
from al_cxr.core.records import Epoch
from al_cxr.core.seeds import stream
from al_cxr.data.loader import Loader
from al_cxr.sampling.scoring import predict
from al_cxr.training.length import orders, part_steps
from al_cxr.training.mixing import mix
from al_cxr.training.runtime import Runtime
from al_cxr.training.training_state import TrainingState


@dataclass(frozen=True)
class Task:
    """What a model is fitted on and how. Labels int64 (N,) by absolute index; `loss(logits, targets)` is a mean."""

    loader: Loader
    labels_N: np.ndarray
    train_index: np.ndarray
    val_index: np.ndarray
    classes: int
    settings: TrainSettings
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int
    runtime: Runtime


@dataclass(frozen=True)
class Fitted:
    """`model` carries the weights of the best part (1-based), in eval mode; `steps` are all that were taken."""

    model: nn.Module
    history: list[Epoch]
    best_epoch: int
    steps: int
    seconds: float
    images_per_second: float


class Diverged(UserError):
    """The loss became infinite or no number: these settings do not train."""


def fit(
    model: nn.Module, task: Task, checkpoint: Path | None = None, title: str = "training", shown: bool = True
) -> Fitted:
    """Train on `task.train_index`, watch `task.val_index`, return the model with its best weights.

    Validation is looked at after every part of the training (`al_cxr.training.length`). Every random number of a part
    follows from (seed, part), so that a training that was killed and goes on from `checkpoint` ends with the same bits
    as one that was not. A final batch of a single image is left out: batch-norm cannot train on it. `shown` is false
    where nobody wants to see its progress. Raises Diverged where it does, and UserError where there are fewer than two
    images.
    """
    settings, runtime = task.settings, task.runtime
    if len(task.train_index) < 2:
        raise UserError(
            f"{title}: {len(task.train_index)} labelled image(s), and training needs 2 or more; raise budget.seed"
        )
    steps = part_steps(settings, len(task.train_index))
    state = TrainingState.start(model, settings, runtime, settings.parts)
    if checkpoint is not None and checkpoint.is_file():
        state.restore(checkpoint)
    progress, saved = state.progress, time.monotonic()
    done = sum(steps[: progress.epoch])
    with Progress(sum(steps), title, "steps", done, leave=False, shown=shown) as bar:
        while progress.epoch < len(steps) and not _stalled(state, settings.patience):
            started, lr = time.perf_counter(), state.optimizer.param_groups[0]["lr"]
            train_loss, train_accuracy, seen = _train_part(state, task, done, steps[progress.epoch], bar)
            done += steps[progress.epoch]
            if not np.isfinite(train_loss):
                raise Diverged(
                    f"{title}: the loss became {train_loss} by step {done:,}; "
                    f"lower train.lr ({settings.lr:g}) or set train.clip_norm"
                )
            val_loss, val_accuracy, val_f1 = _validate(model, task)
            row = Epoch(
                epoch=progress.epoch + 1,
                steps=done,
                lr=lr,
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                val_macro_f1=val_f1,
            )
            watched = {"macro_f1": val_f1, "accuracy": val_accuracy, "loss": -val_loss, "none": float(row.epoch)}
            value = watched[settings.monitor]
            state.note_epoch(row, value, seen, time.perf_counter() - started)
            if checkpoint is not None and time.monotonic() - saved >= runtime.checkpoint_seconds:
                state.save(checkpoint)
                saved = time.monotonic()
    model.load_state_dict(state.best)
    speed = progress.images / max(progress.seconds, 1e-9)
    return Fitted(model.eval(), state.history, progress.best_epoch + 1, done, progress.seconds, speed)


def train_step(state: TrainingState, images: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """One forward, backward and update on prepared images. Returns (loss, logits), detached, still on the device."""
    with task.runtime.autocast():
        logits = state.model(images)
    value = task.loss(logits.float(), targets)
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(state.scaler.scale(value))
    if task.settings.clip_norm > 0:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), task.settings.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return value.detach(), logits.detach()


def _train_part(state: TrainingState, task: Task, first: int, steps: int, bar: Progress) -> tuple[float, float, int]:
    """Train for so many steps from step `first` on: mean loss and accuracy over the images, and how many there were."""
    settings, part = task.settings, state.progress.epoch
    torch.manual_seed(stream(task.seed, "dropout", part))
    generator = torch.Generator().manual_seed(stream(task.seed, "augment", part))
    labels = torch.from_numpy(task.labels_N).to(task.runtime.device)
    total = torch.zeros(2, dtype=torch.float64, device=task.runtime.device)
    shown, seen = time.monotonic(), 0
    state.model.train()
    for index_B, images in _batches(task, first, steps):
        if settings.augment is not None:
            images = task.loader.varied(index_B, images, settings.augment, generator)
        truth = target = labels[torch.from_numpy(index_B).to(task.runtime.device)]
        if settings.mixup > 0 or settings.cutmix > 0:
            one_hot = F.one_hot(truth, task.classes).float()
            images, target = mix(images, one_hot, settings.mixup, settings.cutmix, generator)
        value, logits = train_step(state, task.loader.prepare(images), target, task)
        # Summed on the device and read once a part, so that a GPU is never waited for in between.
        total += torch.stack([value.double() * len(index_B), (logits.argmax(1) == truth).sum().double()])
        seen += len(index_B)
        bar.update()
        if time.monotonic() - shown > bar.noted_every:
            loss, accuracy = (total / seen).tolist()
            bar.note(f"part {part + 1}, loss {loss:.3f}, accuracy {100 * accuracy:.1f} %")
            shown = time.monotonic()
    loss, accuracy = (total / seen).tolist()
    return loss, accuracy, seen


def _validate(model: nn.Module, task: Task) -> tuple[float, float, float]:
    """(mean negative log-likelihood in nats, accuracy, macro F1) on the validation images.

    In full precision, whatever is trained in: the weights are chosen by the very figures that are reported of them.
    """
    probs_NC = predict(model, task.loader.batches(task.val_index, task.runtime.score_batch))
    truth, guess = task.labels_N[task.val_index], probs_NC.argmax(1)
    likelihood = np.clip(probs_NC[np.arange(len(truth)), truth].astype(np.float64), np.finfo(np.float32).tiny, 1)
    return float(-np.log(likelihood).mean()), float((truth == guess).mean()), macro_f1(truth, guess)


def _batches(task: Task, first: int, steps: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    """The images of the steps from number `first` on, as the loader gives them."""
    batch_size = task.settings.batch_size
    for order in orders(task.train_index, batch_size, task.seed, first, steps):
        yield from task.loader.raw(order, batch_size)


def _stalled(state: TrainingState, patience: int) -> bool:
    return 0 < patience <= state.progress.epoch - 1 - state.progress.best_epoch

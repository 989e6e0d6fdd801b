"""Everything of a training that must survive a kill: weights, best weights, optimizer, schedule, counters, history."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from al_cxr.config import TrainSettings
from al_cxr.core.checkpoint import load_tensors, optimizer_tensors, restore_optimizer, save_tensors
from al_cxr.core.records import Epoch
from al_cxr.models.tuning import parameter_groups
from al_cxr.training.runtime import Runtime

WORST = -1e300
"""Below any monitored value, and a number that JSON can carry."""


@dataclass
class Progress:
    """What is neither weights nor optimizer state. `epoch` counts finished parts; `best_epoch` is zero-based."""

    epoch: int = 0
    best_epoch: int = 0
    best_value: float = WORST
    seconds: float = 0.0
    images: int = 0


@dataclass
class TrainingState:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any
    scaler: torch.amp.GradScaler
    best: dict[str, Tensor]
    progress: Progress = field(default_factory=Progress)
    history: list[Epoch] = field(default_factory=list)

    @classmethod
    def start(cls, model: nn.Module, settings: TrainSettings, runtime: Runtime, parts: int = 1) -> TrainingState:
        """A fresh state of a training in so many parts; parameters that do not require a gradient are left alone by
        the optimizer."""
        runtime.place(model)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
        trained = parameter_groups(model, settings.lr, settings.layer_decay)
        optimizer = kind(trained, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        scaler = torch.amp.GradScaler(torch.device(runtime.device).type, enabled=runtime.precision == "fp16")
        return cls(model, optimizer, _scheduler(optimizer, settings, parts), scaler, _copy(model))

    def note_epoch(self, row: Epoch, value: float, images: int, seconds: float) -> None:
        """Enter a finished part; `value` is the monitored one, larger = better, the earlier part wins a tie."""
        self.history.append(row)
        if value > self.progress.best_value:
            self.progress.best_value, self.progress.best_epoch = value, self.progress.epoch
            self.best = _copy(self.model)
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(row.val_loss)
        else:
            self.scheduler.step()
        self.progress.epoch += 1
        self.progress.images += images
        self.progress.seconds += seconds

    def save(self, path: Path) -> None:
        """One safetensors file, replaced atomically."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= optimizer_tensors(self.optimizer)
        note = {
            "progress": vars(self.progress),
            "history": [row.model_dump() for row in self.history],
            "lr": [group["lr"] for group in self.optimizer.param_groups],
            "scheduler": {
                k: v for k, v in self.scheduler.state_dict().items() if isinstance(v, (int, float, str, list))
            },
            "scaler": self.scaler.state_dict(),
        }
        save_tensors(path, tensors, note)

    def restore(self, path: Path) -> None:
        """The inverse of `save` on a state made with the same settings."""
        tensors, note = load_tensors(path)
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        device = next(self.model.parameters()).device
        self.best = {k[5:]: v.to(device) for k, v in tensors.items() if k.startswith("best.")}
        restore_optimizer(self.optimizer, tensors)
        for group, lr in zip(self.optimizer.param_groups, note["lr"], strict=True):
            group["lr"] = lr
        self.scheduler.load_state_dict(note["scheduler"])
        self.scaler.load_state_dict(note["scaler"])
        self.progress = Progress(**note["progress"])
        self.history = [Epoch(**row) for row in note["history"]]


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _scheduler(optimizer: torch.optim.Optimizer, settings: TrainSettings, parts: int) -> Any:
    """What sets the learning rate after each part of a training."""
    schedules = torch.optim.lr_scheduler
    if settings.schedule == "plateau":
        return schedules.ReduceLROnPlateau(
            optimizer, "min", factor=settings.plateau_factor, patience=settings.plateau_patience
        )
    if settings.schedule == "cosine":
        return schedules.CosineAnnealingLR(optimizer, T_max=parts)
    return schedules.ConstantLR(optimizer, factor=1.0)

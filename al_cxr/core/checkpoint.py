"""Weights and training state on disk: safetensors for tensors, JSON for the rest, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError


def weights_hash(model: nn.Module) -> str:
    """Hex SHA-256 over names, shapes and bits of all parameters and buffers."""
    h = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        h.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        h.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return h.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: Any = None) -> None:
    """Tensors (and a JSON-able note in the same file, so that the two can never disagree), all or nothing."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"note": json.dumps(note)} if note is not None else None
    write_atomically(path, save(flat, metadata=metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """What `save_tensors` wrote; UserError where the file is missing or is no safetensors file."""
    try:
        data = path.read_bytes()
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; start the same command again, which goes on") from None
    except (SafetensorError, ValueError) as error:
        raise UserError(
            f"{path}: not a file of weights (safetensors: {error}); put it back, or train the model again"
        ) from None
    note = header.get("__metadata__", {}).get("note")
    return tensors, json.loads(note) if note else None


def load_weights(model: nn.Module, path: Path) -> None:
    """Weights of a file into a model of the same architecture; UserError where they do not fit."""
    tensors, _ = load_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: these weights do not fit the network: {str(error).splitlines()[-1].strip()}"
        ) from None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an Adam-like optimizer as named tensors, `optimizer.<parameter number>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{name}": torch.as_tensor(value) for i, s in state.items() for name, value in s.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`; learning rates are left to the caller's note."""
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            parameter = trained[int(number)]
            if tensor.shape == parameter.shape:
                # In the parameter's own memory layout: the fused update walks both side by side.
                tensor = torch.empty_like(parameter).copy_(tensor)
            state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

"""Watching the operators that a network executes: which of them draw random numbers, and whose forward called them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from al_cxr.core.errors import UserError


class SamplingError(UserError):
    """A network that cannot be sampled faithfully; the message says where and why."""


class NoRandomSite(SamplingError):
    """A Monte-Carlo strategy was asked of a network in which nothing is random."""


def called(module: str) -> str:
    return module or "the network's own forward"


ATEN = torch.ops.aten
DRAWS: dict[Any, tuple[str, Callable[[dict[str, Any]], float | None]]] = {
    # operator -> argument whose shape the mask has, probability of a one
    ATEN.bernoulli_.float: ("self", lambda given: given["p"]),
    ATEN.bernoulli.p: ("self", lambda given: given["p"]),
    ATEN.bernoulli.default: ("self", lambda given: None),
    ATEN.native_dropout.default: ("input", lambda given: 1 - given["p"]),
}


@cache
def _is_watched(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags or "batch_norm" in func._schema.name


def _arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    names = [a.name for a in func._schema.arguments]
    defaults = {a.name: a.default_value for a in func._schema.arguments if a.has_default_value()}
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


def _is_random(func: Any, given: dict[str, Any]) -> bool:
    """Whether this call draws: a dropout of 0, or one in eval mode, does not, and neither does a sure outcome."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    if 0 in (given.get("dropout_p"), given.get("dropout")) or False in (given.get("train"), given.get("training")):
        return False
    return func not in DRAWS or DRAWS[func][1](given) not in (0, 1)


def _is_batch_statistic(func: Any, given: dict[str, Any]) -> bool:
    """Batch normalisation over several images. Instance norm calls the same operator with all images on axis 1."""
    name = func._schema.name
    if "batch_norm" not in name or "backward" in name:
        return False
    trains = given.get("training", given.get("train", name.endswith(("with_update", "with_update_functional"))))
    return bool(trains) and given["input"].shape[0] > 1


class Watch(TorchDispatchMode):
    """Hands each random call to `answer(module, operator, arguments)`, which returns its result, or `...` to let it
    run; in the same way batch normalisation by batch statistics to `batch_norm(module)`."""

    def __init__(
        self,
        stack: list[str],
        answer: Callable[[str, Any, dict[str, Any]], Any],
        batch_norm: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stack, self._answer, self._batch_norm = stack, answer, batch_norm

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not _is_watched(func):
            return func(*args, **(kwargs or {}))
        given = _arguments(func, args, kwargs or {})
        module = self._stack[-1] if self._stack else ""
        if self._batch_norm is not None and _is_batch_statistic(func, given):
            self._batch_norm(module)
        answer = self._answer(module, func, given) if _is_random(func, given) else ...
        return func(*args, **(kwargs or {})) if answer is ... else answer


@contextmanager
def callers(model: nn.Module) -> Iterator[list[str]]:
    """The stack of the names of the modules whose forward is running."""
    stack: list[str] = []
    handles = []

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        stack.pop()

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _m, _x, name=name: stack.append(name), prepend=True))
        handles.append(module.register_forward_hook(leave))
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()

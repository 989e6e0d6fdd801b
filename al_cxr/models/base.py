"""Architecture name -> model: `register` puts one in, `build` makes one and checks every option."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from torch import nn

from al_cxr.core.errors import UserError
from al_cxr.core.invalid import reasons
from al_cxr.core.nearest import hint

MIN_SIZE = 28
"""Smallest image side, in pixels, that every architecture accepts."""

# Types of options that several architectures share.
Width = Annotated[float, Field(gt=0, le=4, description="factor on the number of channels or units")]
Probability = Annotated[float, Field(ge=0, lt=1, description="of a dropout")]
Units = Annotated[int, Field(ge=1, le=65536, description="channels or units of a layer")]

_FIXED = ("in_channels", "classes", "image_size")
_builders: dict[str, Callable[..., nn.Module]] = {}
_take_pixels: set[str] = set()

B = TypeVar("B", bound=Callable[..., nn.Module])


def register(name: str, pixels: bool = False) -> Callable[[B], B]:
    """Decorator: make `(in_channels, classes, image_size, *, options with defaults) -> nn.Module` known as `name`.

    `pixels` says that the model wants them in 0..1 and normalises them itself.
    """

    def add(builder: B) -> B:
        if name in _builders:
            raise ValueError(f"two architectures are called {name!r}")
        parameters = list(inspect.signature(builder).parameters.values())
        fixed, options = parameters[: len(_FIXED)], parameters[len(_FIXED) :]
        if tuple(p.name for p in fixed) != _FIXED:
            raise ValueError(f"architecture {name!r}: the first parameters must be {', '.join(_FIXED)}")
        for p in options:
            if p.kind is not p.KEYWORD_ONLY or p.default is p.empty or p.annotation is p.empty:
                raise ValueError(f"architecture {name!r}: option {p.name} must be keyword-only, typed, with a default")
        _builders[name] = builder
        if pixels:
            _take_pixels.add(name)
        return builder

    return add


def names() -> list[str]:
    """All registered architectures, sorted."""
    return sorted(_builders)


def takes_pixels(arch: str) -> bool:
    """Whether an architecture wants pixels in 0..1, whatever train.mean and train.std are."""
    return arch in _take_pixels


def defaults(arch: str) -> dict[str, Any]:
    """Every option of an architecture with its default; UserError for an unknown architecture."""
    parameters = list(inspect.signature(_builder(arch)).parameters.values())
    return {p.name: p.default for p in parameters[len(_FIXED) :]}


def build(arch: str, in_channels: int, classes: int, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """A fresh model, x (B, in_channels, image_size, image_size) -> logits (B, classes).

    `in_channels` is 1 or 3, `classes` >= 2, `image_size` >= 28 pixels. Initial weights are drawn from torch's global
    generator. UserError names the key for an unknown architecture or option and for a value of the wrong type or range.
    """
    builder = _builder(arch)
    if in_channels not in (1, 3):
        raise UserError(f"model.in_channels: {in_channels} must be 1 (grey) or 3 (RGB)")
    if classes < 2:
        raise UserError(f"model.arch: {arch} needs at least 2 classes to tell apart, the data set has {classes}")
    if image_size < MIN_SIZE:
        raise UserError(f"data.image_size: {image_size} px is too small; set {MIN_SIZE} or more")
    return builder(in_channels, classes, image_size, **_checked(arch, builder, options))


def parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _builder(arch: str) -> Callable[..., nn.Module]:
    if arch not in _builders:
        raise UserError(f"model.arch: no architecture {arch!r}{hint(arch, names())}")
    return _builders[arch]


def _checked(arch: str, builder: Callable[..., nn.Module], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in, validated against the annotations in the builder's signature."""
    known = defaults(arch)
    where = f"model.options.{arch}"
    for key in options:
        if key not in known:
            raise UserError(f"{where}.{key}: {arch} has no such option{hint(str(key), known)}")
    # get_type_hints rather than the signature: annotations are strings until they are resolved.
    hints = typing.get_type_hints(builder.__init__ if inspect.isclass(builder) else builder, include_extras=True)
    fields: dict[str, Any] = {name: (hints[name], default) for name, default in known.items()}
    config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())
    schema: type[BaseModel] = create_model(arch, __config__=config, **fields)
    try:
        return dict(schema.model_validate(dict(options)))
    except ValidationError as error:
        problems: dict[str, list[Any]] = {}  # a union of types reports once for each of its members
        for e in error.errors():
            problems.setdefault(str(e["loc"][0]), []).append(e)
        raise UserError("\n".join(f"{where}.{key}: {reasons(found)}" for key, found in problems.items())) from None

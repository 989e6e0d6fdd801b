"""What an architecture is made with, the registry of them all, and how one is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field
from torch import nn

from al_cxr.core.errors import UserError
from al_cxr.core.options import checked, require_signature
from al_cxr.core.options import defaults as defaults_of
from al_cxr.core.registry import Registry

MIN_SIZE = 28
"""Smallest image side, in pixels, that every architecture accepts."""
ARGUMENTS = ("in_channels", "classes", "image_size")

# Types of options that several architectures share.
Width = Annotated[float, Field(gt=0, le=4, description="factor on the number of channels or units")]
Probability = Annotated[float, Field(ge=0, lt=1, description="of a dropout")]
Units = Annotated[int, Field(ge=1, le=65536, description="channels or units of a layer")]

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


@dataclass(frozen=True, eq=False)
class Architecture:
    """What builds a network: a function, or the network's class itself."""

    builder: Callable[..., nn.Module]
    takes_pixels: bool
    """Whether it wants pixels in 0..1, whatever train.mean and train.std are, and normalises them itself."""


ARCHITECTURES: Registry[Architecture] = Registry("architecture", "al_cxr.models", "al_cxr.models")
"""All architectures, by name."""


def architecture(name: str, pixels: bool = False) -> Callable[[Builder], Builder]:
    """Decorator: makes a function or a class known as an architecture.

    It is called as `(in_channels, classes, image_size, **options)` and returns a network that maps x (B, in_channels,
    S, S), float, to logits (B, classes), for any S >= 28. The network is random only through nn dropout modules and the
    `dropout=` of nn.LSTM, so that every random site can be found; its initial weights depend on torch's global
    generator alone. Keyword-only parameters are options: `model.options.NAME` of an experiment file sets them, their
    annotations say which values are valid, and their defaults are the defaults.

    Parameters
    ----------
    name : str
        Name in experiment files (`model.arch`).
    pixels : bool, optional
        Whether the network wants pixels in 0..1 and normalises them itself.

    Returns
    -------
    Callable
        The decorator, which returns the function or class as it was.

    Raises
    ------
    ValueError
        If the name is taken, or if it takes other arguments or an option without a type or a default.

    Examples
    --------
    ::

        @architecture("two_layers")
        def two_layers(in_channels: int, classes: int, image_size: int, *, hidden: Units = 64) -> nn.Module:
            first = nn.Linear(in_channels * image_size**2, hidden)
            return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(hidden, classes))
    """

    def register(builder: Builder) -> Builder:
        require_signature(builder, ARGUMENTS, f"architecture {name!r}")
        if needed := [option for option, default in defaults_of(builder).items() if default is ...]:
            raise ValueError(f"architecture {name!r}: option {needed[0]} must have a default")
        ARCHITECTURES.add(name, Architecture(builder, pixels), builder.__module__)
        return builder

    return register


def names() -> list[str]:
    """Names of all architectures, sorted.

    Returns
    -------
    list of str
        Those of this package and those that other installed packages add.

    Examples
    --------
    >>> from al_cxr import models
    >>> [name for name in models.names() if name.startswith("resnet")]
    ['resnet18', 'resnet50']
    """
    return ARCHITECTURES.names()


def takes_pixels(arch: str) -> bool:
    """Whether an architecture wants pixels in 0..1, whatever train.mean and train.std are."""
    return arch in ARCHITECTURES and ARCHITECTURES.get(arch).takes_pixels


def defaults(arch: str) -> dict[str, Any]:
    """Every option of an architecture with its default; UserError for an unknown architecture."""
    return defaults_of(ARCHITECTURES.get(arch, "model.arch: ").builder)


def build(arch: str, in_channels: int, classes: int, image_size: int, options: Mapping[str, Any]) -> nn.Module:
    """A fresh network; its initial weights are drawn from torch's global generator.

    Parameters
    ----------
    arch : str
        One of `names()`.
    in_channels : int
        1 (grey) or 3.
    classes : int
        2 or more.
    image_size : int
        Side of an image in pixels, 28 or more.
    options : mapping
        Values of the architecture's options, by name; all others have their defaults.

    Returns
    -------
    torch.nn.Module
        Images (B, in_channels, image_size, image_size) -> logits (B, classes).

    Raises
    ------
    UserError
        For an unknown architecture or option and for a value of the wrong type or range; it names the key.

    Examples
    --------
    >>> from al_cxr import models
    >>> models.parameters(models.build("mlp", 1, 2, 28, {"hidden": 8}))
    6298
    """
    found = ARCHITECTURES.get(arch, "model.arch: ")
    if in_channels not in (1, 3):
        raise UserError(f"model.in_channels: {in_channels} must be 1 (grey) or 3 (RGB)")
    if classes < 2:
        raise UserError(f"model.arch: {arch} needs at least 2 classes to tell apart, the data set has {classes}")
    if image_size < MIN_SIZE:
        raise UserError(f"data.image_size: {image_size} px is too small; set {MIN_SIZE} or more")
    given = checked(found.builder, options, arch, f"model.options.{arch}")
    return found.builder(in_channels, classes, image_size, **given)


def parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)

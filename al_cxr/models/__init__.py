"""The architectures, one module each: what `model.arch` may name.

To add one, write a new file here with a function or class that has the decorator `architecture`; `cnn2.py` is the
shortest example. Another installed package adds its own with an entry point of the group `al_cxr.models`. A module that
needs an optional package at its top begins with an underscore: those are not imported unless they are asked for.
"""

from al_cxr.models.base import (
    ARCHITECTURES,
    Probability,
    Units,
    Width,
    architecture,
    build,
    defaults,
    names,
    parameters,
    takes_pixels,
)

__all__ = [
    "ARCHITECTURES",
    "Probability",
    "Units",
    "Width",
    "architecture",
    "build",
    "defaults",
    "names",
    "parameters",
    "takes_pixels",
]

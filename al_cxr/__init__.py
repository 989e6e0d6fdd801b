"""Active learning for chest radiographs: which images to label next, and how many labels that saved."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from al_cxr import strategies
    from al_cxr.api.experiment import Experiment
    from al_cxr.api.features import features
    from al_cxr.api.labelling import LabellingProject
    from al_cxr.bundles.opening import open_bundle
    from al_cxr.core.errors import UserError
    from al_cxr.data.load import load_data
    from al_cxr.sampling.pool_scores import score_pool
    from al_cxr.strategies import select
    from al_cxr.strategies.pool import Pool

__all__ = [
    "Experiment",
    "LabellingProject",
    "Pool",
    "UserError",
    "features",
    "load_data",
    "open_bundle",
    "score_pool",
    "select",
    "strategies",
]

_HOMES = {
    "Experiment": "al_cxr.api.experiment",
    "LabellingProject": "al_cxr.api.labelling",
    "Pool": "al_cxr.strategies.pool",
    "UserError": "al_cxr.core.errors",
    "features": "al_cxr.api.features",
    "load_data": "al_cxr.data.load",
    "open_bundle": "al_cxr.bundles.opening",
    "score_pool": "al_cxr.sampling.pool_scores",
    "select": "al_cxr.strategies",
}
"""Where each name is defined. It is imported when it is first used, so that `import al_cxr` does not wait for torch."""

try:
    __version__ = version("al-cxr")
except PackageNotFoundError:  # imported from a checkout that was not installed
    __version__ = "0+unknown"


if not TYPE_CHECKING:  # else a type checker would take every name for one of this module

    def __getattr__(name: str) -> Any:
        if name == "strategies":
            return importlib.import_module("al_cxr.strategies")
        if name not in _HOMES:
            raise AttributeError(f"module 'al_cxr' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

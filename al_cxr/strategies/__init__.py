"""Acquisition strategies: from the statistics of a pool to the images to label next. Arrays only, no torch."""

from al_cxr.strategies import balanced, basic, batch, diverse, ensembles, power, targeted, typical
from al_cxr.strategies.registry import Choice, Selection, Strategy, get, names, select, strategy, top_n

__all__ = [
    "Choice",
    "Selection",
    "Strategy",
    "balanced",
    "basic",
    "batch",
    "diverse",
    "ensembles",
    "get",
    "names",
    "power",
    "select",
    "strategy",
    "targeted",
    "top_n",
    "typical",
]

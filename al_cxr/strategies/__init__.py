"""Acquisition strategies: from the statistics of a pool to the images to label next. Arrays only, no torch.

A strategy is a function with the decorator `strategy`; a new file of this package is enough to add one, and so is an
entry point of the group `al_cxr.strategies` in another installed package. A stopping rule is a function with the
decorator `stopping.rule`, as in `stopping_rules.py`; its group of entry points is `al_cxr.rules`.
"""

from al_cxr.strategies.base import STRATEGIES, Choice, Strategy, names, strategy, top_n
from al_cxr.strategies.selection import Selection, get, select
from al_cxr.strategies.statistics import PoolStatistics, member_statistics

__all__ = [
    "STRATEGIES",
    "Choice",
    "PoolStatistics",
    "Selection",
    "Strategy",
    "get",
    "member_statistics",
    "names",
    "select",
    "strategy",
    "top_n",
]

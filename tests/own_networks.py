"""Networks such as a user has."""

from __future__ import annotations

import numpy as np
from torch import nn

from al_cxr.strategies.statistics import PoolStatistics

N = 23


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(3600, 3)
    )


def same(a: PoolStatistics, b: PoolStatistics, tolerance: float = 1e-5) -> None:
    assert a.per_image().keys() == b.per_image().keys()
    for name, array in a.per_image().items():
        np.testing.assert_allclose(array, b.per_image()[name], rtol=0, atol=tolerance, err_msg=name)

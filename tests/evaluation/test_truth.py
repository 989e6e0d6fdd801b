"""What a model predicted beside the truth: labels that are not those it was measured with are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import CLASSES, fake_run, labels

from al_cxr.comparison.finished import load_baseline
from al_cxr.core.errors import UserError
from al_cxr.core.predictions import read_predictions
from al_cxr.evaluation.truth import checked_predictions, labels_of


def test_truth_that_does_not_belong_to_a_model(tmp_path: Path) -> None:
    finished = load_baseline(fake_run(tmp_path / "run", arms={}, seeds=(0,)))
    baseline = finished.baselines[0]
    folder = finished.fit_folder(baseline.fit)
    index, probs, y = checked_predictions(folder, "test", labels(), baseline.test)
    assert list(index) == list(range(660, 780)) and probs.shape == (120, 3) and (y == labels()[660:]).all()
    for wrong in (labels()[:700], np.full(780, -1), np.roll(labels(), 1)):
        with pytest.raises(UserError, match="not those that it was measured with"):
            checked_predictions(folder, "test", wrong, baseline.test)
    images = pd.DataFrame({"label": ["tuberculosis", "covid", "normal"]})
    assert list(labels_of(images, CLASSES)) == [2, -1, 0]
    (tmp_path / "predictions.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="predictions cannot be read"):
        read_predictions(tmp_path, "test")
    with pytest.raises(UserError, match="are missing"):
        read_predictions(tmp_path / "nowhere", "test")

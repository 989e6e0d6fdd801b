"""Every model of a run on samples of its test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_run import fake_images, fake_run
from safetensors.numpy import load_file, save_file
from scipy.stats import ttest_1samp
from sklearn.metrics import f1_score

from al_cxr.comparison import comparisons
from al_cxr.comparison.finished import Finished, load
from al_cxr.comparison.inference import image_samples
from al_cxr.comparison.paired import paired
from al_cxr.core.errors import UserError

TB = "tuberculosis"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = fake_run(tmp_path_factory.mktemp("run"))
    fake_images(root)
    return load(root)


def f1(finished: Finished, arm: str, seed: int) -> np.ndarray:
    return np.array([r.test.of(TB).f1 for r in finished.rounds[arm, seed]])


def test_the_first_sample_is_what_was_recorded(finished: Finished) -> None:
    p = paired(finished)
    assert p.f1_RMAS.shape == (2001, 4, 4, 3) and p.units == 60 and "test patients (60)" in p.resampled
    for m, arm in enumerate(p.arms):
        for seed in range(3):
            np.testing.assert_allclose(p.f1_RMAS[0, m, :, seed], f1(finished, arm, seed))
    assert list(p.labels_A) == [180, 220, 260, 300]


def test_a_replicate_draws_patients_once_for_all_models(finished: Finished) -> None:
    """Computed again from the files: the same images for every fit, both of a patient together."""
    p, images = paired(finished), finished.images
    assert images is not None
    test = images[images["split"] == "test"]
    units = np.unique(test["patient_id"], return_inverse=True)[1]
    times = image_samples(60)[7, units].astype(int)
    for arm, seed, r in (("ce+random", 0, 1), ("focal+mc_entropy", 2, 3)):
        fit = finished.rounds[arm, seed][r].fit
        said = load_file(finished.fit_folder(fit) / "predictions.safetensors")["test_probs"].argmax(axis=1) == 2
        expected = f1_score(np.repeat(test["label"] == TB, times), np.repeat(said, times))
        assert p.f1_RAS(arm)[7, r, seed] == pytest.approx(expected)


def test_without_images_csv_seeds_alone_are_drawn(finished: Finished, tmp_path: Path) -> None:
    bare = load(fake_run(tmp_path))
    assert bare.images is None
    p = paired(bare)
    assert p.units == 1 and "no images.csv" in p.resampled
    np.testing.assert_allclose(p.f1_RMAS[1], p.f1_RMAS[0])
    whole = comparisons.areas(finished)
    np.testing.assert_allclose(comparisons.areas(bare)["difference"], whole["difference"])
    row = comparisons.areas(bare).set_index("arm").loc["ce+mc_entropy"]
    expected = ttest_1samp([row[f"difference_seed_{s}"] for s in range(3)], 0).confidence_interval()
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((expected.low, expected.high))


def test_predictions_must_be_those_of_the_record(tmp_path: Path) -> None:
    root = fake_run(tmp_path, {"r": ("random", "focal")}, seeds=(0,), rounds=1)
    fake_images(root)
    path = root / "fits/focal-0-0/predictions.safetensors"
    arrays = load_file(path)
    for changed, said in (
        ({"test_probs": arrays["test_probs"][::-1].copy()}, "do not give the F1"),
        ({"test_index": arrays["test_index"] + 1}, "other test images"),
    ):
        save_file(arrays | changed, path)
        with pytest.raises(UserError, match=said):
            paired(load(root))
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="predictions cannot be read"):
        paired(load(root))
    path.unlink()
    with pytest.raises(UserError, match="predictions are missing"):
        paired(load(root))

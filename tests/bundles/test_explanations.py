"""Maps for a report: those of the model that is named, kept beside it, and read from there the next time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, write_tiny

from al_cxr import models
from al_cxr.bundles.explain import explanation_maps
from al_cxr.bundles.explanations import explainer, maps_of
from al_cxr.cli.__main__ import main
from al_cxr.config import Machine
from al_cxr.core.checkpoint import save_tensors
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.records import FitRecord, write
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.experiment.fits import Fit, ModelCard
from al_cxr.sampling.scoring import predict
from al_cxr.training.runtime import plain

SIDE = 32
RUNTIME = plain(Machine(device="cpu"))
INDEX = np.array([5, 1, 3])
OPTIONS: dict[str, dict[str, object]] = {
    "cnn": {"width": 0.06},
    "rnn": {"width": 0.06},
    "vit": {"patch": 8, "dim": 16, "depth": 2, "heads": 2},
    "mlp": {},
}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    images = PhantomImages(8, seed=3, difficulty=0.0)
    return np.stack([images.read(i, SIDE)[0] for i in range(8)])


def fit_of(folder: Path, arch: str) -> Path:
    """A fit as a run leaves it, with initial weights."""
    torch.manual_seed(0)
    classes = ["a", "b", "c"]
    model = models.build(arch, 1, 3, SIDE, OPTIONS[arch])
    save_tensors(folder / "model.safetensors", model.state_dict())
    card = {"in_channels": 1, "image_size": SIDE, "mean": 0.5, "std": 0.5, "data": "d", "fingerprint": "f"}
    write(folder / "model.json", ModelCard(arch=arch, options=OPTIONS[arch], classes=classes, **card))
    metrics = measure(np.full((3, 3), 1 / 3), np.arange(3), classes)
    hashes = {"labelled_hash": "l", "initial_weights_hash": "i", "final_weights_hash": "f"}
    record = {"parameters": 1, "loss": "ce", "n_labelled": 3, "best_epoch": 1, "history": [], **hashes}
    write(folder / "fit.json", FitRecord(key="k", arch=arch, val=metrics, test=metrics, **record))
    return folder


@pytest.mark.parametrize(
    ("arch", "says"), [("cnn", "Grad-CAM"), ("rnn", "attention over rows"), ("vit", "attention rollout")]
)
def test_each_image_has_the_map_of_its_own_class(arch: str, says: str, tmp_path: Path, pixels: np.ndarray) -> None:
    folder, classes = fit_of(tmp_path, arch), np.array([2, 0, 1])
    found = explainer(pixels, RUNTIME)(folder, INDEX, classes)
    model = Fit(folder, FitRecord.model_validate_json((folder / "fit.json").read_bytes())).model(RUNTIME)
    assert found.says == says and found.values_NSS is not None and found.values_NSS.dtype == np.uint8
    for i, c, values in zip(INDEX, classes, found.values_NSS, strict=True):
        image = torch.from_numpy(pixels[i])[None, None].float() / 255
        expected = 255 * explanation_maps(model, (image - 0.5) / 0.5, int(c))[0].numpy()
        assert np.abs(values - expected).max() <= 1


def test_without_classes_the_models_own_answer_is_explained(tmp_path: Path, pixels: np.ndarray) -> None:
    folder = fit_of(tmp_path, "cnn")
    fit = Fit(folder, FitRecord.model_validate_json((folder / "fit.json").read_bytes()))
    answers = predict(fit.model(RUNTIME), fit.loader(pixels, RUNTIME).batches(INDEX, 8)).argmax(axis=1)
    own, told = (maps_of(folder, INDEX, c, pixels=pixels, runtime=RUNTIME).values_NSS for c in (None, answers))
    np.testing.assert_array_equal(own, told)


def test_maps_are_computed_once(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, classes = fit_of(tmp_path, "cnn"), np.zeros(3, np.int64)
    explained = explainer(pixels, RUNTIME)
    first = explained(folder, INDEX, classes)
    (kept,) = folder.glob("maps-*.safetensors")
    monkeypatch.setattr(Fit, "model", lambda *_: pytest.fail("a network was made again"))
    again = explained(folder, INDEX, classes)
    np.testing.assert_array_equal(first.values_NSS, again.values_NSS)
    assert again.says == first.says
    with pytest.raises(pytest.fail.Exception):  # other images, other maps
        explained(folder, INDEX[:2], classes[:2])
    save_tensors(kept, {"maps": torch.zeros(1, 2, 2)})
    with pytest.raises(UserError, match="these maps are not of the images"):
        explained(folder, INDEX, classes)
    kept.write_bytes(b"x")
    with pytest.raises(UserError, match="not a file of weights"):
        explained(folder, INDEX, classes)


def test_an_architecture_without_maps_says_why(tmp_path: Path, pixels: np.ndarray) -> None:
    folder = fit_of(tmp_path, "mlp")
    found = maps_of(folder, INDEX, None, pixels=pixels, runtime=RUNTIME)
    assert found.values_NSS is None and "no map to show" in found.says
    assert not list(folder.glob("maps-*"))


@pytest.mark.usefixtures("undrawn")
def test_a_run_keeps_its_maps_and_a_report_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = re.sub("  ce-(margin|random): .*\n", "", TINY).replace("rounds: 2", "rounds: 1").replace("[0, 1]", "[0]")
    write_tiny(tmp_path, few)
    assert main(["run", "tiny.yaml"]) == 0
    page = (tmp_path / "results/tiny/README.md").read_text()
    assert "figures/images-focal-mc_entropy-0.png" in page and "figures/samples-focal-mc_entropy.png" in page
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("maps-*.safetensors")}
    assert len(kept) == 3, "of the query, of the arm's samples and of the baseline's"
    monkeypatch.setattr(Fit, "model", lambda *_: pytest.fail("a network was made again"))
    for command in (["report", "runs/tiny"], ["run", "tiny.yaml"]):
        assert main(command) == 0
        assert (tmp_path / "results/tiny/README.md").read_text() == page
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("maps-*.safetensors")} == kept

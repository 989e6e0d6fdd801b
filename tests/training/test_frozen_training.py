"""A run on the features of a frozen backbone is a run of the whole network; varied copies, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from frozen_backbone import RUNTIME, network, settings
from opened import opened_run
from safetensors.torch import save_file

from al_cxr.config import AugmentSettings, ScannerSettings, Settings
from al_cxr.config import files as experiment
from al_cxr.core.errors import UserError
from al_cxr.core.records import QueryRecord, read
from al_cxr.core.seeds import stream
from al_cxr.data.augment import augment
from al_cxr.data.load import load_first
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.experiment.arm import Arm
from al_cxr.experiment.executor import ThisProcess
from al_cxr.experiment.external_test import evaluate_model, find_models
from al_cxr.experiment.fits import Fit, obtain
from al_cxr.experiment.shared_backbones import FitLoaders
from al_cxr.experiment.workspace import Workspace
from al_cxr.sampling.scoring import penultimate, predict
from al_cxr.training.feature_cache import FOLDER, Views, feature_loader

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")


def open_run(folder: Path, given: Settings) -> Workspace:
    return opened_run(given, folder, "run")


VIEWS = Views(3, np.array([1, 4, 5, 9, 20]), AugmentSettings(scanner=ScannerSettings()))


def test_views_are_features_of_varied_images(weights: Path, store: PixelStore, tmp_path: Path) -> None:
    loader = feature_loader(network(weights), store, tmp_path, RUNTIME, VIEWS)
    assert len(list((tmp_path / FOLDER).rglob("*.npy"))) == 4
    plain = feature_loader(network(weights), store, tmp_path, RUNTIME)
    np.testing.assert_array_equal(plain.features_NK, loader.features_NK)
    assert plain.key != loader.key
    fewer = feature_loader(network(weights), store, tmp_path, RUNTIME, replace(VIEWS, count=2))
    assert len(list((tmp_path / FOLDER).rglob("*.npy"))) == 4 and fewer.key != loader.key
    other = AugmentSettings(rotation=3.0)
    assert feature_loader(network(weights), store, tmp_path, RUNTIME, replace(VIEWS, augment=other)).key != loader.key

    pixels = Loader(store.pixels, mean=0.0, std=1.0)
    (_, images), *_ = pixels.raw(VIEWS.index_M, 8)
    drawn = torch.cat(
        [
            augment(image[None], VIEWS.augment, torch.Generator().manual_seed(stream(1, "views", store.digests[i])))
            for i, image in zip(VIEWS.index_M, images, strict=True)
        ]
    )
    with torch.no_grad():
        expected = network(weights).eval().features(drawn).numpy()
    np.testing.assert_allclose(loader._views_VMK[1], expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="no varied copies"):
        loader.varied(np.array([0]), torch.zeros(1, 96), VIEWS.augment, torch.Generator())


@pytest.mark.parametrize(("originals", "shares"), [(None, [1 / 4] * 4), (0.7, [0.7, 0.1, 0.1, 0.1]), (1, [1, 0, 0, 0])])
def test_an_epoch_draws_one_of_the_views_or_the_image_itself(
    weights: Path, store: PixelStore, tmp_path: Path, originals: float | None, shares: list[float]
) -> None:
    loader = feature_loader(network(weights), store, tmp_path, RUNTIME, replace(VIEWS, originals=originals))
    index_B, generator = np.repeat(VIEWS.index_M, 200), torch.Generator().manual_seed(0)
    (_, features), *_ = loader.raw(index_B, len(index_B))
    got = loader.varied(index_B, features, VIEWS.augment, generator).numpy()
    choices = [loader.features_NK[VIEWS.index_M], *loader._views_VMK]
    which = np.array([[np.array_equal(row, c[i // 200]) for c in choices] for i, row in enumerate(got)])
    assert (which.sum(axis=1) == 1).all()
    assert np.abs(which.mean(axis=0) - shares).max() < 0.05
    mean, std = loader.moments(VIEWS.index_M)
    np.testing.assert_allclose(mean, np.concatenate(choices).mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(std, np.concatenate(choices).std(axis=0), rtol=1e-4, atol=1e-6)


def test_a_head_is_trained_on_the_views(weights: Path, tmp_path: Path) -> None:
    varied = settings(weights, tmp_path / "cache", train={"views": 2, "augment": {"rotation": 30.0}})
    plain = settings(weights, tmp_path / "cache")
    fits = []
    for name, given in (("varied", varied), ("plain", plain)):
        workspace = open_run(tmp_path / name, given)
        fits.append(obtain(workspace, "cross_entropy", 0, workspace.train_index[:20]))
    assert fits[0].record.final_weights_hash != fits[1].record.final_weights_hash
    again = obtain(open_run(tmp_path / "again", varied), "cross_entropy", 0, fits_index(varied)[:20])
    assert again.record.final_weights_hash == fits[0].record.final_weights_hash
    assert fits[0].model_card() == fits[1].model_card()  # views are of the training: the model asks for none


def fits_index(given: Settings) -> np.ndarray:
    return load_first(given.data).indices("train")


def test_a_fit_on_features_is_the_whole_network_on_pixels(weights: Path, tmp_path: Path) -> None:
    given = settings(weights, tmp_path / "cache")
    workspace = open_run(tmp_path / "run", given)
    found = obtain(workspace, "cross_entropy", 0, workspace.train_index)
    card = found.model_card()
    assert (card.tune, card.mean, card.std, len(card.backbone)) == ("frozen", 0.0, 1.0, 64)
    assert found.record.parameters == 96 * 3 + 3
    assert (found.folder / "model.safetensors").stat().st_size < 5_000  # the head alone
    everything = np.arange(len(workspace.dataset))
    on_features = predict(found.part_for(workspace.loader, RUNTIME), workspace.loader.batches(everything, 16))
    on_pixels = predict(found.model(RUNTIME), found.loader(workspace.store.pixels, RUNTIME).batches(everything, 16))
    np.testing.assert_allclose(on_features, on_pixels, atol=1e-5)
    assert on_features.std(axis=0).max() > 0.01
    index, probs = found.predictions("test")
    np.testing.assert_allclose(on_pixels[index], probs, atol=1e-5)
    (named,) = find_models(found.folder)
    loaders = FitLoaders(workspace.store, RUNTIME, tmp_path / "other")
    judged = evaluate_model(named, workspace.dataset, loaders, RUNTIME)
    np.testing.assert_allclose(judged.predicted.probs_NC, on_pixels, atol=1e-5)
    assert loaders.of(found) is loaders.of(found) and len(list((tmp_path / "other" / FOLDER).rglob("*.npy"))) == 1


def test_features_are_standardised_by_the_training_split(weights: Path, tmp_path: Path) -> None:
    workspace = open_run(tmp_path / "run", settings(weights, tmp_path / "cache"))
    assert isinstance(workspace.loader, FeatureLoader)
    state = workspace.build_model(0).state_dict()
    train = workspace.loader.features_NK[workspace.train_index]
    np.testing.assert_allclose(state["standardise.mean"], train.mean(axis=0), rtol=1e-4, atol=1e-6)
    std = train.std(axis=0)
    np.testing.assert_allclose(state["standardise.std"], np.where(std > 0, std, 1), rtol=1e-4, atol=1e-6)


def test_monte_carlo_dropout_and_penultimate_features_of_the_head(weights: Path, tmp_path: Path) -> None:
    workspace = open_run(tmp_path / "run", settings(weights, tmp_path / "cache"))
    Arm(workspace, "mc", 0, workspace.dataset.labels_N.__getitem__, ThisProcess()).run()
    query = read(tmp_path / "run" / "arms" / "mc" / "seed-0" / "query-0.json", QueryRecord)
    assert query.passes == 3 and len(query.random_sites) == 1 and query.random_sites[0].startswith("dropout")
    assert query.sampling is not None and "plain" not in query.sampling
    found = obtain(workspace, "cross_entropy", 0, workspace.train_index)
    model: Any = found.part_for(workspace.loader, RUNTIME)
    features = penultimate(model, workspace.loader.batches(np.arange(5), 16))
    raw = torch.from_numpy(np.array(workspace.loader._pixels[:5]))
    np.testing.assert_allclose(features, model.standardise(raw).numpy(), rtol=1e-5)


def test_other_weights_under_the_same_name_are_refused(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "weights.safetensors"
    own.write_bytes(weights.read_bytes())
    given = settings(own, tmp_path / "cache")
    workspace = open_run(tmp_path / "run", given)
    found = obtain(workspace, "cross_entropy", 0, workspace.train_index)
    state = network(weights).body.state_dict()
    save_file({k: v + 0.01 if k == "conv1.0.weight" else v for k, v in state.items()}, own)
    with pytest.raises(UserError, match=r"model\.options\.backbone: the backbone has other weights now"):
        found.model(RUNTIME)
    again = obtain(open_run(tmp_path / "run", given), "cross_entropy", 0, workspace.train_index)
    assert again.record.key != found.record.key


def test_tuning_all_or_the_last_stage_goes_through_pixels(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "weights.safetensors"
    for tune in ("all", "last"):
        own.write_bytes(weights.read_bytes())
        given = settings(own, tmp_path / "cache", model={"tune": tune}, train={"epochs": 1})
        workspace = open_run(tmp_path / tune, given)
        assert not isinstance(workspace.loader, FeatureLoader)
        assert (workspace.loader.mean, workspace.loader.std) == (0.0, 1.0)
        found: Fit = obtain(workspace, "cross_entropy", 0, workspace.train_index)
        own.unlink()  # a fit that holds all its weights needs nothing else
        every = np.arange(len(workspace.dataset))
        probs = predict(found.model(RUNTIME), found.loader(workspace.store.pixels, RUNTIME).batches(every, 16))
        index, kept = found.predictions("test")
        np.testing.assert_allclose(probs[index], kept, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"augment": {}}}, r"train\.augment: model\.tune frozen .*set it to null, or .*train\.views"),
        ({"train": {"views": 2}}, r"train\.augment: model\.tune frozen "),
        ({"train": {"views": 2, "augment": {}}, "model": {"tune": "all"}}, r"train\.views: model\.tune all .*to 0"),
        ({"train": {"originals": 0.5}}, r"train: .*originals is how often .*set views"),
        ({"train": {"cutmix": 1.0}}, r"train\.cutmix: .*set it to 0"),
        ({"train": {"layer_decay": 0.5}}, r"train\.layer_decay: .*set it to 1"),
        ({"model": {"tune": "froze"}}, r"model\.tune: "),
    ],
)
def test_settings_that_make_no_sense_on_features(weights: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings(weights, Path("cache"), **changes)


def test_the_pixel_loader_is_as_before() -> None:
    pixels = np.arange(2 * 4, dtype=np.uint8).reshape(2, 2, 2)
    ((_, images),) = Loader(pixels, channels=3).batches(np.array([1, 0]), 2)
    expected = (pixels[[1, 0]][:, None].repeat(3, axis=1) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_shipped_experiment_is_valid() -> None:
    path = Path(__file__).parents[2] / "experiments" / "cxr3_features.yaml"
    shipped = experiment.load(path)
    assert shipped.model.tune == "frozen" and shipped.data.image_size == 224
    assert "extends" in yaml.safe_load(path.read_text())

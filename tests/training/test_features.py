"""Cached features: computed once, whole or not at all, and a run on them is a run of the whole network."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from opened import opened_run
from safetensors.torch import save_file
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from al_cxr import models
from al_cxr.cli.__main__ import main
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
from al_cxr.models.crops import chests, summary
from al_cxr.sampling.engine import Sampling, engine
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import penultimate, predict
from al_cxr.training.feature_cache import FOLDER, Views, feature_loader, missing
from al_cxr.training.runtime import Runtime

timm = pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")

RUNTIME = Runtime("cpu", "fp32", True, 1, 16, 0.0)
DATA = {"sources": [{"kind": "phantom", "count": 60, "seed": 0}], "image_size": 32}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    net = timm.create_model("test_resnet", pretrained=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PixelStore:
    dataset = load_first(experiment.validate({"data": DATA}, "test").data)
    return PixelStore.open(dataset.images, 32, tmp_path_factory.mktemp("pixels"), 1)


def network(weights: Path | str, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("backbone", 1, 3, 32, {"name": "test_resnet", "weights": str(weights), **options})


def settings(weights: Path, cache: Path, **changes: Any) -> Settings:
    tiny = {
        "data": DATA,
        "model": {
            "arch": "backbone",
            "tune": "frozen",
            "options": {"backbone": {"name": "test_resnet", "weights": str(weights), "head_dropout": 0.3}},
        },
        "train": {"epochs": 3, "batch_size": 16, "lr": 0.01, "augment": None},
        "budget": {"seed": 0.4, "query": 0.2, "rounds": 1},
        "scoring": {"passes": 3},
        "arms": {
            "mc": {"strategy": "mc_entropy", "loss": "cross_entropy"},
            "random": {"strategy": "random", "loss": "cross_entropy"},
        },
        "machine": {"threads": 1, "precision": "fp32", "cache": str(cache), "score_batch": 16},
    }
    return experiment.validate(experiment.merge(tiny, changes), "test.yaml")


def open_run(folder: Path, given: Settings) -> Workspace:
    return opened_run(given, folder, "run")


# ------------------------------------------------------------------------------------------------------------ the cache
def test_features_are_what_the_backbone_gives(weights: Path, store: PixelStore, tmp_path: Path) -> None:
    backbone = network(weights)
    loader = feature_loader(backbone, store, tmp_path, RUNTIME)
    images = torch.from_numpy(np.array(store.pixels)).unsqueeze(1).float() / 255
    with torch.no_grad():
        expected = backbone.eval().features(images).numpy()
    assert loader.features_NK.dtype == np.float32 and loader.features_NK.shape == (60, 96)
    np.testing.assert_allclose(loader.features_NK, expected, rtol=1e-4, atol=1e-5)
    assert not loader.features_NK.flags.writeable


def test_they_are_computed_once_and_again_when_anything_changes(
    weights: Path, store: PixelStore, tmp_path: Path
) -> None:
    def files() -> dict[str, int]:
        root = tmp_path / FOLDER
        return {str(p.relative_to(root)): p.stat().st_ino for p in root.rglob("*.*")}

    first = feature_loader(network(weights), store, tmp_path, RUNTIME)
    (name, inode), *others = files().items()
    assert name == f"{first.key}.npy" and not others
    again = feature_loader(network(weights), store, tmp_path, RUNTIME)
    assert again.key == first.key and again.backbone == first.backbone and files() == {name: inode}
    changed = network(weights)
    with torch.no_grad():
        changed.body.conv1[0].weight[0, 0, 0, 0] += 1e-3
    brighter = network(weights)
    brighter.mean += 0.01
    other = PixelStore(store.pixels, ["0" * 64, *store.digests[1:]])
    variants = [(changed, store), (brighter, store), (network(weights), other)]
    keys = {feature_loader(backbone, pixels, tmp_path, RUNTIME).key for backbone, pixels in variants}
    assert len(keys | {first.key}) == 4 and len(files()) == 4


class Counted:
    """How often a backbone is asked for features."""

    def __init__(self, backbone: Any) -> None:
        self.passes = 0
        computed = backbone.features

        def features(images: torch.Tensor) -> torch.Tensor:
            self.passes += 1
            return computed(images)

        backbone.features = features


def test_images_that_another_data_set_has_are_not_computed_again(
    weights: Path, store: PixelStore, tmp_path: Path
) -> None:
    def part(rows: list[int]) -> PixelStore:
        return PixelStore(store.pixels[rows], [store.digests[i] for i in rows])

    def computed(rows: list[int], views: Views | None = None) -> tuple[FeatureLoader, int]:
        backbone = network(weights)
        counted = Counted(backbone)
        loader = feature_loader(backbone, part(rows), tmp_path / "cache", RUNTIME, views)
        return loader, counted.passes

    few, grown, some = [3, 9, 4], list(range(20)), [19, 4, 4, 25]
    assert computed(few)[1] == 1
    assert computed(grown)[1] == 3  # 17 new ones, 8 a pass
    loader, passes = computed(some)
    assert passes == 1  # for image 25 alone
    alone = feature_loader(network(weights), part(some), tmp_path / "other", RUNTIME)
    np.testing.assert_array_equal(loader.features_NK, alone.features_NK)  # to the bit, whatever stood beside them
    assert loader.key == alone.key

    views = Views(2, np.array([0, 1]), AugmentSettings(scanner=ScannerSettings()))
    assert computed(few, views)[1] == 2
    grown_views, passes = computed(grown, replace(views, index_M=np.array([9, 12, 3])))
    assert passes == 2  # image 12 in each view
    alone = feature_loader(
        network(weights), part([12]), tmp_path / "other", RUNTIME, replace(views, index_M=np.array([0]))
    )
    for view in range(2):
        np.testing.assert_array_equal(grown_views._views_VMK[view][1], alone._views_VMK[view][0])


def test_a_computation_that_was_killed_goes_on(
    weights: Path, store: PixelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_cxr.training.feature_file.PART", 16)
    expected = feature_loader(network(weights), store, tmp_path / "other", RUNTIME)
    backbone = network(weights)
    counted, computed = Counted(backbone), backbone.features

    def killed(images: torch.Tensor) -> torch.Tensor:
        if counted.passes == 5:
            raise KeyboardInterrupt
        return computed(images)  # type: ignore[no-any-return]

    backbone.features = killed
    with pytest.raises(KeyboardInterrupt):
        feature_loader(backbone, store, tmp_path, RUNTIME)
    kept = sorted((tmp_path / FOLDER).rglob("*.*"))
    assert len(kept) == 2 and all(".part-" in file.name for file in kept)  # 32 of 60 images; the fifth pass is lost

    second = network(weights)
    counted = Counted(second)
    loader = feature_loader(second, store, tmp_path, RUNTIME)
    assert counted.passes == 4  # 28 images, 8 a pass
    np.testing.assert_array_equal(loader.features_NK, expected.features_NK)
    assert [file.name for file in (tmp_path / FOLDER).rglob("*.*")] == [f"{loader.key.rpartition('/')[2]}.npy"]


def test_what_is_missing_is_what_would_be_computed(weights: Path, store: PixelStore, tmp_path: Path) -> None:
    def part(rows: list[int]) -> PixelStore:
        return PixelStore(store.pixels[rows], [store.digests[i] for i in rows])

    views = Views(2, np.array([0, 1]), AugmentSettings())
    assert missing(network(weights), part([3, 9, 4, 4]), tmp_path, views) == 3 + 2 * 2
    feature_loader(network(weights), part([3, 9, 4, 4]), tmp_path, RUNTIME, views)
    assert missing(network(weights), part([3, 9, 4, 4]), tmp_path, views) == 0
    assert missing(network(weights), part([3, 9, 7]), tmp_path, replace(views, index_M=np.array([0, 2]))) == 1 + 2
    assert missing(network(weights, layers=["layer2"]), part([3]), tmp_path) == 1


def test_a_plan_computes_no_features(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = settings(weights, tmp_path / "cache").model_dump(mode="json", exclude_unset=True)
    (tmp_path / "frozen.yaml").write_text(yaml.safe_dump(wanted))
    assert main(["run", "frozen.yaml", "--plan"]) == 0
    assert "to do     features of 60 images and varied copies first" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache" / FOLDER).exists()
    assert main(["baseline", "frozen.yaml"]) == 0
    capsys.readouterr()
    assert main(["run", "frozen.yaml", "--plan"]) == 0
    assert "models to train" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_damaged_features_are_computed_again(
    weights: Path, store: PixelStore, tmp_path: Path, damage: bytes | None
) -> None:
    first = feature_loader(network(weights), store, tmp_path, RUNTIME)
    expected = np.array(first.features_NK)
    path = tmp_path / FOLDER / f"{first.key}.npy"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-4] if damage is None else damage)
    np.testing.assert_array_equal(feature_loader(network(weights), store, tmp_path, RUNTIME).features_NK, expected)
    assert path.read_bytes() == whole


def test_a_pickle_in_the_cache_is_never_loaded(weights: Path, store: PixelStore, tmp_path: Path) -> None:
    first = feature_loader(network(weights), store, tmp_path, RUNTIME)
    path = tmp_path / FOLDER / f"{first.key}.npy"
    path.unlink()
    np.save(path, np.array([{"not": "features"}], dtype=object), allow_pickle=True)
    again = feature_loader(network(weights), store, tmp_path, RUNTIME)
    assert again.features_NK.shape == (60, 96)


def test_whole_or_not_at_all(weights: Path, store: PixelStore, tmp_path: Path) -> None:
    broken = network(weights)
    with torch.no_grad():
        broken.body.layer4[0].conv1.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="test_resnet: some features are not finite"):
        feature_loader(broken, store, tmp_path, RUNTIME)
    (kind,) = (tmp_path / FOLDER).iterdir()
    assert list(kind.iterdir()) == []
    whole = feature_loader(network(weights), store, tmp_path, RUNTIME)
    path = tmp_path / FOLDER / f"{whole.key}.npy"
    path.unlink()
    old, new = path.with_name(".old.tmp"), path.with_name(".new.tmp")
    for draft in (old, new):
        draft.touch()
    os.utime(old, (0, 0))
    feature_loader(network(weights), store, tmp_path, RUNTIME)
    assert not old.exists() and new.exists()  # the new one may be another process's
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"feature cache cannot be used: .*machine\.cache"):
        feature_loader(network(weights), store, tmp_path / "file", RUNTIME)


def test_the_loader_gives_rows_as_they_are() -> None:
    features_NK = np.arange(40, dtype=np.float32).reshape(10, 4)
    loader = FeatureLoader(features_NK, "key", "hash")
    order = np.array([7, 2, 9, 0, 4])
    for read_in in (loader.raw, loader.batches):
        got = list(read_in(order, 2))
        assert [len(index) for index, _ in got] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate([x for _, x in got]), features_NK[order])
        np.testing.assert_array_equal(np.concatenate([index for index, _ in got]), order)
    assert torch.equal(loader.prepare(torch.ones(2, 4)), torch.ones(2, 4))


def test_inner_layers_and_the_chest_stand_beside_the_networks_own_features(
    weights: Path, store: PixelStore, tmp_path: Path
) -> None:
    plain, deep = network(weights), network(weights, layers=["layer2", "layer4.0"], chest=True)
    images = torch.from_numpy(np.array(store.pixels[:5])).unsqueeze(1).float() / 255
    expected = []
    with torch.no_grad():
        for look in (images, chests(images)):
            scaled = (look.expand(-1, 3, -1, -1) - plain.mean) / plain.std
            maps = create_feature_extractor(plain.body.eval(), ["layer2", "layer4.0"])(scaled)
            expected += [plain.eval().features(look), summary(maps["layer2"]), summary(maps["layer4.0"])]
        got = deep.eval().features(images)
    torch.testing.assert_close(got, torch.cat(expected, dim=1))
    assert deep.head.linear.in_features == got.shape[1]
    variants = [plain, deep, network(weights, chest=True), network(weights, layers=["layer2"])]
    assert len({feature_loader(each, store, tmp_path, RUNTIME).key for each in variants}) == 4


def test_what_is_before_the_head_is_computed_once_for_all_passes(weights: Path, store: PixelStore) -> None:
    deep = network(weights, layers=["layer2", "layer4.0"], chest=True, head_dropout=0.5).eval()
    images = torch.from_numpy(np.array(store.pixels[:6])).unsqueeze(1).float() / 255
    with engine(deep, images, Sampling(5, 0, 0)) as sampled:
        before, everything = map(int, re.findall(r"(\d+) of (\d+) operations once an image", sampled.note)[0])
    assert everything - before == 2  # dropout and the linear layer
    pool = [(np.arange(6), images)]
    fast, slow = (monte_carlo(deep, pool, Sampling(5, 0, 0, fast=fast)) for fast in (True, False))
    np.testing.assert_allclose(fast.predictive_entropy_N, slow.predictive_entropy_N, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["layer5"], r"model\.options\.backbone\.layers: test_resnet has no layer 'layer5'; did you mean 'layer4'"),
        (["global_pool"], r"model\.options\.backbone\.layers: global_pool gives \(1, 96\) and no map"),
        ("layer4", r"model\.options\.backbone\.layers: "),
    ],
)
def test_layers_that_cannot_be_summed_up(weights: Path, layers: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(weights, layers=layers)


# ------------------------------------------------------------------------------------------------------ varied copies
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


# -------------------------------------------------------------------------------------------------- a run on features
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
    np.testing.assert_allclose(judged.probs_NC, on_pixels, atol=1e-5)
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

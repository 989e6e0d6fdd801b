"""Cached features: computed once, whole or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from frozen_backbone import RUNTIME, network, settings

from al_cxr.cli.__main__ import main
from al_cxr.config import AugmentSettings, ScannerSettings
from al_cxr.core.errors import UserError
from al_cxr.data.loader import FeatureLoader
from al_cxr.data.store import PixelStore
from al_cxr.training.feature_cache import FOLDER, Views, feature_loader, missing

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")


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
        backbone.body.register_forward_hook(self._count)

    def __deepcopy__(self, memo: Any) -> Counted:
        return self  # twins in other threads count too

    def _count(self, *given: Any) -> None:
        self.passes += 1


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
        feature_loader(backbone, store, tmp_path, RUNTIME, workers=1)
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

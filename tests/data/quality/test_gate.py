"""The gate: images with nothing on them, copies and images of another kind are told, and radiographs are not."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from al_cxr.config import DataSettings
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import decode_bytes
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.data.quality import gate
from al_cxr.data.quality.odd import check_file, check_images, framed
from al_cxr.data.quality.usual import features, fit
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.data.store import PixelStore

SETTINGS = DataSettings(sources=[PhantomSource(kind="phantom")])
Y, X = np.mgrid[0:1:64j, 0:1:64j]


def phantoms(count: int, size: int = 64) -> np.ndarray:
    images = PhantomImages(count, seed=5, difficulty=0.5)
    return np.stack([images.read(i, size)[0] for i in range(count)])


def grey(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).clip(0, 255).astype(np.uint8)


EMPTY = {
    "black": (grey(0 * X), "blank: one grey (0)"),
    "white": (grey(0 * X + 255), "blank: one grey (255)"),
    "grey": (grey(0 * X + 100), "blank: one grey (100)"),
    "one letter on black": (np.pad(grey(255 + 0 * X[:5, :5]), ((0, 59), (0, 59))), "almost without contrast"),
    "faint": (grey(100 + 20 * X), "almost without contrast"),
    "overexposed": (grey(255 - 200 * (np.hypot(X - 0.5, Y - 0.5) < 0.25)), "saturated"),
    "black and white": (grey(255 * (X > 0.3)), "saturated"),
    "two greys": (grey(40 + 160 * (X > 0.3)), "almost without contrast"),
    "shade": (grey(255 * X), "nothing but a smooth shade"),
    "vignette": (grey(255 * (1 - np.hypot(X - 0.5, Y - 0.5))), "nothing but a smooth shade"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_image_with_nothing_on_it_is_unusable_at_any_size(name: str) -> None:
    image, says = EMPTY[name]
    for size in (28, 64, 224):
        resized = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
        (seen,) = check_images(resized[None], None)
        assert seen.unusable and seen.what.startswith(says), (size, seen)


@pytest.mark.parametrize("size", [28, 64, 224])
def test_phantoms_are_neither_unusable_nor_doubtful_and_as_unlike_as_those_of_validation(size: int) -> None:
    images = phantoms(120, size)
    usual = fit(features(framed(images[:60])), features(framed(images[60:90])))
    seen = check_images(images, usual)
    assert not any(one.what for one in seen)
    later = [one.unlike for one in seen[90:]]
    assert 0.2 < np.mean(later) < 0.8  # type: ignore[arg-type]  # with a summary each has a number


def test_what_is_no_upright_radiograph_is_doubtful() -> None:
    images = phantoms(120)
    usual = fit(features(images[:80]), features(images[80:110]))
    rng = np.random.default_rng(0)
    clouds = gaussian_filter(rng.normal(size=(64, 64)), 3)
    others = {
        "a negative": 255 - images[110],
        "turned by 180": images[111, ::-1, ::-1],
        "no frontal chest": rng.integers(0, 255, (64, 64)).astype(np.uint8),
        "": images[112],
    }
    seen = check_images(np.stack(list(others.values())), usual)
    for says, one in zip(others, seen, strict=True):
        assert one.what.startswith(says) and bool(one.what) == bool(says) and not one.unusable
    assert seen[3].unlike is not None and seen[3].unlike < min(one.unlike or 0 for one in seen[:3])
    landscape = grey(128 + 900 * clouds + 120 * (Y < 0.4))
    assert check_images(landscape[None], usual)[0].unlike == 1.0


def test_files_too_small_to_show_anything_and_coloured_ones(tmp_path: Path) -> None:
    picture = Image.fromarray(phantoms(1)[0])
    for name, image, unusable, says in (
        ("tiny", picture.resize((8, 8)), True, "only 8 x 8 pixels"),
        ("red", Image.merge("RGB", [picture, picture.point(lambda v: v // 2), picture]), False, "coloured"),
        ("grey as RGB", picture.convert("RGB"), False, ""),
        ("small", picture.resize((28, 28)), False, ""),
    ):
        image.save(tmp_path / "x.png")
        seen = check_file((tmp_path / "x.png").read_bytes())
        assert (seen.unusable, seen.what.startswith(says), bool(seen.what)) == (unusable, True, bool(says)), name


class Named:
    key = "named"

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def name(self, index: int) -> str:
        return f"{index}.png"


def made(pixels: np.ndarray, digests: list[str], splits: list[str]) -> tuple[Dataset, PixelStore]:
    n = len(pixels)
    table = pd.DataFrame({"image": "", "label": "", "split": splits, "patient_id": [""] * n, "source": ""})
    images = Named(n)
    dataset = Dataset("d", ("a", "b"), np.arange(n) % 2, np.array(splits), table, images)  # type: ignore[arg-type]
    return dataset, PixelStore(pixels, digests)


def test_copies_between_splits_come_first_and_each_kind_is_counted() -> None:
    pixels = phantoms(60)
    splits = ["train"] * 40 + ["val"] * 8 + ["test"] * 12
    digests = [f"d{i}" for i in range(60)]
    pixels[50], digests[50] = pixels[3], digests[3]  # the same file
    pixels[51] = pixels[4]  # another file with the same pixels
    pixels[41], digests[41] = pixels[5], digests[5]
    pixels[52] = 0
    pixels[2] = 0  # of blank images it is said that they are blank, not that they are copies
    dataset, store = made(pixels, digests, splits)
    groups: list[int | None] = [None] * 60
    groups[6] = groups[53] = 0
    said = gate.warnings(dataset, store, gate.inspect(dataset, store, gate.reference(dataset, store)), groups)
    assert said[0].startswith("3 of 12 test images are copies of images of train (2 identical, 1 nearly so)")
    assert said[1].startswith("1 of 8 val images is a copy of an image of train (1 identical)")
    assert said[2].startswith("2 of 60 images have nothing on them to see (1 of train, 1 of test): 2.png (blank")
    assert len(said) == 3 and "50.png, 51.png, 53.png" in said[0]


def test_one_image_many_times_is_said_within_a_split() -> None:
    pixels = phantoms(40)
    pixels[:20] = pixels[0]
    dataset, store = made(pixels, [f"d{i}" for i in range(40)], ["train"] * 30 + ["val"] * 10)
    seen = gate.inspect(dataset, store, None)
    said = gate.warnings(dataset, store, seen, [None] * 40)
    assert [s[:41] for s in said] == ["19 of 40 images are identical copies of o"]
    assert seen.different == 21


def test_near_copies_of_images_that_a_program_drew_are_not_believed() -> None:
    dataset, store = made(phantoms(4), ["a", "b", "c", "d"], ["train", "train", "val", "test"])
    seen = gate.inspect(dataset, store, None)
    assert len(gate.leaks(dataset, store, seen, [0, None, None, 0])) == 1
    assert gate.leaks(dataclasses.replace(dataset, synthetic=True), store, seen, [0, None, None, 0]) == []


@pytest.mark.parametrize(
    ("name", "odd", "leaks"),
    [("shenzhen.csv", [], []), ("cxr3.csv", ["images/nih14/00003490_011.jpg"], [])],
)
def test_real_radiographs_raise_no_false_alarm(
    cxr_root: Path, tmp_path: Path, name: str, odd: list[str], leaks: list[str]
) -> None:
    """The one that is told lies upside down in its collection."""
    dataset = splits.complete(ManifestSource(path=str(cxr_root / name)).read(), SETTINGS)
    store = PixelStore.open(dataset.images, 64, tmp_path, progress=False)
    usual = gate.reference(dataset, store)
    seen = gate.inspect(dataset, store, usual)
    assert [n for n, one in zip(seen.names, seen.checks, strict=True) if one.what] == odd
    test_M = dataset.indices("test")
    unlike_M = np.array([seen.checks[i].unlike for i in test_M])
    assert np.mean(unlike_M > 0.95) < 0.1 and 0.4 < unlike_M.mean() < 0.6
    assert gate.leaks(dataset, store, seen, [None] * len(dataset)) == leaks and seen.unlike() == []
    negatives = gate.Gate(usual)
    negatives.check(["n"] * len(test_M), 255 - np.asarray(store.pixels[test_M]))
    assert np.mean([one.what.startswith("a negative") for one in negatives.checks]) > 0.99
    assert len(negatives.unlike()) == 1


def test_copies_of_a_radiograph_saved_anew_are_near_copies(cxr_root: Path) -> None:
    name = pd.read_csv(cxr_root / "shenzhen.csv")["path"][0]
    data = []
    for quality in (30, 60, 90):
        buffer = io.BytesIO()
        Image.open(cxr_root / name).convert("L").resize((256, 256)).save(buffer, "JPEG", quality=quality)
        data.append(buffer.getvalue())
    pixels = np.stack([decode_bytes(d, 64, "x") for d in data])
    assert gate.near_copies(pixels) == 2 and gate.near_copies(phantoms(30)) == 0
    assert gate.near_copies(pixels[:, :28, :28]) == 0  # too small to compare

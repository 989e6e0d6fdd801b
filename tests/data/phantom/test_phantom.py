"""The embedded synthetic radiographs: determinism, physics, population."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from pydantic import ValidationError

from al_cxr.data.dataset import Dataset
from al_cxr.data.phantom.findings import draw_findings, fill_fraction
from al_cxr.data.phantom.grid import Blobs, Grid, Pose
from al_cxr.data.phantom.radiographs import CLASSES, PhantomImages, _area_mean, make_phantom
from al_cxr.data.phantom.thorax import draw_anatomy, lung_air
from al_cxr.data.phantom.xray import Technique, attenuation, expose
from al_cxr.data.sources.phantom import PhantomSource


def phantom(count: int = 600, seed: int = 0, difficulty: float = 0.5) -> Dataset:
    return make_phantom(count, seed, difficulty)


def test_dataset_says_what_it_is() -> None:
    data = phantom()
    assert data.name == "phantom" and data.synthetic and data.classes == CLASSES == tuple(sorted(CLASSES))
    assert data.stamp == "phantom (synthetic: no patient was imaged)"
    assert "no patient was imaged" in data.attribution
    columns = ["image", "label", "split", "patient_id", "source", "age", "sex", "view", "difficulty", "ambiguous"]
    assert list(data.table.columns) == columns
    assert not data.table.isna().any().any()
    assert data.labels_N.dtype == np.int64
    assert [CLASSES[k] for k in data.labels_N] == data.table.label.tolist()
    assert data.table.split.tolist() == data.split_N.tolist()
    assert data.table.image[17] == data.images.name(17) == "phantom-00017"


def test_images_are_uint8_with_the_digest_of_their_pixels() -> None:
    images = phantom().images
    for size in (28, 64, 100):
        pixels, digest, *_ = images.read(5, size)
        assert pixels.shape == (size, size) and pixels.dtype == np.uint8
        assert digest == hashlib.sha256(pixels.tobytes()).hexdigest()
        assert 40 < pixels.mean() < 215 and pixels.std() > 20
    with pytest.raises(IndexError):
        images.read(600, 64)
    with pytest.raises(IndexError):
        images.read(-1, 64)


def test_an_image_depends_on_seed_index_and_difficulty_alone() -> None:
    a, b = PhantomImages(100, 3, 0.4), PhantomImages(2000, 3, 0.4)
    backwards = [b.read(i, 48)[1] for i in reversed(range(12))][::-1]
    assert [a.read(i, 48)[1] for i in range(12)] == backwards
    assert len(set(backwards)) == 12
    others = PhantomImages(100, 4, 0.4), PhantomImages(100, 3, 0.9)
    assert all(other.read(i, 48)[1] != backwards[i] for other in others for i in range(12))
    assert len({a.key, b.key, *(o.key for o in others)}) == 4
    assert a.key == PhantomImages(100, 3, 0.4).key


def test_the_table_is_deterministic_and_follows_the_seed() -> None:
    assert phantom(seed=1).table.equals(phantom(seed=1).table)
    assert not phantom(seed=1).table.equals(phantom(seed=2).table)


def test_patients_never_cross_splits_and_have_one_to_three_images() -> None:
    table = phantom().table
    by_patient = table.groupby("patient_id")
    assert set(by_patient.size()) == {1, 2, 3}
    for column in ("split", "label", "source", "age", "sex", "ambiguous"):
        assert (by_patient[column].nunique() == 1).all(), column


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_classes_and_splits(seed: int) -> None:
    data = phantom(count=1500, seed=seed)
    np.testing.assert_allclose(np.bincount(data.labels_N) / 1500, [0.40, 0.32, 0.28], atol=0.03)
    shares = [len(data.indices(s)) / 1500 for s in ("train", "val", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.02)
    assert set(data.table.source) == {"site-a", "site-b", "site-c"}


@pytest.mark.parametrize("seed", range(20))
def test_the_smallest_phantom_has_every_class_in_every_split(seed: int) -> None:
    data = phantom(count=30, seed=seed)
    for split in ("train", "val", "test"):
        assert set(data.labels_N[data.indices(split)]) == {0, 1, 2}


def test_the_site_is_a_hint_and_no_answer() -> None:
    table = phantom(count=3000).table
    joint = table.groupby(["source", "label"]).size().unstack()
    best = joint.max(axis=1).sum() / len(table)
    assert 0.41 < best < 0.52  # always answering the largest class scores 0.40
    assert (joint > 30).all().all()


@pytest.mark.parametrize("a, b", [(64, 192), (48, 224)])
def test_the_same_patient_at_two_resolutions(a: int, b: int) -> None:
    images = PhantomImages(40, 0, 0.5)
    for index in (0, 7, 23):
        small = images.read(index, a)[0].astype(float)
        large = _area_mean(images.read(index, b)[0].astype(float), a)
        assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.97
        other = images.read(index + 11, a)[0].astype(float)
        assert np.corrcoef(small.ravel(), other.ravel())[0, 1] < 0.97


def test_images_of_one_patient_share_anatomy_and_differ_in_pose() -> None:
    images = PhantomImages(30, 0, 0.5)
    numbers = [images.patient(i)[0].number for i in range(30)]
    i = next(i for i in range(29) if numbers[i] == numbers[i + 1])
    assert images.body(i)[0].heart == images.body(i + 1)[0].heart
    assert images.body(i)[0].heart != images.body((i + 15) % 30)[0].heart
    assert images.read(i, 64)[1] != images.read(i + 1, 64)[1]


@pytest.mark.parametrize("age, sex", [(3, "F"), (40, "M"), (75, "F")])
def test_lungs_are_darker_than_mediastinum_and_brighter_than_air(age: int, sex: str) -> None:
    body = draw_anatomy(np.random.default_rng(age), age, sex)
    grid = Grid(96, Pose())
    depth, air = attenuation(grid, body), lung_air(grid, body)
    lungs = air > 0.5
    mediastinum = (np.abs(grid.x) < 0.08) & (grid.y > -0.3) & (grid.y < 0.3)
    assert depth[lungs].mean() < 0.75 * depth[mediastinum].mean()
    assert depth.min() >= 0 and air.min() >= 0
    right, left = lungs[grid.x < 0].sum(), lungs[grid.x > 0].sum()
    assert left < right  # the heart's notch
    assert depth[-1, 48] > depth[lungs].max() * 0.8  # the abdomen is bright


def test_filling_the_air_makes_the_lung_as_dense_as_tissue() -> None:
    body, grid = draw_anatomy(np.random.default_rng(0), 40, "M"), Grid(64, Pose())
    empty, half, full = (attenuation(grid, body, f) for f in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (empty + full) / 2, atol=1e-4)  # Beer-Lambert: paths add up
    lungs = lung_air(grid, body) > 0.3
    assert (full > empty)[lungs].all()


def test_even_attenuation_gives_the_film_curve() -> None:
    grid = Grid(32, Pose())
    technique = Technique(1e14, 2.0, -0.5, 0.0, 0.3, 0.003, 0.1, 0.9, (-2, 2, -2, 2), 0.0, None)
    grey = expose(np.full((32, 32), 2.0, np.float32), grid, technique, np.random.default_rng(0))
    np.testing.assert_allclose(grey, 0.1 + 0.8 / (1 + np.exp(-1.0)), atol=1e-3)


def test_noise_follows_the_counts() -> None:
    """Four times the photons halve the standard deviation; a pixel of half the side catches a quarter of them."""

    def spread(dose: float, size: int) -> float:
        grid = Grid(size, Pose())
        technique = Technique(dose, 4.0, 0.0, 0.0, 0.0, 0.003, 0.0, 1.0, (-2, 2, -2, 2), 0.0, None)
        return float(expose(np.ones((size, size), np.float32), grid, technique, np.random.default_rng(0)).std())

    assert spread(4e4, 64) == pytest.approx(spread(1e4, 64) / 2, rel=0.05)
    assert spread(4e4, 128) == pytest.approx(2 * spread(4e4, 64), rel=0.05)
    # The film curve's slope is 1 / latitude at its middle; log counts deviate by 1 / sqrt(dose * exp(-1)).
    assert spread(1e6, 64) == pytest.approx(0.25 / np.sqrt(1e6 * np.exp(-1)), rel=0.05)


def test_spots_equal_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    spots = Blobs(
        rng.uniform(-1.2, 1.2, 50), rng.uniform(-1.2, 1.2, 50), rng.uniform(0.01, 0.5, 50), rng.normal(size=50)
    )
    grid = Grid(40, Pose(0.1, 1.1, 1.05, (0.05, -0.03)))
    plain = np.zeros((40, 40))
    for x, y, sigma, amplitude in zip(spots.x_M, spots.y_M, spots.sigma_M, spots.amplitude_M, strict=True):
        # Round in the patient frame up to the pose's stretch, which is along the image's axes.
        u = (grid.cos * (grid.x - x) + grid.sin * (grid.y - y)) / sigma
        v = (grid.cos * (grid.y - y) - grid.sin * (grid.x - x)) / sigma
        plain += amplitude * np.exp(-0.5 * (u * u + v * v))
    np.testing.assert_allclose(grid.blobs(spots), plain, atol=0.01)


def test_a_chain_is_level() -> None:
    chain = Blobs.chain(np.array([-2.0, 2.0]), np.array([0.0, 0.0]), 0.05, 0.7)
    ridge = Grid(81, Pose()).blobs(chain)[40]
    np.testing.assert_allclose(ridge, 0.7, atol=0.02)


def test_area_mean() -> None:
    grey = np.random.default_rng(0).random((12, 12))
    np.testing.assert_allclose(_area_mean(grey, 4), grey.reshape(4, 3, 4, 3).mean((1, 3)))
    fine = grey.repeat(2, 0).repeat(2, 1)  # 12 -> 8 is 24 -> 8 with every pixel twice
    np.testing.assert_allclose(_area_mean(grey, 8), fine.reshape(8, 3, 8, 3).mean((1, 3)))


def test_findings_fade_with_difficulty() -> None:
    def strength(difficulty: float, label: str) -> float:
        images = PhantomImages(200, 0, difficulty)
        sick = [i for i in range(200) if images.patient(i)[0].scenario == (label,)][:40]
        return float(np.mean([np.clip(images.finding_map(i, 32), 0, None).mean() for i in sick]))

    for label in ("pneumonia", "tuberculosis"):
        easy, middle, hard = (strength(d, label) for d in (0.0, 0.5, 1.0))
        assert easy > 1.1 * middle > 1.2 * hard > 0, label
    assert strength(0.0, "normal") == 0  # textbook cases have no distractors
    assert strength(1.0, "normal") > 0


def test_findings_sit_where_the_disease_does() -> None:
    def height(label: str, difficulty: float) -> float:
        images = PhantomImages(400, 1, difficulty)
        sick = [i for i in range(400) if images.patient(i)[0].scenario == (label,)][:60]
        maps = [np.clip(images.finding_map(i, 32), 0, None) for i in sick]
        return float(np.mean([(m.sum(1) * np.arange(32)).sum() / m.sum() for m in maps]))

    easy = height("pneumonia", 0.0) - height("tuberculosis", 0.0)
    hard = height("pneumonia", 1.0) - height("tuberculosis", 1.0)
    assert easy > 4  # rows of 32: pneumonia is lower
    assert 0 < hard < easy  # the places overlap


def test_ambiguous_share_grows_and_their_pictures_ignore_the_label() -> None:
    shares = [phantom(count=4000, difficulty=d).table.ambiguous.mean() for d in (0.0, 0.5, 1.0)]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.08, abs=0.015)
    assert shares[2] == pytest.approx(0.16, abs=0.02)
    images = PhantomImages(10_000, 0, 1.0)
    patients = {p.number: p for p, _ in map(images.patient, range(10_000)) if len(p.scenario) == 2}.values()
    for pair in {p.scenario for p in patients}:
        labels = np.array([p.label == pair[0] for p in patients if p.scenario == pair])
        assert abs(labels.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(labels)), pair
    # Findings and anatomy are drawn from the scenario, never from the label: same stream, same spots.
    body, grid = draw_anatomy(np.random.default_rng(1), 50, "M"), Grid(32, Pose())
    pair = ("normal", "tuberculosis")
    maps = [fill_fraction(grid, draw_findings(np.random.default_rng(2), body, pair, 0.5)) for _ in range(2)]
    assert np.array_equal(maps[0], maps[1]) and 0 < maps[0].max() < 1


@pytest.mark.parametrize(
    "bad", [{"count": 29}, {"seed": -1}, {"difficulty": 1.5}, {"difficulty": float("nan")}, {"x": 1}]
)
def test_bad_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PhantomSource.model_validate({"kind": "phantom", **bad})

"""score_pool: any images of a user's own, in a tensor or a loader of whatever kind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
import torch
from own_networks import N, same, sequential
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.sampling.pool_scores import score_pool


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(N, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


class Numbered(Dataset[Any]):
    """Images with their labels; and a random transform where it is asked for."""

    def __init__(self, images: Tensor, noise: float = 0.0) -> None:
        self.images, self.noise = images, noise

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.images[position] + self.noise * torch.randn(3, 32, 32), position % 3


LOADERS: dict[str, Callable[[Tensor], DataLoader[Any]]] = {
    "in order": lambda images: DataLoader(Numbered(images), 4),
    "shuffling": lambda images: DataLoader(Numbered(images), 4, shuffle=True),
    "shuffling by a generator": lambda images: DataLoader(
        Numbered(images), 4, shuffle=True, generator=torch.Generator().manual_seed(8)
    ),
    "drops the last": lambda images: DataLoader(Numbered(images), 4, drop_last=True),
    "workers": lambda images: DataLoader(Numbered(images), 4, shuffle=True, num_workers=2),
    "images alone": lambda images: DataLoader(list(images), 5),
    "batches of its own": lambda images: DataLoader(Numbered(images), batch_sampler=[[3, 1, 0], [2], range(4, N)]),
}


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_is_scored_as_the_tensor_of_its_images(name: str, images: Tensor) -> None:
    model, loader = sequential(), LOADERS[name](images)
    state = None if loader.generator is None else loader.generator.get_state()
    random_state = torch.get_rng_state()
    got = score_pool(model, loader, passes=3)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert state is None or torch.equal(loader.generator.get_state(), state)
    assert got.index_N.tolist() == list(range(N))
    same(got, score_pool(model, images, passes=3))


def test_a_sampler_that_draws_a_part_of_the_data_set_keeps_its_positions(images: Tensor) -> None:
    model, some = sequential(), [17, 4, 9, 2]
    loader = DataLoader(Numbered(images), 3, sampler=SubsetRandomSampler(some))
    got = score_pool(model, loader, passes=3)
    assert got.index_N.tolist() == [2, 4, 9, 17]
    same(got, score_pool(model, images, passes=3).take(np.array([2, 4, 9, 17])))
    chosen = strategies.select("mc_entropy", got, 2, np.random.default_rng(0))
    assert set(chosen.indices.tolist()) < set(some)


@pytest.mark.parametrize("workers", [0, 2])
def test_random_transforms_are_the_same_in_every_reading(workers: int, images: Tensor) -> None:
    """Predictions and passes are of one image and not of two; the noise is far larger than what dropout does."""
    loader = DataLoader(Numbered(images, noise=3.0), 8, num_workers=workers)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(1e-3), nn.Linear(3072, 3))
    got = score_pool(model, loader, passes=2, features=True)
    np.testing.assert_allclose(got.mean_probs_NC, got.probs_NC, atol=0.2)
    logits_NC = torch.from_numpy(got.features_NK) @ model[2].weight.detach().T + model[2].bias.detach()
    np.testing.assert_allclose(torch.softmax(logits_NC, 1), got.probs_NC, atol=1e-5)


class Endless(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        yield from torch.rand(4, 3, 32, 32)


REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "dictionaries": (
        lambda images: DataLoader([{"image": image, "label": 0} for image in images], 4),
        r"hold a dictionary \(image, label\).*collate_fn",
    ),
    "no images": (lambda images: DataLoader([], 4), "there are no images to score"),
    "an empty tensor": (lambda images: images[:0], "there are no images to score"),
    "no positions": (lambda images: DataLoader(Endless(), 4), "IterableDataset.*__getitem__"),
    "no batches": (lambda images: DataLoader(Numbered(images), None), "batch_size=None"),
    "one image twice": (lambda images: DataLoader(Numbered(images), sampler=[0, 5, 5]), "draws position 5 2 times"),
    "an array": (lambda images: images.numpy(), "the images are a ndarray; give a tensor"),
    "fewer than drawn": (
        lambda images: DataLoader(Numbered(images), 4, collate_fn=lambda items: torch.stack([x for x, _ in items[1:]])),
        "the loader gave 17 images for 23 positions",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_images_that_cannot_be_scored_are_one_clear_error(what: str, images: Tensor) -> None:
    make, message = REFUSED[what]
    with pytest.raises(UserError, match=message):
        score_pool(sequential(), make(images), passes=2)


def test_short_work_says_nothing(images: Tensor) -> None:
    with redirect_stdout(io.StringIO()) as said:
        score_pool(sequential(), DataLoader(TensorDataset(images), 4), passes=2)
    assert said.getvalue() == ""

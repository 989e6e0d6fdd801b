"""score_pool: any network and any images of a user's own, and nothing of theirs is changed by it."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.operators import NoRandomSite
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.pool_scores import score_pool
from al_cxr.strategies.statistics import PoolStatistics

N = 23


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(N, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def resnet() -> nn.Module:
    network = torchvision.models.resnet18(num_classes=3)
    network.fc = nn.Sequential(nn.Dropout(0.4), nn.Linear(512, 3))
    return network


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(3600, 3)
    )


class Attention(nn.Module):
    """Rows of an image attend to each other; the dropout is inside nn.MultiheadAttention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(96, 4, dropout=0.3, batch_first=True), nn.Linear(96, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.movedim(2, 1).flatten(2)
        return self.head(self.attention(rows, rows, rows)[0].mean(dim=1))


class Branching(nn.Module):
    """Looks at numbers to decide what to do, which no tracer can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(3072, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.head(self.drop(x if float(x.abs().sum()) >= 0 else -x))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": resnet,
    "sequential": sequential,
    "attention": Attention,
    "branching": Branching,
    "auxiliary heads": lambda: torchvision.models.googlenet(num_classes=3, init_weights=False),
}


def same(a: PoolStatistics, b: PoolStatistics, tolerance: float = 1e-5) -> None:
    assert a.per_image().keys() == b.per_image().keys()
    for name, array in a.per_image().items():
        np.testing.assert_allclose(array, b.per_image()[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_gets_its_plain_passes_and_is_left_as_it_was(name: str, images: Tensor) -> None:
    model = NETWORKS[name]()
    model(images)  # running statistics of its own
    next(model.children()).eval()  # and a mode of its own
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    random_state = torch.get_rng_state()
    got = score_pool(model, images, passes=5, seed=3)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    plain = monte_carlo(model, [(np.arange(N), images)], Sampling(5, 3, 0, fast=False))
    for field in plain.per_image():
        np.testing.assert_allclose(getattr(got, field), getattr(plain, field), rtol=0, atol=1e-5, err_msg=field)
    with torch.no_grad():
        np.testing.assert_allclose(got.probs_NC, torch.softmax(model.eval()(images), 1), atol=1e-5)


def test_a_network_that_cannot_be_traced_says_so(images: Tensor) -> None:
    assert score_pool(Branching(), images, passes=2).sampling.startswith("plain passes")
    assert not score_pool(sequential(), images, passes=2).sampling.startswith("plain passes")


# ------------------------------------------------------------------------------------------------------------- loaders
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


# ------------------------------------------------------------------------------------------------------------ networks
def test_nothing_random_is_an_error_unless_no_passes_are_asked_for(images: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    with pytest.raises(NoRandomSite, match="passes=0"):
        score_pool(model, images)
    got = score_pool(model, images, passes=0)
    assert got.probs_NC is not None and got.mean_probs_NC is None and got.passes == 0
    with pytest.raises(UserError, match="passes=1"):
        score_pool(model, images, passes=1)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ([nn.Linear(8, 1)], "gives one number an image"),
        ([nn.Linear(8, 2), nn.Softmax(dim=1)], "gives probabilities"),
        ([nn.Unflatten(1, (2, 4))], r"the network gave \(2, 2, 4\) for 2 images"),
    ],
)
def test_what_is_no_logits_is_refused(last: list[nn.Module], message: str, images: Tensor) -> None:
    with pytest.raises(UserError, match=message):
        score_pool(nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.Dropout(), *last), images, passes=2)


def test_votes_features_and_the_target_go_to_the_strategies_that_need_them(images: Tensor) -> None:
    model = sequential()
    got = score_pool(model, images[5:], passes=4, votes=True, labelled=images[:5], target=1)
    assert got.pass_probs_NTC.shape == (N - 5, 4, 3) and got.labelled_features_MK.shape == (5, 3600)
    np.testing.assert_allclose(got.pass_probs_NTC.mean(axis=1), got.mean_probs_NC, atol=1e-6)
    np.testing.assert_array_equal(got.labelled_features_MK, score_pool(model, images[:5], 0, features=True).features_NK)
    for name in ("batch_bald", "coreset", "target_entropy"):
        assert len(strategies.select(name, got, 3, np.random.default_rng(0)).indices) == 3
    assert score_pool(model, images, passes=2).features_NK is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_images_go_into_the_type_of_the_network(dtype: torch.dtype, images: Tensor) -> None:
    model = sequential()
    wanted = score_pool(model, images, passes=3)
    same(score_pool(model.to(dtype), images, passes=3), wanted, 0.05 if dtype is torch.bfloat16 else 1e-5)


def test_whole_numbers_stay_whole() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(10, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.dropout(self.table(x), 0.3, self.training).mean(dim=1))

    got = score_pool(Tokens(), torch.arange(40).reshape(8, 5) % 10, passes=3)
    assert not got.sampling.startswith("plain passes") and len(got) == 8


def test_volumes_take_the_fast_path_too() -> None:
    model = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Dropout3d(0.3), nn.Flatten(), nn.Linear(256, 2))
    assert not score_pool(model, torch.rand(5, 1, 6, 6, 6), passes=3).sampling.startswith("plain passes")


def test_short_work_says_nothing(images: Tensor) -> None:
    with redirect_stdout(io.StringIO()) as said:
        score_pool(sequential(), DataLoader(TensorDataset(images), 4), passes=2)
    assert said.getvalue() == ""

"""score_pool: any network of a user's own, and nothing of it is changed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from own_networks import N, same, sequential
from torch import Tensor, nn

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.sampling.engine import Sampling
from al_cxr.sampling.operators import NoRandomSite
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.pool_scores import score_pool


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


@pytest.mark.parametrize(
    ("pool", "said"), [(torch.rand(4, 3, 9, 9), r"\(2, 3, 9, 9\)"), (torch.ones(4, 3072).byte(), "uint8")]
)
def test_images_that_the_network_cannot_take_are_described(pool: Tensor, said: str) -> None:
    with pytest.raises(UserError, match=f"this Sequential cannot take a batch .*{said}.*; give the images the shape"):
        score_pool(nn.Sequential(nn.Flatten(), nn.Linear(3072, 2), nn.Dropout()), pool, passes=2)


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

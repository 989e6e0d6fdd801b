"""Losses against PyTorch, torchvision and figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from al_cxr.config import LossSettings
from al_cxr.core.errors import UserError
from al_cxr.training import losses
from al_cxr.training.losses import LOSSES, Loss, balanced_weights, build, log_not_p

COUNTS = (60, 30, 10)


def batch(n: int = 12, n_classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, n_classes, generator=g, dtype=torch.float64)
    return logits, torch.randint(n_classes, (n,), generator=g)


def soft(n: int = 12, n_classes: int = 3) -> Tensor:
    return torch.randn(n, n_classes, generator=torch.Generator().manual_seed(9), dtype=torch.float64).softmax(1)


ALL = [
    LossSettings(kind="cross_entropy"),
    LossSettings(kind="cross_entropy", label_smoothing=0.1),
    LossSettings(kind="weighted"),
    LossSettings(kind="weighted", label_smoothing=0.1),
    LossSettings(kind="focal"),
    LossSettings(kind="focal", gamma=0.5, alpha="balanced"),
    LossSettings(kind="focal", gamma=2, alpha=[0.2, 0.3, 0.5], label_smoothing=0.1),
]
each = pytest.mark.parametrize("settings", ALL, ids=str)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["cross_entropy", "focal"])
def test_gamma_0_without_alpha_is_cross_entropy(kind: str, smoothing: float) -> None:
    logits, targets = batch()
    loss = build(LossSettings(kind=kind, gamma=0, label_smoothing=smoothing), COUNTS)
    torch.testing.assert_close(loss(logits, targets), F.cross_entropy(logits, targets, label_smoothing=smoothing))
    torch.testing.assert_close(loss(logits, soft()), F.cross_entropy(logits, soft(), label_smoothing=smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weighted_is_pytorch_weighted_cross_entropy(smoothing: float) -> None:
    logits, targets = batch()
    loss = build(LossSettings(kind="weighted", label_smoothing=smoothing), COUNTS)
    weights = torch.tensor([1 / 60, 1 / 30, 1 / 10], dtype=torch.float64)
    theirs = F.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, targets), theirs, rtol=1e-6, atol=0)


def test_focal_by_hand() -> None:
    """Two classes, p = (0.9, 0.1): gamma 2 leaves 0.01 of -ln 0.9 where class 0 is true, 0.81 of -ln 0.1 else."""
    logits = torch.tensor([[math.log(9.0), 0.0]], dtype=torch.float64).repeat(2, 1)
    easy, hard = 0.1**2 * -math.log(0.9), 0.9**2 * -math.log(0.1)
    loss = build(LossSettings(kind="focal", gamma=2), (1, 1))
    assert loss(logits[:1], torch.tensor([0])).item() == pytest.approx(easy, rel=1e-9)
    assert loss(logits[:1], torch.tensor([1])).item() == pytest.approx(hard, rel=1e-9)
    assert loss(logits, torch.tensor([0, 1])).item() == pytest.approx((easy + hard) / 2, rel=1e-9)
    weighted = build(LossSettings(kind="focal", gamma=2, alpha=[0.25, 0.75]), (1, 1))
    assert weighted(logits, torch.tensor([0, 1])).item() == pytest.approx((0.25 * easy + 0.75 * hard) / 2, rel=1e-7)
    smoothed = build(LossSettings(kind="focal", gamma=2, label_smoothing=0.2), (1, 1))
    assert smoothed(logits[:1], torch.tensor([0])).item() == pytest.approx(0.9 * easy + 0.1 * hard, rel=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_two_classes_agree_with_torchvision(gamma: float) -> None:
    """A softmax over (0, z) is the sigmoid of z."""
    z, targets = batch(40, 1)[0][:, 0], batch(40, 2, seed=1)[1]
    ours = build(LossSettings(kind="focal", gamma=gamma, alpha=[0.75, 0.25]), (1, 1))
    theirs = sigmoid_focal_loss(z, targets.double(), alpha=0.25, gamma=gamma, reduction="mean")
    torch.testing.assert_close(ours(torch.stack([0 * z, z], 1), targets), theirs)


@each
def test_gradient_is_right_for_hard_and_soft_targets(settings: LossSettings) -> None:
    loss = build(settings, COUNTS)
    logits, targets = batch(5)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), (logits,))
    assert torch.autograd.gradcheck(lambda z: loss(z, soft(5)), (logits,))


@each
@pytest.mark.parametrize("size", [20.0, 1e4])
def test_value_and_gradient_are_finite_at_the_extremes(settings: LossSettings, size: float) -> None:
    """p rounds to 1 and to 0; with gamma 0.5 the derivative of (1 - p)^gamma by p is infinite there."""
    logits = torch.tensor([[size, -size, -size], [size, size, -size], [0, 0, 0]], requires_grad=True)
    for targets in (torch.tensor([0, 0, 0]), torch.tensor([1, 2, 1]), torch.eye(3), torch.full((3, 3), 1 / 3)):
        value = build(settings, COUNTS)(logits, targets)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite() and value >= 0
        assert gradient.isfinite().all()


def test_a_confident_right_answer_costs_nothing_and_a_wrong_one_its_logit() -> None:
    logits = torch.tensor([[1e4, -1e4, -1e4]])
    loss = build(LossSettings(kind="focal", gamma=2), COUNTS)
    assert loss(logits, torch.tensor([0])) == 0
    assert loss(logits, torch.tensor([2])) == 2e4


def test_log_not_p_keeps_its_digits() -> None:
    """1 - p = e^-30 cannot be had from a float32 p, which rounds to 1."""
    logits = torch.tensor([[30.0, 0.0]])
    torch.testing.assert_close(log_not_p(logits), torch.tensor([[-30.0, 0.0]]), atol=1e-6, rtol=0)


@each
def test_one_hot_soft_labels_are_hard_labels(settings: LossSettings) -> None:
    loss = build(settings, COUNTS)
    logits, targets = batch()
    torch.testing.assert_close(loss(logits, F.one_hot(targets, 3).double()), loss(logits, targets))


@pytest.mark.parametrize("settings", [s for s in ALL if s.kind != "weighted"], ids=str)
def test_soft_labels_are_linear(settings: LossSettings) -> None:
    loss = build(settings, COUNTS)
    logits, first = batch()
    other = (first + 1) % 3
    mixed = 0.3 * F.one_hot(first, 3).double() + 0.7 * F.one_hot(other, 3).double()
    torch.testing.assert_close(loss(logits, mixed), 0.3 * loss(logits, first) + 0.7 * loss(logits, other))


@each
def test_half_precision_is_computed_in_float32(settings: LossSettings) -> None:
    loss = build(settings, COUNTS)
    logits, targets = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits.bfloat16(), targets)
        mixed = loss(logits.bfloat16(), soft().bfloat16())
    assert value.dtype == mixed.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.bfloat16().float(), targets))


def test_balanced_weights_are_inverse_frequencies_of_mean_1() -> None:
    torch.testing.assert_close(balanced_weights(np.array(COUNTS)), torch.tensor([1.0, 2.0, 6.0]) / 3)
    torch.testing.assert_close(balanced_weights([7, 7]), torch.ones(2))


def test_a_class_without_labels_weighs_like_the_rarest_other() -> None:
    torch.testing.assert_close(balanced_weights([100, 50, 0]), torch.tensor([0.6, 1.2, 1.2]))
    loss = build(LossSettings(kind="weighted"), [100, 50, 0])
    assert loss(torch.zeros(2, 3), torch.tensor([2, 2])).item() == pytest.approx(math.log(3))


def test_focal_balanced_uses_those_weights() -> None:
    logits, targets = batch()
    ours = build(LossSettings(kind="focal", gamma=1.5, alpha="balanced"), COUNTS)(logits, targets)
    p = logits.softmax(1)[range(12), targets]
    w = (torch.tensor([1.0, 2.0, 6.0]).double() / 3)[targets]
    torch.testing.assert_close(ours, (w * (1 - p) ** 1.5 * -p.log()).mean(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("counts", [[0, 0], [3, -1], [[1, 2]], []])
def test_counts_that_are_none_are_refused(counts: list) -> None:
    with pytest.raises(ValueError, match="class counts"):
        balanced_weights(counts)


def test_alpha_of_another_length_names_its_key() -> None:
    settings = LossSettings(kind="focal", alpha=[0.5, 0.5])
    with pytest.raises(UserError, match=r"losses\.focal2\.alpha: 2 weights for 3 classes"):
        build(settings, COUNTS, name="focal2")


@pytest.mark.parametrize("alpha", [[1.0, -0.5, 1.0], [0.0, 0.0, 0.0]])
def test_alpha_that_weighs_nothing_is_refused(alpha: list[float]) -> None:
    with pytest.raises(UserError, match=r"losses\.f\.alpha"):
        build(LossSettings(kind="focal", alpha=alpha), COUNTS, name="f")


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("focl", {}, "losses.f.kind: no loss 'focl'; did you mean 'focal'?"),
        ("focal", {"gama": 3}, "losses.f.gama: focal has no such option; did you mean 'gamma'?"),
        ("focal", {"alpha": [0.5, float("nan"), 1.0]}, "losses.f.alpha"),
    ],
)
def test_a_wrong_kind_or_option_names_its_key(kind: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as error:
        build(LossSettings.model_construct(kind=kind, **options), COUNTS, name="f")
    assert str(error.value).startswith(said)


def test_a_loss_of_ones_own_has_options_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_things", dict(LOSSES._things))
    monkeypatch.setattr(LOSSES, "_homes", dict(LOSSES._homes))

    @losses.loss("scaled")
    def scaled(class_counts_C: object, *, factor: float = 1.0, gamma: float = 2.0) -> torch.nn.Module:
        assert gamma == 2.0
        return Loss(weights_C=torch.full((3,), factor))

    logits, targets = batch()
    settings = LossSettings.model_validate({"kind": "scaled", "factor": 3, "label_smoothing": 0.1})
    torch.testing.assert_close(build(settings, COUNTS)(logits, targets), 3 * F.cross_entropy(logits, targets))
    assert settings.model_dump() == {
        "kind": "scaled", "gamma": 2.0, "alpha": "none", "label_smoothing": 0.1, "factor": 3,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"loss 'focal' is defined in al_cxr\.training\.losses and again in"):
        losses.loss("focal")(scaled)


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Loss()(torch.zeros(4, 3), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="do not fit"):
        Loss()(torch.zeros(4, 3), torch.zeros(3, dtype=torch.int64))

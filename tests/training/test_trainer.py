"""The training loop: it learns, repeats itself to the bit, goes on where it was, and says what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from al_cxr import models
from al_cxr.config import AugmentSettings, LossSettings, TrainSettings
from al_cxr.core.checkpoint import load_tensors, load_weights, save_tensors, weights_hash
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.seeds import rng, stream
from al_cxr.data.loader import Loader
from al_cxr.sampling.scoring import predict
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task, fit, train_step
from al_cxr.training.training_state import TrainingState

RUNTIME = Runtime("cpu", "fp32", True, 2, 64, 0.0)


def make_task(n: int = 90, **settings: object) -> Task:
    """Three classes told apart by where a bright square lies."""
    r = np.random.default_rng(0)
    labels = np.arange(n) % 3
    pixels = r.integers(0, 60, (n, 28, 28)).astype(np.uint8)
    for i, c in enumerate(labels):
        pixels[i, 3 + 8 * c : 11 + 8 * c, 8:20] += 150
    index = r.permutation(n)
    length = {} if "steps" in settings else {"epochs": 4}
    given = {**length, "batch_size": 16, "lr": 3e-3, "augment": AugmentSettings(horizontal_flip=0.5), **settings}
    return Task(
        loader=Loader(pixels, memory_format=RUNTIME.memory_format),
        labels_N=labels,
        train_index=index[: n * 2 // 3],
        val_index=index[n * 2 // 3 :],
        classes=3,
        settings=TrainSettings.model_validate(given),
        loss=build_loss(LossSettings(kind="cross_entropy"), [1, 1, 1]),
        seed=0,
        runtime=RUNTIME,
    )


def make_model(seed: int = 0, arch: str = "cnn_bn") -> nn.Module:
    torch.manual_seed(stream(seed, "weights"))
    return models.build(arch, 1, 3, 28, {})


def test_it_learns_and_returns_the_best_epoch() -> None:
    fitted = fit(make_model(), make_task(epochs=6))
    best = max(row.val_macro_f1 for row in fitted.history)
    assert best > 0.9
    # the earliest of the best epochs
    assert fitted.best_epoch == next(row.epoch for row in fitted.history if row.val_macro_f1 == best)
    assert not fitted.model.training and fitted.images_per_second > 0


def test_without_a_watched_metric_the_last_epoch_is_taken() -> None:
    watched, plain = (fit(make_model(), make_task(epochs=6, monitor=monitor)) for monitor in ("macro_f1", "none"))
    assert plain.history == watched.history
    assert plain.best_epoch == 6 > watched.best_epoch
    with pytest.raises(ValueError, match="patience needs a metric"):
        make_task(monitor="none", patience=2)


@pytest.mark.parametrize("extra", [{}, {"mixup": 0.4, "cutmix": 1.0}, {"schedule": "cosine", "clip_norm": 1.0}])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(extra: dict[str, object]) -> None:
    task = make_task(epochs=2, **extra)
    torch.manual_seed(1)
    a = fit(make_model(), task)
    torch.manual_seed(2)  # the state of the global generator must not matter
    b = fit(make_model(), task)
    c = fit(make_model(), replace(task, seed=1))
    assert weights_hash(a.model) == weights_hash(b.model) and a.history == b.history
    assert weights_hash(a.model) != weights_hash(c.model)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("length", [{"epochs": 4}, {"steps": 10, "validations": 4}])
@pytest.mark.parametrize("schedule", ["plateau", "cosine", "constant"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_going_on_from_a_checkpoint_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str, after: int, length: dict[str, int]
) -> None:
    task = make_task(n=45, **length, schedule=schedule, plateau_patience=0, lr=0.01)
    whole = fit(make_model(), task)
    path, saves = tmp_path / "training.safetensors", 0
    save = TrainingState.save

    def stop(self: TrainingState, where: Path) -> None:
        nonlocal saves
        save(self, where)
        saves += 1
        if saves == after:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "save", stop)
        with pytest.raises(Stopped):
            fit(make_model(), task, path)
    resumed = fit(make_model(seed=5), task, path)  # other initial weights: all must come from the checkpoint
    assert weights_hash(resumed.model) == weights_hash(whole.model)
    assert resumed.history == whole.history and resumed.best_epoch == whole.best_epoch


def test_patience_stops_early_and_zero_never_does() -> None:
    # With a learning rate of almost nothing and no batch-norm, no epoch is better than the first.
    assert len(fit(make_model(arch="mlp"), make_task(epochs=6, lr=1e-12, patience=2)).history) == 3
    assert len(fit(make_model(arch="mlp"), make_task(epochs=6, lr=1e-12, patience=0)).history) == 6


def test_plateau_lowers_the_rate_when_the_validation_loss_stalls() -> None:
    task = make_task(epochs=10, lr=0.05, plateau_patience=0, plateau_factor=0.5)
    history = fit(make_model(), task).history
    expected, best = [0.05], np.inf
    for row in history[:-1]:
        better = row.val_loss < best * (1 - 1e-4)
        best = row.val_loss if better else best
        expected.append(expected[-1] if better else expected[-1] * 0.5)
    assert [row.lr for row in history] == pytest.approx(expected)
    assert history[-1].lr < 0.05, "it never stalled, so nothing was tested"


def test_a_last_batch_of_one_image_is_left_out() -> None:
    task = make_task()
    task = replace(task, train_index=task.train_index[:33])
    assert len(fit(make_model(), task).history) == 4  # batch-norm would raise on one image at 1 x 1


def test_divergence_and_too_few_images_are_clear_errors() -> None:
    with pytest.raises(UserError, match=r"train\.lr"):
        fit(make_model(), make_task(lr=1e30, epochs=3))
    with pytest.raises(UserError, match="2 or more"):
        fit(make_model(), replace(make_task(), train_index=np.array([0])))


def test_a_step_is_plain_pytorch() -> None:
    """One step of the trainer equals forward, backward, Adam written out."""
    task = make_task(augment=None)
    model, twin = make_model(), make_model()
    state = TrainingState.start(model, task.settings, RUNTIME)
    _, images = next(iter(task.loader.batches(task.train_index, 16)))
    targets = torch.from_numpy(task.labels_N[task.train_index[:16]])
    model.eval(), twin.eval()
    value, _ = train_step(state, images, targets, task)
    optimizer = torch.optim.Adam(twin.parameters(), lr=task.settings.lr)
    loss = nn.functional.cross_entropy(twin(images), targets)
    loss.backward()
    optimizer.step()
    torch.testing.assert_close(value, loss.detach())
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5)
        # Adam's first step is lr * sign(g): where a gradient is 0 but for rounding, single weights may differ.
        assert (a - b).abs().mean() < 1e-6


def test_clipping_bounds_the_gradient() -> None:
    task = make_task(clip_norm=1e-3, augment=None)
    state = TrainingState.start(make_model(), task.settings, RUNTIME)
    _, images = next(iter(task.loader.batches(task.train_index, 16)))
    train_step(state, images, torch.from_numpy(task.labels_N[task.train_index[:16]]), task)
    norm = torch.stack([p.grad.norm() for p in state.model.parameters() if p.grad is not None]).norm()
    assert norm <= 1e-3 * 1.001


def test_bf16_trains_too_and_validates_in_full_precision() -> None:
    task = replace(make_task(epochs=3, monitor="loss"), runtime=replace(RUNTIME, precision="bf16"))
    fitted = fit(make_model(), task)
    assert next(fitted.model.parameters()).dtype is torch.float32
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss
    # What chose the weights is what is reported of them.
    probs_NC = predict(fitted.model, task.loader.batches(task.val_index, 64))
    reported = measure(probs_NC, task.labels_N[task.val_index], ["a", "b", "c"])
    assert fitted.history[fitted.best_epoch - 1].val_loss == pytest.approx(reported.log_loss, rel=1e-12)


def test_loader_values_order_and_channels() -> None:
    pixels = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
    loader = Loader(pixels, channels=3, mean=0.5, std=0.25)
    order = np.array([4, 0, 3])
    got = list(loader.batches(order, 2))
    assert [i.tolist() for i, _ in got] == [[4, 0], [3]]
    assert got[0][1].shape == (2, 3, 2, 2)
    expected = (torch.from_numpy(pixels[order]).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(torch.cat([x for _, x in got])[:, 1], expected)


def test_streams_are_independent_and_repeatable() -> None:
    assert stream(0, "a") == stream(0, "a")
    seen = {stream(s, p, e) for s in range(5) for p in ("order", "augment", "dropout") for e in range(20)}
    assert len(seen) == 300
    assert rng(0, "x").integers(1 << 60) != rng(1, "x").integers(1 << 60)


def test_checkpoint_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model = make_model()
    save_tensors(path, model.state_dict(), {"a": 1})
    tensors, note = load_tensors(path)
    assert note == {"a": 1} and set(tensors) == set(model.state_dict())
    with pytest.raises(UserError, match="do not fit the network"):
        load_weights(models.build("cnn2", 1, 3, 28, {}), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="not a file of weights"):
        load_tensors(path)
    path.write_bytes(b"\x80\x04cos\nsystem\n")  # the start of a pickle
    with pytest.raises(UserError, match="not a file of weights"):
        load_tensors(path)
    with pytest.raises(UserError, match="no such file"):
        load_tensors(tmp_path / "none.safetensors")

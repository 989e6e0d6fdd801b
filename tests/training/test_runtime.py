"""Which precision a machine computes in: the faster one, measured once; one that fails is noted, a bug is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from tiny import TINY, write_tiny
from torch import Tensor, nn

from al_cxr.config import Machine
from al_cxr.config.files import load
from al_cxr.core.errors import UserError
from al_cxr.data.load import load_first
from al_cxr.data.store import PixelStore
from al_cxr.experiment import speeds
from al_cxr.experiment.speeds import passes_speed
from al_cxr.report.origin import machine
from al_cxr.training import runtime
from al_cxr.training.runtime import Runtime, Unsupported, device_named, resolve

HALF = Runtime("cpu", "fp32", True, 1, 64, 0.0, "bf16")
FULL = Runtime("cpu", "fp32", True, 1, 64, 0.0)


@pytest.fixture(autouse=True)
def _a_cpu_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_candidates", lambda device: ["bf16"])


def constant(fp32: float, bf16: float) -> Callable[[Runtime], float]:
    return lambda r: bf16 if "bf16" in (r.precision, r.score_precision) else fp32


def never(r: Runtime) -> float:
    raise AssertionError("measured although it was known")


@pytest.mark.parametrize(
    ("fp32", "bf16", "verdict"), [(10, 13, "bf16"), (10, 11, "fp32"), (13, 10, "fp32"), (0, 0, "fp32"), (0, 9, "fp32")]
)
def test_a_lower_precision_is_taken_where_it_is_worth_it_and_remembered(
    tmp_path: Path, fp32: float, bf16: float, verdict: str
) -> None:
    wanted, said = Machine(threads=1, precision="fp32"), list[str]()
    for measure in (constant(fp32, bf16), never):
        found = resolve(wanted, tmp_path, {"model": "a"}, never, measure, said.append)
        assert (found.precision, found.score_precision, found.note) == ("fp32", verdict, "")
        assert said == ["measuring scoring in fp32 and bf16, once on this machine for such a network"]
    assert found.describe() == "cpu, 1 thread, fp32" + ", scoring in bf16" * (verdict == "bf16")


def test_a_precision_that_fails_is_noted_and_so_is_its_memory(tmp_path: Path) -> None:
    def fails(r: Runtime) -> float:
        if r.score_precision == "bf16":
            raise Unsupported("no such kernel")
        return 1.0

    for measure in (fails, never):
        found = resolve(Machine(threads=1, precision="fp32"), tmp_path, {}, never, measure, lambda line: None)
        assert found.score_precision == "fp32" and found.note == "score_precision bf16 failed: no such kernel"
        assert found.describe() == f"cpu, 1 thread, fp32 ({found.note})"
    for told in (found, Runtime("cpu", "fp32", True, 1, 64, 0.0)):  # a page says it, and nothing where nothing failed
        (tmp_path / "machine.json").write_text(json.dumps(asdict(told)))
        assert machine(tmp_path).get("note") == (told.note or None)
    (tmp_path / "machine.json").unlink()
    (kept,) = (json.loads(path.read_text()) for path in tmp_path.rglob("*.json"))
    assert kept["images_per_second"] == {"fp32": 1.0, "bf16": 0.0} and kept["note"] == found.note


class Odd(nn.Module):
    """Dropout before an operation of ours."""

    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.dropout, self.linear, self.operation = nn.Dropout(0.5), nn.Linear(28 * 28, 3), operation

    def forward(self, images: Tensor) -> Tensor:
        return self.operation(self.linear(self.dropout(images.flatten(1))))


def inverted(logits: Tensor) -> Tensor:
    return logits @ torch.linalg.inv(torch.eye(3, dtype=logits.dtype))


def transformed(logits: Tensor) -> Tensor:
    return logits + 0 * torch.fft.fft(logits).real


def buggy(logits: Tensor) -> Tensor:
    return logits if logits.dtype is torch.float32 else logits @ torch.zeros(4, 3, dtype=logits.dtype)


def measured(monkeypatch: pytest.MonkeyPatch, folder: Path, model: nn.Module, how: Runtime) -> float:
    settings = load(write_tiny(folder, TINY))
    dataset = load_first(settings.data)
    store = PixelStore.open(dataset.images, settings.data.image_size, folder / "cache", 1, progress=False)
    monkeypatch.setattr(speeds, "build_model", lambda *_: model)
    return passes_speed(settings, dataset, store, how, seconds=0)


@pytest.mark.parametrize(
    ("operation", "words"), [(inverted, "dtypes not supported"), (transformed, "Unsupported dtype")]
)
def test_an_operator_that_lacks_the_dtype_is_a_precision_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Callable[[Tensor], Tensor], words: str
) -> None:
    assert measured(monkeypatch, tmp_path, Odd(operation), FULL) > 0
    with pytest.raises(Unsupported, match=words):
        measured(monkeypatch, tmp_path, Odd(operation), HALF)


def test_a_bug_is_an_error_in_any_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measured(monkeypatch, tmp_path, Odd(buggy), HALF)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measured(monkeypatch, tmp_path, Odd(lambda logits: logits @ torch.zeros(4, 3)), FULL)


def test_a_network_without_dropout_has_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 3))
    assert measured(monkeypatch, tmp_path, plain, FULL) == measured(monkeypatch, tmp_path, plain, HALF) == 0


def test_a_gpu_that_is_not_there_is_an_error_that_says_how_many_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_named("cuda") == "cuda" and device_named("cuda:1") == "cuda:1"
    with pytest.raises(UserError, match=r"machine.device: 'cuda:2' asked for, but torch sees 2 GPU\(s\)"):
        device_named("cuda:2")

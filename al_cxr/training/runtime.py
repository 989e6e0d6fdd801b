"""Where and how fast: device, precision, threads. They decide the last bits of a result, not what is computed."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from al_cxr.config import Machine
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.progress import Say
from al_cxr.core.seeds import digest_text

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WORTH_IT = 1.2
"""A lower precision must be this many times faster before `auto` takes it."""


@dataclass(frozen=True)
class Runtime:
    """A Machine with every `auto` resolved. Kept with the experiment, because threads and precision decide the bits."""

    device: str
    precision: str
    channels_last: bool
    threads: int
    score_batch: int
    checkpoint_seconds: float
    score_precision: str = "fp32"
    """Of Monte-Carlo passes."""
    note: str = ""
    """Which precision was tried and failed, and why; empty where none did."""

    def activate(self) -> Runtime:
        """Set the process-wide switches of torch; once, before anything is computed."""
        if torch.get_num_threads() != self.threads:  # rebuilding the thread pool hangs in a forked process
            torch.set_num_threads(self.threads)
        self.activate_thread()
        if self.device.startswith("cuda"):
            if (card := torch.device(self.device).index) is not None:
                torch.cuda.set_device(card)
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
            # fp32 means float32: a card that has TF32 has bfloat16 too, which is faster and says what it is.
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        return self

    def activate_thread(self) -> None:
        """Set what each thread that computes has of its own."""
        torch.set_flush_denormal(True)

    def autocast(self) -> AbstractContextManager[Any]:
        dtype = DTYPES[self.precision]
        return torch.autocast(torch.device(self.device).type, dtype=dtype, enabled=dtype is not torch.float32)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, model: nn.Module) -> nn.Module:
        """The model itself, on the device and in the memory layout."""
        return model.to(self.device).to(memory_format=self.memory_format)

    def describe(self) -> str:
        threads = f", {self.threads} thread{'' if self.threads == 1 else 's'}" if self.device == "cpu" else ""
        scoring = f", scoring in {self.score_precision}" if self.score_precision != self.precision else ""
        note = f" ({self.note})" if self.note else ""
        return f"{self.device}{threads}, {self.precision}{scoring}{note}"


class Unsupported(Exception):
    """A network does not work in the precision that was tried; the message says why."""


MeasureSpeed = Callable[[Runtime], float]
"""Images per second; 0 where there is nothing to measure. Raises Unsupported where that precision does not work."""

MEASURED = {"precision": "training", "score_precision": "scoring"}
"""Field of a Runtime -> the work that is timed to choose it."""


def resolve(
    machine: Machine,
    cache: Path,
    workload: dict[str, Any],
    training_speed: MeasureSpeed,
    passes_speed: MeasureSpeed,
    say: Say,
) -> Runtime:
    """A Runtime for this machine.

    `training_speed(runtime)` measures training images per second in `runtime.precision`, `passes_speed(runtime)` images
    per second of Monte-Carlo passes in `runtime.score_precision`. They are only called where that precision is `auto`
    and the device has more than one worth trying, and `say` is told before. The verdict is remembered in `cache` under
    the machine and the workload (architecture, image size, batch size), so that the next experiment of the kind
    computes the same bits.
    """
    runtime = plain(machine)
    notes = []
    for field, measure in (("precision", training_speed), ("score_precision", passes_speed)):
        wanted = getattr(machine, field)
        if wanted == "fp16" and runtime.device == "cpu":
            raise UserError(f"machine.{field}: fp16 needs a GPU; use bf16, fp32 or auto on a CPU")
        if wanted == "auto":
            wanted, note = _fastest(runtime, field, cache, workload, measure, say)
            if note:
                notes.append(note)
        runtime = _with(runtime, field, wanted)
    return replace(runtime, note="; ".join(notes))


def _fastest(
    simple: Runtime, field: str, cache: Path, workload: dict[str, Any], measure: MeasureSpeed, say: Say
) -> tuple[str, str]:
    """The precision that is worth it here, and a note on those that failed: measured once, then remembered."""
    candidates = _candidates(simple.device)
    if not candidates:
        return "fp32", ""
    on_gpu = simple.device.startswith("cuda")
    name = torch.cuda.get_device_name(simple.device) if on_gpu else f"{platform.processor()} {_cpu()}"
    machine = {key: value for key, value in asdict(simple).items() if key != "note"}
    facts = [field, name, simple.threads, torch.__version__, machine, workload]
    remembered = cache / "precision" / f"{digest_text(json.dumps(facts, sort_keys=True))[:24]}.json"
    if remembered.is_file():
        found = json.loads(remembered.read_text())
        if found["precision"] in ("fp32", *candidates):
            return str(found["precision"]), str(found.get("note", ""))
    say(
        f"measuring {MEASURED[field]} in {' and '.join(('fp32', *candidates))}, once on this machine for such a network"
    )
    speeds, note = _speeds(simple, field, candidates, measure)
    fastest = max(speeds, key=lambda p: speeds[p])
    verdict = fastest if speeds[fastest] > WORTH_IT * speeds["fp32"] else "fp32"
    kept = {"precision": verdict, "of": field, "images_per_second": speeds, "workload": workload, "note": note}
    write_atomically(remembered, json.dumps(kept, indent=1).encode())
    return verdict, note


def _speeds(simple: Runtime, field: str, candidates: list[str], measure: MeasureSpeed) -> tuple[dict[str, float], str]:
    """Images per second in fp32 and, where that works, in each candidate (0 where it failed); a note on what failed."""
    speeds, failed = {"fp32": measure(simple)}, []
    for precision in candidates if speeds["fp32"] else ():
        try:
            speeds[precision] = measure(_with(simple, field, precision))
        except Unsupported as reason:
            speeds[precision] = 0.0
            failed.append(f"{field} {precision} failed: {reason}")
    return speeds, "; ".join(failed)


def _with(runtime: Runtime, field: str, precision: str) -> Runtime:
    return Runtime(**{**asdict(runtime), field: precision})


def plain(machine: Machine) -> Runtime:
    """The same in full precision, whatever `machine.precision` says: for single passes, where bits matter more."""
    threads = machine.threads or torch.get_num_threads()
    return Runtime(
        device_named(machine.device),
        "fp32",
        machine.channels_last,
        threads,
        machine.score_batch,
        machine.checkpoint_seconds,
    )


def device_named(name: str) -> str:
    """What `machine.device` means on this machine; UserError where there is no such device."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"machine.device: {name!r} is no device; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"machine.device: {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"machine.device: {name!r} asked for, but torch sees no GPU; use auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= (there := torch.cuda.device_count()):
        raise UserError(f"machine.device: {name!r} asked for, but torch sees {there} GPU(s), counted from cuda:0")
    return name


def _candidates(device: str) -> list[str]:
    """Lower precisions with hardware behind them; an emulated one is never faster."""
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            return ["bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp16"]
    return ["bf16"] if torch.backends.cpu.get_cpu_capability() == "AVX512" and "bf16" in _cpu() else []


def _cpu() -> str:
    """Model and the flags that decide the precision, from the operating system; "" where it does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return " ".join([model, *sorted(f for f in flags if "bf16" in f)])

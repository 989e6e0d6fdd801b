"""Where and how fast: device, precision, threads. They decide the last bits of a result, not what is computed."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from al_cxr.config import Machine
from al_cxr.errors import UserError
from al_cxr.records import write_atomically
from al_cxr.seeds import digest_text

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

    def activate(self) -> Runtime:
        """Set the process-wide switches of torch; once, before anything is computed."""
        if torch.get_num_threads() != self.threads:  # rebuilding the thread pool hangs in a forked process
            torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)
        if self.device.startswith("cuda"):
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        return self

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
        threads = f", {self.threads} threads" if self.device == "cpu" else ""
        return f"{self.device}{threads}, {self.precision}"


def resolve(machine: Machine, cache: Path, workload: dict[str, Any], trial: Callable[[Runtime], float]) -> Runtime:
    """A Runtime for this machine.

    `trial(runtime)` measures training images per second; it is only called where the precision is `auto` and the
    device has more than one worth trying. The verdict is remembered in `cache` under the machine and the workload
    (architecture, image size, batch size), so that the next experiment of the kind computes the same bits.
    """
    simple = plain(machine)
    device, threads = simple.device, simple.threads
    if machine.precision != "auto":
        if machine.precision == "fp16" and device == "cpu":
            raise UserError("machine.precision: fp16 wants a GPU; use bf16, fp32 or auto on a CPU")
        return _with(simple, machine.precision)
    candidates = _candidates(device)
    if not candidates:
        return simple
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{platform.processor()} {_cpu()}"
    key = digest_text(json.dumps([name, threads, torch.__version__, asdict(simple), workload], sort_keys=True))[:24]
    remembered = cache / "precision" / f"{key}.json"
    if remembered.is_file():
        verdict = json.loads(remembered.read_text())["precision"]
        if verdict in ("fp32", *candidates):
            return _with(simple, verdict)
    speeds = {p: trial(_with(simple, p)) for p in ("fp32", *candidates)}
    fastest = max(candidates, key=lambda p: speeds[p])
    verdict = fastest if speeds[fastest] >= WORTH_IT * speeds["fp32"] else "fp32"
    note = {"precision": verdict, "images_per_second": speeds, "workload": workload}
    write_atomically(remembered, json.dumps(note, indent=1).encode())
    return _with(simple, verdict)


def plain(machine: Machine) -> Runtime:
    """The same in full precision, whatever `machine.precision` says: for single passes, where bits matter more."""
    threads = machine.threads or torch.get_num_threads()
    return Runtime(
        _device(machine.device), "fp32", machine.channels_last, threads, machine.score_batch, machine.checkpoint_seconds
    )


def _with(runtime: Runtime, precision: str) -> Runtime:
    return Runtime(**{**asdict(runtime), "precision": precision})


def _device(name: str) -> str:
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
    return name


def _candidates(device: str) -> list[str]:
    """Lower precisions with hardware behind them; an emulated one is never faster."""
    if device.startswith("cuda"):
        return ["bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp16"]
    return ["bf16"] if torch.backends.cpu.get_cpu_capability() == "AVX512" and "bf16" in _cpu() else []


def _cpu() -> str:
    """Model and the flags that decide the precision, from the operating system; "" where it does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return " ".join([model, *sorted(f for f in flags if "bf16" in f)])

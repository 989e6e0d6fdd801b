"""Training throughput: the trainer against a bare loop, and against the usual PIL and DataLoader pipeline.

    python benchmarks/training.py                                     # phantom, the default experiment's CNN
    python benchmarks/training.py --data FILE.csv --size 224 --width 1.0 --steps 4

All rows are measured in one run, in turns, on the same images and weights; quote the ratios. The bare loop is forward,
backward and step on prepared batches that already lie in memory, and nothing else: what no trainer can beat.
"""

from __future__ import annotations

import argparse
import io
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms
from tqdm import tqdm

from al_cxr import models
from al_cxr.config import AugmentSettings, DataSettings, LossSettings, TrainSettings
from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.data.load import load_first
from al_cxr.data.loader import Loader
from al_cxr.data.sources.named import named_source
from al_cxr.data.store import PixelStore
from al_cxr.training.length import part_steps
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task, _train_part
from al_cxr.training.training_state import TrainingState


class Files(TorchDataset[tuple[Tensor, int]]):
    """Encoded images behind the transforms of the source reports, decoded one by one as torchvision pipelines do."""

    def __init__(self, encoded: list[bytes], labels: np.ndarray, size: int, augment: bool) -> None:
        self.encoded, self.labels = encoded, labels
        steps: list[object] = [transforms.Resize((size, size))]
        if augment:
            steps += [
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(10),
                transforms.RandomAffine(0, translate=(0.05, 0.05)),
                transforms.RandomResizedCrop(size, scale=(0.9, 1.0), ratio=(1, 1)),
                transforms.ColorJitter(brightness=0.1, contrast=0.1),
            ]
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.open(io.BytesIO(self.encoded[i])).convert("L")), int(self.labels[i])


def bare(model: nn.Module, batches: list[tuple[Tensor, Tensor]], runtime: Runtime) -> int:
    """Forward, backward, step and nothing else, with torch's own Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    model.train()
    for images, targets in batches:
        with runtime.autocast():
            logits = model(images)
        loss = nn.functional.cross_entropy(logits.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return sum(len(t) for _, t in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom:600")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12, help="batches a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--out", type=Path, help="write the table there, as markdown")
    options = parser.parse_args()

    source = named_source(options.data)
    dataset = load_first(DataSettings(sources=[source], image_size=options.size))
    store = PixelStore.open(dataset.images, options.size)
    runtime = Runtime("cpu", options.precision, True, torch.get_num_threads(), 256, 1e9).activate()
    loader = Loader(store.pixels, memory_format=runtime.memory_format)
    index = np.resize(dataset.indices("train"), options.batch * options.steps)
    classes = len(dataset.classes)

    def model() -> nn.Module:
        torch.manual_seed(0)
        return runtime.place(models.build("cnn", 1, classes, options.size, {"width": options.width}))

    settings = TrainSettings(epochs=1, batch_size=options.batch, augment=None)
    task = Task(
        loader,
        dataset.labels_N,
        index,
        dataset.indices("val"),
        classes,
        settings,
        build_loss(LossSettings(kind="cross_entropy"), [1] * classes),
        0,
        runtime,
    )
    augmented = replace(task, settings=settings.model_copy(update={"augment": AugmentSettings()}))
    labels = torch.from_numpy(dataset.labels_N)
    prepared = [(x, labels[torch.from_numpy(i)]) for i, x in loader.batches(index, options.batch)]
    encoded = [_jpeg(dataset.images.read(int(i), 224)[0]) for i in index[: options.batch * 4]]

    def trainer(t: Task) -> int:
        state = TrainingState.start(model(), t.settings, runtime)
        return _train_part(state, t, 0, sum(part_steps(t.settings, len(t.train_index))), tqdm(disable=True))[2]

    def reports_pipeline() -> int:
        files = Files(encoded, dataset.labels_N[index[: len(encoded)]], options.size, augment=True)
        batches: Iterator[tuple[Tensor, Tensor]] = iter(DataLoader(files, options.batch, shuffle=True, num_workers=0))
        return bare(model(), list(batches), runtime)

    rows: dict[str, Callable[[], int]] = {
        "bare loop, resident tensors": lambda: bare(model(), prepared, runtime),
        "trainer, no augmentation": lambda: trainer(task),
        "trainer, augmentation": lambda: trainer(augmented),
        "PIL + torchvision + DataLoader": reports_pipeline,
    }
    speeds: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(options.turns + 1):
        for name, call in rows.items():
            started = time.perf_counter()
            images = call()
            if turn:  # the first turn warms up
                speeds[name].append(images / (time.perf_counter() - started))
    base = speeds["bare loop, resident tensors"]
    lines = [
        f"CNN width {options.width:g} at {options.size} px, batch {options.batch}, {runtime.describe()}, "
        f"median of {options.turns} turns; {dataset.stamp}.",
        "",
        "| what                           | images/s | of the bare loop |",
        "| ------------------------------ | -------: | ---------------: |",
    ]
    for name, values in speeds.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        lines.append(f"| {name:30} | {statistics.median(values):8,.0f} | {ratio:16.2f} |")
    print("\n".join(lines))
    if options.out is not None:
        command = shlex.join(["python", "benchmarks/training.py", *sys.argv[1:]])
        versions = ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
        text = "\n".join(["# Training throughput", "", f"    {command}", "", *lines, "", provenance.commit(), versions])
        write_atomically(options.out, f"{text}\n".encode())


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()

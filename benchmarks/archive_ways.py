"""The ways from files of radiographs to features that benchmarks/archive.py compares, each in a process of its own.

    python benchmarks/archive_ways.py JOB.json         # as archive.py writes it; prints seconds, as JSON

The clock begins when the libraries are imported and the network is built, and ends when the features are in a file.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from al_cxr import models
from al_cxr.core.progress import mute
from al_cxr.data import decode
from al_cxr.data.store import PixelStore, cores
from al_cxr.models.backbone import Backbone
from al_cxr.training.archive import FeaturePass
from al_cxr.training.feature_pass import Batch, Pass
from al_cxr.training.runtime import Runtime

SEED = 0
ENGINES = ("torch", "openvino")
"""Of al-cxr, and the names of the ways that use them."""
SAMPLE = 64
"""Images whose features are kept, to compare the ways."""


@dataclass(frozen=True)
class Job:
    """What a process has to do; all of it plain, so that it can be written down."""

    way: str
    files: str
    """A folder of image files, all of which are meant."""
    count: int
    """The first of them, by name."""
    size: int
    """Pixels a side that the network sees."""
    backbone: str
    folder: str
    """For caches and for the features, empty."""
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def paths(self) -> list[Path]:
        return sorted(Path(self.files).iterdir())[: self.count]

    @property
    def out(self) -> Path:
        return Path(self.folder) / "features.npy"

    def network(self) -> Backbone:
        """The frozen network, with ImageNet's weights where a package carries them, else with random ones."""
        torch.manual_seed(SEED)
        lite = self.backbone.startswith("efficientnet_lite")
        arch, options = (self.backbone, {}) if lite else ("backbone", {"name": self.backbone})
        built = models.build(arch, 1, 2, self.size, options)
        assert isinstance(built, Backbone)
        return built.eval()


class Files:
    """Image files as al-cxr reads a data set's."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.key = hashlib.sha256(f"{paths[0].parent} {len(paths)}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, size: int) -> decode.Reading:
        path = self.paths[index]
        return decode.read(decode.read_file(path, path.name), size, path.name)

    def digest(self, index: int) -> str | None:
        return hashlib.sha256(self.paths[index].read_bytes()).hexdigest()

    def name(self, index: int) -> str:
        return self.paths[index].name


def before(job: Job) -> Callable[[], np.ndarray | None]:
    """al-cxr as it was at commit dfe3ae5: threads decode all files, then one computes, eight images a pass."""
    network = job.network().to(memory_format=torch.channels_last)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)

    def call() -> np.ndarray:
        pixels_NSS = PixelStore.open(Files(job.paths), job.size, Path(job.folder)).pixels
        shape = (len(pixels_NSS), network.head.linear.in_features)
        features_NK = np.lib.format.open_memmap(job.out, mode="w+", dtype=np.float32, shape=shape)
        with torch.no_grad():
            for start in range(0, len(pixels_NSS), 8):
                stored = torch.from_numpy(np.array(pixels_NSS[start : start + 8]))
                images = stored.unsqueeze(1).to(torch.float32).mul_(1 / 255)
                made_BK = network.features(images.contiguous(memory_format=torch.channels_last))
                features_NK[start : start + 8] = made_BK.numpy()
        features_NK.flush()
        return features_NK

    return call


def now(job: Job) -> Callable[[], np.ndarray | None]:
    """al-cxr as it is, with one of its engines, which is the name of the way."""
    network, runtime = job.network(), Runtime("cpu", "fp32", True, 1, 256, 1e9).activate()

    def call() -> np.ndarray:
        return FeaturePass(network, job.size, Path(job.folder), runtime, job.way).run(Files(job.paths)).features_MK

    return call


class Radiographs(TorchDataset[Tensor]):
    """Image files behind a transform, as a user of timm writes it."""

    def __init__(self, paths: list[Path], transform: Callable[[Image.Image], Tensor]) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Tensor:
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB"))


def timm_loader(job: Job) -> Callable[[], np.ndarray | None]:
    """timm and DataLoader: options are `workers`, `threads` and `batch`."""
    import timm

    network = job.network().body.to(memory_format=torch.channels_last)
    config = timm.data.resolve_model_data_config(network) | {"input_size": (3, job.size, job.size)}
    transform = timm.data.create_transform(**config, is_training=False)
    torch.set_num_threads(job.options["threads"])

    def call() -> np.ndarray | None:
        data = Radiographs(job.paths, transform)
        loader = DataLoader(data, batch_size=job.options["batch"], num_workers=job.options["workers"])
        features = []
        with torch.inference_mode():
            for images in loader:
                features.append(network(images.to(memory_format=torch.channels_last)).numpy())
        np.save(job.out, np.concatenate(features))
        return None  # of other pixels: its own filter, its own crop

    return call


def decoding(job: Job) -> Callable[[], np.ndarray | None]:
    """The floor of decoding: al-cxr's pixels, on all cores, and nothing else."""

    def call() -> None:
        with multiprocessing.get_context("fork").Pool(cores(), _one_thread) as pool:
            for _ in pool.imap_unordered(_decoded, ((path, job.size) for path in job.paths), 16):
                pass

    return call


def inference(job: Job) -> Callable[[], None]:
    """The floor of the network: on each core one process, which computes the same eight images again and again.

    Options: the engine's position among ENGINES.
    """
    pool = multiprocessing.get_context("spawn").Pool(cores(), _ready, (job,))
    pool.map(_computed, range(4 * cores()), 1)  # by then each has its network

    def call() -> None:
        with pool:
            pool.map(_computed, range(-(-job.count // 8)), 4)

    return call


_pass: list[tuple[Pass, Batch]] = []
"""What a process of the floor computes with, and the images."""


def _ready(job: Job) -> None:
    _one_thread()
    runtime = Runtime("cpu", "fp32", True, 1, 256, 1e9).activate()
    pixels_BSS = np.random.default_rng(SEED).integers(0, 256, (8, job.size, job.size), np.uint8)
    _pass.append((Pass(job.network(), runtime, ENGINES[job.options["engine"]]), Batch(pixels_BSS)))


def _computed(number: int) -> None:
    compute, batch = _pass[0]
    compute(batch)


def _decoded(given: tuple[Path, int]) -> int:
    return int(decode.decode(*given)[0, 0])


def _one_thread() -> None:
    torch.set_num_threads(1)


def main() -> None:
    mute()
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    call = WAYS[job.way](job)
    started, spent = time.perf_counter(), sum(os.times()[:4])
    features_NK = call()
    seconds, cpu = time.perf_counter() - started, sum(os.times()[:4]) - spent
    if features_NK is not None:
        np.save(Path(job.folder) / "sample.npy", features_NK[:SAMPLE])
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


WAYS: dict[str, Callable[[Job], Callable[[], np.ndarray | None]]] = {
    "before": before,
    "timm": timm_loader,
    **dict.fromkeys(ENGINES, now),
    "decoding": decoding,
    "inference": inference,
}


def written(job: Job) -> str:
    return json.dumps(asdict(job))


if __name__ == "__main__":
    main()

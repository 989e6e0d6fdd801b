r"""How long an audit takes and how much memory, from 1,000 images to 100,000.

    python benchmarks/audit.py --out results/benchmarks/audit.md

Images of 64 pixels, each the mean of two of 300 phantoms, one of them shifted, with noise of its own, so that no two
are copies. They are made as they are asked for, so the decoding of files comes on top. Each size has a process of its
own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shlex
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from PIL import Image

from al_cxr.core.drafts import write_atomically
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import Reading
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.data.quality import audit, duplicates

SIZES = (1_000, 10_000, 100_000)
DRAWN = 300
KEYS = ("images", "seconds", "search", "peak", "before", "similar", "copies")


class Means:
    """Image i is a function of i alone."""

    key = "means of phantoms"

    def __init__(self, count: int) -> None:
        self.count = count
        phantoms = PhantomImages(DRAWN, seed=0, difficulty=0.5)
        self.drawn_MSS = np.stack([phantoms.read(i, 64).pixels for i in range(DRAWN)]).astype(np.int16)

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, size: int) -> Reading:
        rng = np.random.default_rng(index)
        one_SS, other_SS = self.drawn_MSS[rng.integers(0, DRAWN, 2)]
        shifted_SS = np.roll(other_SS[:, :: rng.choice([-1, 1])], rng.integers(-5, 6, 2), axis=(0, 1))
        mean_SS = (one_SS + shifted_SS) // 2 + rng.integers(-6, 7, (64, 64))
        pixels_SS = mean_SS.clip(0, 255).astype(np.uint8)
        digest = hashlib.sha256(pixels_SS.tobytes()).hexdigest()
        if size != 64:
            pixels_SS = np.asarray(Image.fromarray(pixels_SS).resize((size, size), Image.Resampling.LANCZOS))
        return Reading(pixels_SS, digest)

    def digest(self, index: int) -> None:
        return None

    def name(self, index: int) -> str:
        return f"mean-{index:06d}"


def made(count: int) -> Dataset:
    labels_N = np.arange(count) % 3 % 2
    split_N = np.resize(["train"] * 7 + ["val"] + ["test"] * 2, count)
    table = pd.DataFrame({"image": "", "label": labels_N, "split": split_N, "patient_id": "", "source": ""})
    return Dataset("means", ("normal", "ill"), labels_N, split_N, table, Means(count))


def measure(count: int) -> dict[str, float]:
    """Seconds of the whole audit, and of its search for copies; MB of memory before it and at its peak."""
    dataset, before = made(count), peak_mb()
    started = time.perf_counter()
    search, searched = duplicates.find, []

    def timed(*arguments: Any) -> duplicates.Found:
        begun = time.perf_counter()
        found = search(*arguments)
        searched.append(time.perf_counter() - begun)
        return found

    with mock.patch.object(duplicates, "find", timed):
        found = audit.audit(dataset, workers=1)
    seconds, peak = time.perf_counter() - started, peak_mb()
    values = (count, seconds, searched[0], peak, before, len(found.similar), len(found.copies))
    return dict(zip(KEYS, map(float, values), strict=True))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    rows = []
    for count in options.images:
        asked = [sys.executable, __file__, "--measure", str(count)]
        answer = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(json.loads(answer.splitlines()[-1]))
        print(rows[-1], flush=True)
    text = page(rows)
    print(text)
    if options.out:
        write_atomically(options.out, text.encode())


def power(a: dict[str, float], b: dict[str, float], key: str) -> str:
    return f"{np.log(b[key] / a[key]) / np.log(b['images'] / a['images']):.2f}"


def page(rows: list[dict[str, float]]) -> str:
    header = [
        "images",
        "seconds",
        "search for copies",
        "MB at its peak",
        "MB before",
        "similar pairs",
        "sets of copies",
    ]
    digits = (0, 1, 1, 0, 0, 0, 0)
    body = [[f"{row[key]:,.{d}f}" for key, d in zip(KEYS, digits, strict=True)] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---:"] * len(header), *body)]
    growth = [
        f"From {a['images']:,.0f} to {b['images']:,.0f} images the time grows with the power {power(a, b, 'seconds')} "
        f"of their number, that of the search with the power {power(a, b, 'search')}; each image more takes "
        f"{1024 * (b['peak'] - a['peak']) / (b['images'] - a['images']):.1f} KB."
        for a, b in pairwise(rows)
    ]
    says = "Images of 64 px, made of phantoms as they are asked for, one thread; the decoding of files comes on top."
    parts = ["# How long an audit takes", f"    python {shlex.join(sys.argv)}", says, "\n".join(lines), *growth]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()

r"""How long an audit takes and how much memory, from 1,000 images to 100,000.

    python benchmarks/audit.py --out results/benchmarks/audit.md

PNG files of 64 x 64 pixels, each the mean of two of 1,000 phantoms with noise of its own, so that no two are copies.
Each size is audited in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.data.dataset import Dataset
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.data.quality import audit, duplicates
from al_cxr.data.sources.manifest import ManifestSource

SIZES = (1_000, 10_000, 100_000)
DRAWN = 1_000
KEYS = ("images", "seconds", "search", "peak", "before", "similar")


def write_files(folder: Path, count: int) -> None:
    """A CSV, and the files below it."""
    phantoms = PhantomImages(DRAWN, seed=0, difficulty=0.5)
    drawn_MSS = np.stack([phantoms.read(i, 64).pixels for i in range(DRAWN)]).astype(np.int16)
    rng = np.random.default_rng(0)
    names = [f"images/{i // 1000:03d}/{i:06d}.png" for i in range(count)]
    for name in names:
        one, other = rng.choice(DRAWN, 2, replace=False)
        mean_SS = (drawn_MSS[one] + drawn_MSS[other, :, :: rng.choice([-1, 1])]) // 2 + rng.integers(-6, 7, (64, 64))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mean_SS.clip(0, 255).astype(np.uint8)).save(folder / name, compress_level=1)
    labels, splits = (
        np.resize(["normal", "ill", "normal"], count),
        np.resize(["train"] * 7 + ["val"] + ["test"] * 2, count),
    )
    pd.DataFrame({"path": names, "label": labels, "split": splits}).to_csv(folder / "images.csv", index=False)


def read(folder: Path, count: int) -> Dataset:
    """The first of them."""
    part = folder / f"first-{count}.csv"
    pd.read_csv(folder / "images.csv", nrows=count).to_csv(part, index=False)
    return ManifestSource(path=str(part)).read()


def measure(folder: Path, count: int) -> dict[str, float]:
    """Seconds, and the peak of memory in MB: of this process after its imports and after the audit."""
    dataset = read(folder, count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    search, searched = duplicates.find, [0.0]

    def timed(*arguments: object) -> duplicates.Found:
        started = time.perf_counter()
        found = search(*arguments)  # type: ignore[arg-type]
        searched[0] = time.perf_counter() - started
        return found

    duplicates.find = timed  # type: ignore[assignment]
    started = time.perf_counter()
    found = audit.audit(dataset)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "images": count,
        "seconds": seconds,
        "search": searched[0],
        "before": before,
        "peak": peak,
        "similar": len(found.similar),
        "copies": len(found.copies),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--files", type=Path, help="where the files are, or are to be (a temporary folder)")
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.files, options.measure)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.files or Path(scratch)
        if not (folder / "images.csv").exists():
            write_files(folder, options.most)
        rows = []
        for count in SIZES:
            if count <= options.most:
                asked = [sys.executable, __file__, "--files", str(folder), "--measure", str(count)]
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
    header = ["images", "seconds", "of them the search for copies", "MB at its peak", "of them before", "similar pairs"]
    body = [[f"{row[key]:,.{digits}f}" for key, digits in zip(KEYS, (0, 1, 1, 0, 0, 0), strict=True)] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---:"] * len(header), *body)]
    growth = [
        f"From {a['images']:,.0f} to {b['images']:,.0f} images the time grows with the power {power(a, b, 'seconds')} "
        f"of their number, that of the search with the power {power(a, b, 'search')}; each image more takes "
        f"{1024 * (b['peak'] - a['peak']) / (b['images'] - a['images']):.1f} KB."
        for a, b in pairwise(rows)
    ]
    parts = ["# How long an audit takes", f"    python {shlex.join(sys.argv)}"]
    parts += [f"PNG files of 64 x 64 pixels, made of phantoms; all cores. Commit {provenance.commit()}."]
    return "\n\n".join([*parts, "\n".join(lines), *growth]) + "\n"


if __name__ == "__main__":
    main()

"""The archives of benchmarks/archive.py: copies of real files, or phantoms, as many as are wanted."""

from __future__ import annotations

import io
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from al_cxr.core.seeds import rng
from al_cxr.data.decode import SUFFIXES
from al_cxr.data.sources.phantom import PhantomSource

RENDERED = 300
"""Phantoms that are rendered; all others vary them, because rendering takes longer than what is measured."""
PART = 1000
"""Files that a process writes at a time."""


def copied(source: Path, folder: Path, count: int) -> Path:
    """A folder of so many image files, drawn from all below `source`; where these are too few, again with other bytes.

    What follows the end of a JPEG or PNG is read by no decoder, but makes another file of it.
    """
    there = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not there:
        raise SystemExit(f"{source}: no image files; --data names a folder of them")
    drawn = [there[i] for i in rng(0, "archive").permutation(len(there))]
    return _made(folder, count, lambda draft: _copy(drawn, draft, count))


def phantoms(folder: Path, count: int, size: int) -> Path:
    """A folder of so many JPEG files of synthetic radiographs, all different."""
    return _made(folder, count, lambda draft: _render(draft, count, size))


def _made(folder: Path, count: int, make: object) -> Path:
    """A folder that holds so many files, whole or not at all."""
    assert callable(make)
    if not folder.is_dir() or len(os.listdir(folder)) < count:
        draft = folder.with_name(f"{folder.name}.draft")
        for old in (folder, draft):
            shutil.rmtree(old, ignore_errors=True)
        draft.mkdir(parents=True)
        make(draft)
        draft.rename(folder)
    return folder


def _copy(drawn: list[Path], draft: Path, count: int) -> None:
    for i in range(count):
        again, which = divmod(i, len(drawn))
        content = drawn[which].read_bytes() + (f"\n{again}".encode() if again else b"")
        (draft / f"{i:06}{drawn[which].suffix}").write_bytes(content)


def _render(draft: Path, count: int, size: int) -> None:
    images = PhantomSource(count=max(min(count, RENDERED), 30), seed=1).read().images
    rendered = np.stack([images.read(i, size).pixels for i in range(len(images))])
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(_vary, rendered, draft, range(at, min(at + PART, count))) for at in range(0, count, PART)]
        for job in jobs:
            job.result()


def _vary(rendered: np.ndarray, draft: Path, which: range) -> None:
    """Mirrored, shifted, brighter, noisy."""
    for i in which:
        drawn = np.random.default_rng(i)
        pixels = rendered[i % len(rendered)].astype(np.int16)
        pixels = np.roll(pixels[:, :: drawn.choice((-1, 1))], tuple(drawn.integers(-3, 4, 2)), (0, 1))
        pixels = pixels + drawn.integers(-20, 21) + drawn.integers(-4, 5, pixels.shape)
        written = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(written, "JPEG", quality=90)
        (draft / f"{i:06}.jpg").write_bytes(written.getvalue())

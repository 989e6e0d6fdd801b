"""One small trained experiment for all tests of what is done with a finished model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from tiny import do_not_draw, write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.data.phantom.radiographs import PhantomImages

SMALL = """\
data: {sources: [{kind: phantom, count: 200, seed: 0, difficulty: 0.0}], image_size: 28}
model: {arch: cnn, options: {cnn: {width: 0.1, dropout: 0.3, head_dropout: 0.2}}}
train: {epochs: 8, batch_size: 16, lr: 0.003, augment: null}
arms: {random: {strategy: random, loss: cross_entropy}}
scoring: {passes: 3}
seeds: [0, 1]
machine: {threads: 1, precision: fp32}
"""


@cache
def small_run(base: Path) -> Path:
    """The run folder: two seeds of a baseline on the phantom, trained once a session in `base`."""
    folder = base / "small"
    folder.mkdir()
    yaml = write_tiny(folder, SMALL)
    arguments = ["baseline", str(yaml), "--runs", str(folder / "runs"), "--results", str(folder / "results")]
    with pytest.MonkeyPatch.context() as patch:
        do_not_draw(patch)
        assert main(arguments) == 0
    return folder / "runs" / "baseline-tiny" / "cnn"


def write_images(folder: Path, count: int, side: int = 40) -> Path:
    """A folder of phantom radiographs, some of them in a folder below."""
    images = PhantomImages(count, seed=9, difficulty=0.5)
    for i in range(count):
        path = folder / ("below" if i % 3 == 0 else ".") / f"{images.name(i)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.read(i, side)[0]).save(path)
    return folder

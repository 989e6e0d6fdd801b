"""A whole experiment in seconds: phantom radiographs, a narrow network, every kind of arm."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

TINY = """\
data: {sources: [{kind: phantom, count: 90, seed: 0}], image_size: 28}
model: {arch: cnn, options: {cnn: {width: 0.05}, cnn_bn: {}}}
train: {epochs: 2, batch_size: 16}
losses:
  cross_entropy: {kind: cross_entropy}
  focal: {kind: focal, alpha: balanced}
budget: {seed: 0.3, query: 0.1, rounds: 2}
scoring: {passes: 3}
arms:
  focal-mc_entropy: {strategy: mc_entropy, loss: focal}
  focal-random: {strategy: random, loss: focal}
  ce-margin: {strategy: modAL.uncertainty.margin_sampling, loss: cross_entropy}
  ce-random: {strategy: random, loss: cross_entropy}
seeds: [0, 1]
machine: {threads: 1, precision: fp32, checkpoint_seconds: 0}
"""


def write_tiny(folder: Path, text: str = TINY) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def science_files(run: Path) -> dict[str, bytes]:
    """All that must be the same however often a run was stopped: everything but timings and leftovers of a kill."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and not path.name.endswith((".timing.json", ".tmp"))
    }


def do_not_draw(patch: pytest.MonkeyPatch) -> None:
    """Figures become a pixel: for tests that ask where they go; test_figures.py draws every kind."""

    def png(figure: object, source: str = "") -> bytes:
        info, file = PngInfo(), io.BytesIO()
        info.add_text("Source", source)
        Image.new("L", (1, 1)).save(file, "png", pnginfo=info)
        return file.getvalue()

    # Where it is used, not where it is defined: a module that is imported meanwhile would keep the patched one.
    patch.setattr("al_cxr.report.kit.page.png", png)


def do_not_report(patch: pytest.MonkeyPatch) -> None:
    """A run ends without its page, which takes longer than a tiny run: for tests that ask what was recorded."""
    patch.setattr("al_cxr.api.experiment.write_report", lambda folder, results, *_, **__: results / "README.md")

"""A whole experiment in seconds: phantom radiographs, a narrow network, every kind of arm."""

from __future__ import annotations

from pathlib import Path

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

"""A search of a few trials in seconds."""

from __future__ import annotations

from pathlib import Path

from al_cxr.cli.__main__ import main

EXPERIMENT = """\
data: {sources: [{kind: phantom, count: 90, seed: 0}], image_size: 28}
model: {arch: cnn, options: {cnn: {width: 0.05}}}
train: {epochs: 1, batch_size: 16}
arms:
  random: {strategy: random, loss: cross_entropy}
machine: {threads: 1, precision: fp32, score_precision: fp32, checkpoint_seconds: 0}
seeds: [0, 1]
search:
  trials: 4
  seeds: [100, 101]
  labels: 0.4
  objective: loss
  space:
    train.lr: {low: 1.0e-6, high: 1.0e-2, log: true}
    train.epochs: {low: 1, high: 2}
    train.batch_size: {choices: [8, 16]}
    model.options.cnn.dropout: {low: 0, high: 0.5}
"""


def run(folder: Path, *more: str, text: str = EXPERIMENT) -> int:
    (folder / "tiny.yaml").write_text(text)
    return main(
        [
            "search",
            f"{folder / 'tiny.yaml'}",
            "--runs",
            f"{folder / 'runs'}",
            "--results",
            f"{folder / 'results'}",
            *more,
        ]
    )


def records(folder: Path) -> dict[str, bytes]:
    trials = folder / "runs/tiny-search/trials"
    return {
        str(p.relative_to(trials)): p.read_bytes()
        for p in sorted(trials.rglob("*"))
        if p.is_file() and not p.name.endswith(".timing.json")
    }

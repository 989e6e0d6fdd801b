"""A small experiment with ensembles and temperatures."""

from __future__ import annotations

from pathlib import Path

from opened import opened_run
from tiny import write_tiny

from al_cxr.config.files import load as load_settings
from al_cxr.config.files import parse_override
from al_cxr.experiment.workspace import Workspace

SMALL = """\
data: {sources: [{kind: phantom, count: 240, seed: 0}], image_size: 28}
model: {arch: cnn, options: {cnn: {width: 0.05}}}
train: {epochs: 1, batch_size: 16, augment: null}
budget: {seed: 20, query: 5, query_of: number, rounds: 2}
scoring: {passes: 3, members: 3, temperature: validation}
arms:
  random: {strategy: random, loss: cross_entropy}
  entropy: {strategy: entropy, loss: cross_entropy}
  passes: {strategy: mc_entropy, loss: cross_entropy}
  members: {strategy: ensemble_entropy, loss: cross_entropy}
  disagreement: {strategy: ensemble_bald, loss: cross_entropy}
seeds: [0]
machine: {threads: 1, precision: fp32, score_precision: fp32, engine: local}
"""


def opened(folder: Path, *overrides: str, text: str = SMALL) -> Workspace:
    settings = load_settings(write_tiny(folder, text), overrides=[parse_override(text) for text in overrides])
    return opened_run(settings, folder / "runs" / "tiny")

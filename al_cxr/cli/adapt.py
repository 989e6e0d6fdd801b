"""Fit a trained model to another hospital's images without labels; test there whether that is better or worse.

Makes a new bundle whose heads standardise by the images of another hospital, which need no labels. It may be better
or worse there than the model as trained: it raised some models' figures and lowered those of others, the best among
them. Only labelled images from there can tell, so name both bundles to `al-cxr evaluate`. About as many of the images
have to show the target as in training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import al_cxr
from al_cxr.cli.options import IMAGES, MODEL, add_files_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help=MODEL)
    parser.add_argument("images", type=Path, help=IMAGES)
    parser.add_argument("out", type=Path, help="folder of the new bundle")
    add_files_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.bundles.adapt import adapt_bundle
    from al_cxr.bundles.description import DISCLAIMER, terminal_lines
    from al_cxr.bundles.inputs import find_inputs
    from al_cxr.bundles.record import CARD, UNPROVEN
    from al_cxr.core.progress import Progress
    from al_cxr.data.store import cores

    loaded = al_cxr.open_bundle(options.model)
    print("\n".join(terminal_lines(loaded.record)))
    inputs = find_inputs(options.images, options.root, options.follow_links)
    print(f"images    {len(inputs.names):,} in {options.images}")
    print(f"warning   {loaded.record.mix}")
    print(f"warning   {UNPROVEN}")
    with Progress(len(inputs.names), "adapting") as bar:
        done, warnings = adapt_bundle(loaded, inputs, options.out, cores(), bar.update)
    if done.skipped:
        print(f"warning   {done.skipped:,} images could not be read and were skipped")
    for warning in warnings:
        print(f"warning   {warning}")
    print(f"adapted   {done.members} of {loaded.record.members} networks to {done.images:,} images")
    print(f"bundle    {options.out}, with its card {options.out / CARD}")
    print(DISCLAIMER)

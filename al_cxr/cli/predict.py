"""Write a trained model's answers to images without labels, as a CSV.

One row an image. `p_CLASS` are the calibrated probabilities. `predicted` is the one decision: the target class where
its probability reaches the bundle's threshold, else the most probable of the other classes; without a threshold the
most probable class (`decided_by` says which). `is_TARGET` is 1 where `predicted` is the target, 0 elsewhere, empty
without a threshold. `abstain` is 1 where no probability is high enough to answer. `entropy` and `mutual_information`
(nats) are measures of doubt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import al_cxr
from al_cxr.cli.options import IMAGES, MODEL, add_files_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help=MODEL)
    parser.add_argument("images", type=Path, help=IMAGES)
    parser.add_argument(
        "--out", type=Path, default=Path("predictions.csv"), help="the CSV to write (default: %(default)s)"
    )
    add_files_options(parser)


def call(options: argparse.Namespace) -> None:
    from al_cxr.bundles.description import DISCLAIMER, terminal_lines
    from al_cxr.bundles.inputs import find_inputs
    from al_cxr.bundles.stream import skipped_file, write_predictions
    from al_cxr.core.progress import Progress
    from al_cxr.data.store import cores

    loaded = al_cxr.open_bundle(options.model)
    print("\n".join(terminal_lines(loaded.record)))
    if loaded.record.uncertainty == "none":
        print("note      one network with nothing random in it: the column mutual_information stays empty")
    if loaded.usual is None:
        print(
            "note      this model does not say what its training images look like, as older ones do not, nor those of "
            "few images: the column unlike stays empty, and only images with nothing on them are noticed"
        )
    inputs = find_inputs(options.images, options.root, options.follow_links)
    others = f", and {inputs.others:,} files that are no images" if inputs.others else ""
    print(f"images    {len(inputs.names):,} in {options.images}{others}")
    with Progress(len(inputs.names), "predicting") as bar:
        done = write_predictions(loaded, inputs, options.out, cores(), bar.update, bar.resume)
    if done.reused:
        print(f"reused    {done.reused:,} rows of an earlier start")
    if done.skipped:
        print(f"warning   {done.skipped:,} images could not be read and were skipped; see {skipped_file(options.out)}")
    for warning in done.warnings:
        print(f"warning   {warning}")
    print(f"answers   {options.out}: {done.rows:,} images")
    print(DISCLAIMER)
